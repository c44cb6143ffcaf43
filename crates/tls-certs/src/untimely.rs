//! The judgement of a chain whose certificates were never valid at the same
//! time, such as an expired one below a renewed intermediate, where times are
//! overlooked. The verifier of other chains knows one time for all.

use rustls::pki_types::UnixTime;

use crate::anchors::TrustAnchors;
use crate::certificate::Certificate;
use crate::error::CertError;
use crate::extension::NAME_CONSTRAINTS;
use crate::identity::{chain_of, signature_fits};
use crate::judgement::unix_time;
use crate::revocation::{self, Evidence};
use crate::verify::{Check, Purpose, unknown_issuer, verify_trusted};
use crate::verify_error::VerifyError;
use crate::{der, signature};

/// Judges link by link what [`Check::chain`] judges as a whole, but for the
/// times. Where that cannot be done, `fault`, the time, stays the verdict.
pub(crate) fn verify(
    cert: &Certificate,
    companions: &[Certificate],
    anchors: &TrustAnchors,
    purpose: Purpose,
    evidence: &Evidence<'_>,
    fault: VerifyError,
) -> Result<(), VerifyError> {
    const KEY_CERT_SIGN: u16 = 1 << 5;
    let chain = chain_of(cert, companions);
    let [leaf, issuers @ ..] = &chain[..] else { return Err(fault) };
    let Some(issuer) = issuers.first() else { return Err(fault) };
    // The issuer as an anchor: its own time does not matter then, its constraints of names do.
    let only = TrustAnchors::from_certificates(std::slice::from_ref(issuer)).map_err(unreadable)?;
    Check::new(&only, begin(leaf), purpose).chain(leaf.der(), &[])?;
    for (below, issuer) in issuers.iter().enumerate() {
        let constraints = issuer.basic_constraints().filter(|constraints| constraints.ca);
        let constraints = constraints.ok_or(VerifyError::BasicConstraints)?;
        let too_long = constraints.path_length.is_some_and(|most| below as u64 > u64::from(most));
        if too_long || issuer.key_usage().is_some_and(|usage| usage & KEY_CERT_SIGN == 0) {
            return Err(VerifyError::BasicConstraints);
        }
        // Those of the first were looked at above.
        if below > 0 && issuer.extensions().iter().any(|extension| extension.oid == NAME_CONSTRAINTS) {
            return Err(fault);
        }
        verify_trusted(issuer, begin(issuer), purpose)?;
    }
    if chain.windows(2).any(|pair| matches!(pair, [cert, issuer] if signature_fits(issuer, cert) != Some(true))) {
        return Err(VerifyError::BadSignature);
    }
    let last = chain.last().unwrap_or(cert);
    let is_anchor = anchors.contains(last.der());
    let anchor = anchors.as_slice().iter().find(|anchor| {
        anchor.subject.as_ref() == contents(last.issuer().der())
            && signature::is_certified_by(last, &anchor.subject_public_key_info)
    });
    let anchor_key = match anchor {
        None if is_anchor => None,
        None => {
            let intermediates: Vec<_> = companions.iter().map(|c| c.der().clone()).collect();
            return Err(unknown_issuer(cert.der(), &intermediates));
        }
        Some(anchor) if anchor.name_constraints.is_some() => return Err(fault),
        Some(anchor) => Some(anchor.subject_public_key_info.as_ref()),
    };
    evidence.judge(&revocation::links(&chain, anchor_key))
}

fn contents(der: &[u8]) -> &[u8] {
    der::split(der).map_or(&[], |(element, _)| element.value)
}

fn begin(cert: &Certificate) -> UnixTime {
    unix_time(cert.validity().not_before)
}

#[allow(clippy::needless_pass_by_value)]
fn unreadable(error: CertError) -> VerifyError {
    VerifyError::BadEncoding(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::CertificateParams;
    use time::OffsetDateTime;

    use super::*;
    use crate::testing::{Ca, NOW, ca_params, leaf_params, now};
    use crate::{Fault, Judgement, PeerName, RevocationCheck};

    const YEAR: i64 = 365 * 86_400;

    fn dated(mut params: CertificateParams, from: i64, to: i64) -> CertificateParams {
        params.not_before = OffsetDateTime::from_unix_timestamp(NOW + from * YEAR).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(NOW + to * YEAR).unwrap();
        params
    }

    fn word(verdict: Result<(), VerifyError>) -> String {
        let words = format!("{:?}", verdict.err());
        words.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && *w != "Some").take(1).collect()
    }

    #[test]
    fn an_old_leaf_below_new_issuers() {
        let root = Ca::root("root");
        let one = root.intermediate_of(dated(ca_params("one"), -1, 3));
        let two = one.intermediate_of(dated(ca_params("two"), -1, 1));
        let leaf = two.leaf_of(&dated(leaf_params(&["a.example"]), -9, -8));
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let companions = [two.certificate.clone(), one.certificate.clone()];
        let name = PeerName::parse("a.example").unwrap();
        let judgement = Judgement {
            anchors: &anchors,
            companions: &companions,
            purpose: Purpose::Server,
            name: Some(&name),
            common_name: false,
            overlooked: &[Fault::Time],
            revocation: RevocationCheck::default(),
            lists: &[],
            responses: &[],
            now: now(),
        };
        assert_eq!(word(Judgement { overlooked: &[], ..judgement.clone() }.verify(&leaf)), "Expired");
        assert_eq!(judgement.verify(&leaf), Ok(()));
        let nobody = TrustAnchors::empty();
        assert_eq!(word(Judgement { anchors: &nobody, ..judgement.clone() }.verify(&leaf)), "PartialChain");
        let both = [Fault::Time, Fault::PartialChain];
        let partial = Judgement { anchors: &nobody, overlooked: &both, ..judgement.clone() };
        assert_eq!(partial.verify(&leaf), Ok(()));
        let other = PeerName::parse("b.example").unwrap();
        assert_eq!(word(Judgement { name: Some(&other), ..judgement.clone() }.verify(&leaf)), "NameMismatch");
        for (lists, check, verdict) in [
            (vec![], RevocationCheck::WhereKnown, "None"),
            (vec![], RevocationCheck::Leaf, "RevocationUnknown"),
            (vec![two.revoke(&[], NOW)], RevocationCheck::Leaf, "None"),
            (vec![two.revoke(&[], NOW)], RevocationCheck::Chain, "RevocationUnknown"),
            (vec![two.revoke(&[leaf.serial()], NOW)], RevocationCheck::WhereKnown, "Revoked"),
            (vec![two.revoke(&[leaf.serial()], NOW)], RevocationCheck::Never, "None"),
            (vec![root.revoke(&[one.certificate.serial()], NOW)], RevocationCheck::WhereKnown, "Revoked"),
        ] {
            let judgement = Judgement { lists: &lists, revocation: check, ..judgement.clone() };
            assert_eq!(word(judgement.verify(&leaf)), verdict, "{lists:?} {check:?}");
        }
        // A list of another authority of the same name, whose certificate is at hand.
        let other = Ca::root("two");
        let companions = [two.certificate.clone(), one.certificate.clone(), other.certificate.clone()];
        for (check, verdict) in [(RevocationCheck::WhereKnown, "None"), (RevocationCheck::Leaf, "RevocationUnknown")] {
            for serials in [vec![], vec![leaf.serial()]] {
                let lists = [other.revoke(&serials, NOW + 60)];
                let judgement =
                    Judgement { lists: &lists, revocation: check, companions: &companions, ..judgement.clone() };
                assert_eq!(word(judgement.verify(&leaf)), verdict, "{check:?}");
            }
        }
    }

    #[test]
    fn links_are_judged() {
        let root = Ca::root("root");
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let judge = |leaf: &Certificate, companions: &[Certificate]| {
            let judgement = Judgement {
                anchors: &anchors,
                companions,
                purpose: Purpose::Server,
                name: None,
                common_name: false,
                overlooked: &[Fault::Time],
                revocation: RevocationCheck::default(),
                lists: &[],
                responses: &[],
                now: now(),
            };
            word(judgement.verify(leaf))
        };
        let old = || dated(leaf_params(&["a.example"]), -9, -8);
        let new = |params| dated(params, -1, 1);
        let mut no_ca = new(ca_params("between"));
        no_ca.is_ca = rcgen::IsCa::ExplicitNoCa;
        let mut no_signer = new(ca_params("between"));
        no_signer.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
        let mut other_use = new(ca_params("between"));
        other_use.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let mut short = new(ca_params("between"));
        short.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        for (params, verdict) in [
            (new(ca_params("between")), "None"),
            (no_ca, "BasicConstraints"),
            (no_signer, "BasicConstraints"),
            (other_use, "WrongUsage"),
        ] {
            let between = root.intermediate_of(params);
            assert_eq!(judge(&between.leaf_of(&old()), std::slice::from_ref(&between.certificate)), verdict);
        }
        let one = root.intermediate_of(short);
        let two = one.intermediate_of(new(ca_params("two")));
        let companions = [one.certificate.clone(), two.certificate.clone()];
        assert_eq!(judge(&two.leaf_of(&old()), &companions), "BasicConstraints");
        let mut narrow = new(ca_params("between"));
        narrow.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("b.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let one = root.intermediate_of(narrow);
        assert_eq!(judge(&one.leaf_of(&old()), std::slice::from_ref(&one.certificate)), "NameConstraints");
        let two = one.intermediate_of(new(ca_params("two")));
        let companions = [one.certificate.clone(), two.certificate.clone()];
        assert_eq!(judge(&two.leaf_of(&old()), &companions), "Expired", "constraints further up are not judged");
    }
}
