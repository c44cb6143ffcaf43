//! The judgement of a certificate for a program that decides itself what it
//! overlooks, with revocation lists and OCSP responses.

use std::borrow::Cow;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, ExpirationPolicy, RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use crate::anchors::TrustAnchors;
use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::error::CertError;
use crate::general_name::GeneralName;
use crate::identity::{chain_of, may_have_issued, signature_fits};
use crate::ocsp::OcspResponse;
use crate::peer_name::PeerName;
use crate::revocation::Evidence;
use crate::untimely;
use crate::verify::{Check, Purpose, seconds, verify_name, verify_time, verify_trusted};
use crate::verify_error::VerifyError;

/// How a certificate is to be judged.
///
/// Without anything overlooked and without lists it is what
/// [`verify_server`](crate::verify_server) does.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// Where chains may end.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may be part of the chain, in any order.
    pub companions: &'a [Certificate],
    /// What the certificate is to be used for.
    pub purpose: Purpose,
    /// The peer it is to be for, if that matters.
    pub name: Option<&'a PeerName>,
    /// Whether the common name counts where there is no host name or address
    /// among the alternative names. RFC 9525 says no.
    pub common_name: bool,
    /// Faults to overlook. What is found after them still counts.
    pub overlooked: &'a [Fault],
    /// Whether certificates may be revoked.
    pub revocation: RevocationCheck,
    /// Revocation lists, of any issuers, in any order. Those not signed by an
    /// issuer that is at hand are left out; of several the newest counts.
    pub lists: &'a [RevocationList],
    /// OCSP responses, about any certificates. Those that neither the issuer
    /// signed, nor whom it lets do that, are left out.
    pub responses: &'a [OcspResponse],
    /// The time of the judgement.
    pub now: UnixTime,
}

/// Faults that can be overlooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Expired or not yet valid, certificates and revocation lists.
    Time,
    /// The chain ends at a root that is not trusted.
    UntrustedRoot,
    /// The chain ends before it comes to a root.
    PartialChain,
    /// The name does not match.
    Name,
    /// The certificate is not for this use.
    Usage,
    /// Revoked: there is no check then, so that it may be unknown as well.
    Revoked,
    /// No good revocation list or OCSP response tells.
    RevocationUnknown,
}

/// How far it is checked whether certificates were revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RevocationCheck {
    /// Not at all.
    Never,
    /// What the lists and responses at hand revoke is revoked, even if they
    /// are out of date.
    #[default]
    WhereKnown,
    /// The certificate itself, by a current list or response.
    Leaf,
    /// The whole chain but its root, by current lists and responses.
    Chain,
}

impl Judgement<'_> {
    /// Judges a certificate.
    pub fn verify(&self, cert: &Certificate) -> Result<(), VerifyError> {
        self.chain(cert)?;
        match self.name {
            Some(name) if !self.overlooks(Fault::Name) => self.name(cert, name),
            _ => Ok(()),
        }
    }

    fn overlooks(&self, fault: Fault) -> bool {
        self.overlooked.contains(&fault)
    }

    /// Judges the chain, again after each fault that is overlooked, by less
    /// strict rules each time.
    fn chain(&self, cert: &Certificate) -> Result<(), VerifyError> {
        let lists = self.usable_lists();
        let indexed: Vec<_> = lists.iter().map(|list| list.indexed()).collect();
        let mut attempt = Attempt {
            anchors: Cow::Borrowed(self.anchors),
            purpose: self.purpose,
            revocation: self.revocation,
            any_time: false,
            extended: false,
        };
        loop {
            let Err(error) = self.attempt(cert, &attempt, &lists, &indexed) else { return Ok(()) };
            let fault = fault_of(&error).filter(|fault| self.overlooks(*fault));
            match (fault, attempt.revocation) {
                (Some(Fault::Time), _) if !attempt.any_time => attempt.any_time = true,
                (Some(Fault::UntrustedRoot | Fault::PartialChain), _) if !attempt.extended => {
                    attempt.extended = true;
                    match self.trust_top(cert, attempt.any_time)? {
                        Some(anchors) => attempt.anchors = Cow::Owned(anchors),
                        None => return self.alone(cert),
                    }
                }
                (Some(Fault::Usage), _) if attempt.purpose != Purpose::Any => attempt.purpose = Purpose::Any,
                (Some(Fault::Revoked), check) if check != RevocationCheck::Never => {
                    attempt.revocation = RevocationCheck::Never;
                }
                (Some(Fault::RevocationUnknown), RevocationCheck::Leaf | RevocationCheck::Chain) => {
                    attempt.revocation = RevocationCheck::WhereKnown;
                }
                _ => return Err(error),
            }
        }
    }

    fn attempt(
        &self,
        cert: &Certificate,
        attempt: &Attempt<'_>,
        lists: &[&RevocationList],
        indexed: &[&CertRevocationList<'static>],
    ) -> Result<(), VerifyError> {
        let evidence = Evidence {
            check: attempt.revocation,
            responses: self.responses,
            lists,
            now: seconds(self.now),
            may_be_old: attempt.revocation == RevocationCheck::WhereKnown || self.overlooks(Fault::Time),
        };
        let revocation = self.revocation_options(attempt, indexed)?;
        let intermediates: Vec<CertificateDer<'_>> = self.companions.iter().map(|c| c.der().clone()).collect();
        let check = |now| {
            let anchors = Cow::Borrowed(&*attempt.anchors);
            // webpki takes the first list of an issuer's name and no other, whichever key signed it; the evidence takes
            // that of the key.
            let by_evidence = !self.responses.is_empty()
                || (attempt.revocation == RevocationCheck::WhereKnown && !evidence.lists.is_empty());
            let evidence = by_evidence.then_some(evidence);
            let check = Check { anchors, now, purpose: attempt.purpose, revocation, evidence };
            check.chain(cert.der(), &intermediates)
        };
        if !attempt.any_time {
            return check(self.now);
        }
        // Where periods overlap at all they do at the beginning of one of them.
        let mut fault = None;
        for member in chain_of(cert, self.companions) {
            match check(unix_time(member.validity().not_before)) {
                Err(error) if fault_of(&error) == Some(Fault::Time) => fault = Some(error),
                verdict => return verdict,
            }
        }
        let Some(fault) = fault else { return Ok(()) };
        untimely::verify(cert, self.companions, &attempt.anchors, attempt.purpose, &evidence, fault)
    }

    fn revocation_options<'l>(
        &self,
        attempt: &Attempt<'_>,
        lists: &'l [&'l CertRevocationList<'static>],
    ) -> Result<Option<RevocationOptions<'l>>, VerifyError> {
        let (depth, unknown) = match attempt.revocation {
            RevocationCheck::Never | RevocationCheck::WhereKnown => return Ok(None),
            // Lists need not tell of each certificate: see the evidence.
            RevocationCheck::Leaf if !self.responses.is_empty() => {
                (RevocationCheckDepth::EndEntity, UnknownStatusPolicy::Allow)
            }
            RevocationCheck::Chain if !self.responses.is_empty() => {
                (RevocationCheckDepth::Chain, UnknownStatusPolicy::Allow)
            }
            RevocationCheck::Leaf => (RevocationCheckDepth::EndEntity, UnknownStatusPolicy::Deny),
            RevocationCheck::Chain => (RevocationCheckDepth::Chain, UnknownStatusPolicy::Deny),
        };
        let Ok(builder) = RevocationOptionsBuilder::new(lists) else {
            return if unknown == UnknownStatusPolicy::Allow { Ok(None) } else { Err(VerifyError::RevocationUnknown) };
        };
        let may_be_old = unknown == UnknownStatusPolicy::Allow || self.overlooks(Fault::Time);
        let expiration = if may_be_old { ExpirationPolicy::Ignore } else { ExpirationPolicy::Enforce };
        Ok(Some(builder.with_depth(depth).with_status_policy(unknown).with_expiration_policy(expiration).build()))
    }

    /// The lists that a certificate at hand, or an anchor, has signed, newest
    /// first: of each issuer the first is used.
    fn usable_lists(&self) -> Vec<&RevocationList> {
        if self.revocation == RevocationCheck::Never {
            return Vec::new();
        }
        let mut lists: Vec<_> = self.lists.iter().filter(|list| self.has_signer(list)).collect();
        lists.sort_by_key(|list| std::cmp::Reverse(list.updated()));
        lists
    }

    fn has_signer(&self, list: &RevocationList) -> bool {
        let certificates = self.companions.iter().filter(|c| c.subject() == list.issuer());
        let mut infos = certificates.filter_map(|c| crate::der::split(c.public_key_info())).map(|(e, _)| e.value);
        let issuer = crate::der::split(list.issuer().der()).map_or(&[][..], |(e, _)| e.value);
        // Anchors are kept without the headers of their parts.
        let mut anchors = self.anchors.as_slice().iter().filter(|anchor| anchor.subject.as_ref() == issuer);
        infos.any(|info| list.is_signed_by(info))
            || anchors.any(|anchor| list.is_signed_by(&anchor.subject_public_key_info))
    }

    /// The anchors and the certificate at which the chain ends; `None` if
    /// that is `cert`, and its issuer is not at hand.
    fn trust_top(&self, cert: &Certificate, any_time: bool) -> Result<Option<TrustAnchors>, VerifyError> {
        let chain = chain_of(cert, self.companions);
        let last = chain.last().unwrap_or(cert);
        let root = self.companions.iter().find(|c| c.is_self_issued() && may_have_issued(c, last));
        let top = match root {
            Some(root) if !last.is_self_issued() => root,
            _ if last == cert && !cert.is_self_issued() => return Ok(None),
            _ => last,
        };
        if top.is_self_issued() && signature_fits(top, top) == Some(false) {
            return Err(VerifyError::BadSignature);
        }
        if !(any_time || self.overlooks(Fault::Time)) {
            verify_time(top, self.now)?;
        }
        let unreadable = |error: CertError| VerifyError::BadEncoding(error.to_string());
        self.anchors.and(top).map(Some).map_err(unreadable)
    }

    /// Judges a certificate of which there is no chain.
    fn alone(&self, cert: &Certificate) -> Result<(), VerifyError> {
        let now = if self.overlooks(Fault::Time) { unix_time(cert.validity().not_before) } else { self.now };
        let purpose = if self.overlooks(Fault::Usage) { Purpose::Any } else { self.purpose };
        verify_trusted(cert, now, purpose)?;
        match self.revocation {
            RevocationCheck::Leaf | RevocationCheck::Chain
                if !self.overlooks(Fault::RevocationUnknown) && !self.overlooks(Fault::Revoked) =>
            {
                Err(VerifyError::RevocationUnknown)
            }
            _ => Ok(()),
        }
    }

    fn name(&self, cert: &Certificate, name: &PeerName) -> Result<(), VerifyError> {
        let verdict = verify_name(cert.der(), name);
        let mismatch = matches!(verdict, Err(VerifyError::NameMismatch { .. }));
        if mismatch && self.common_name && !has_hosts(cert) && common_name_fits(cert, name) {
            return Ok(());
        }
        verdict
    }
}

/// The rules of one attempt.
struct Attempt<'a> {
    anchors: Cow<'a, TrustAnchors>,
    purpose: Purpose,
    revocation: RevocationCheck,
    any_time: bool,
    /// Whether the end of the chain is among the anchors.
    extended: bool,
}

fn fault_of(error: &VerifyError) -> Option<Fault> {
    Some(match error {
        VerifyError::Expired { .. } | VerifyError::NotYetValid { .. } => Fault::Time,
        VerifyError::UntrustedRoot { .. } => Fault::UntrustedRoot,
        VerifyError::PartialChain { .. } => Fault::PartialChain,
        VerifyError::NameMismatch { .. } => Fault::Name,
        VerifyError::WrongUsage => Fault::Usage,
        VerifyError::Revoked => Fault::Revoked,
        VerifyError::RevocationUnknown => Fault::RevocationUnknown,
        _ => return None,
    })
}

fn has_hosts(cert: &Certificate) -> bool {
    cert.subject_alt_names().iter().any(|name| matches!(name, GeneralName::Dns(_) | GeneralName::Ip(_)))
}

/// Whether a common name is this host or address. A wildcard stands for the
/// whole first label, and not for that of a name of two.
fn common_name_fits(cert: &Certificate, name: &PeerName) -> bool {
    const COMMON_NAME: &str = "2.5.4.3";
    let wanted = name.to_string();
    let values = cert.subject().attributes().filter(|a| a.oid == COMMON_NAME).map(|a| a.value.trim_end_matches('.'));
    let mut values = values.map(str::to_ascii_lowercase);
    match name {
        PeerName::Ip(address) => values.any(|value| value.parse() == Ok(*address)),
        PeerName::Dns(_) => values.any(|value| match value.strip_prefix("*.") {
            Some(parent) => {
                parent.contains('.')
                    && wanted.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => value == wanted,
        }),
    }
}

/// Times before 1970 are of no interest here.
pub(crate) fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, NOW, at, ca_params, leaf_params, now, self_signed};
    use crate::{KeyType, Name, PrivateKey, Template, Validity};

    const ALL: [Fault; 7] = [
        Fault::Time,
        Fault::UntrustedRoot,
        Fault::PartialChain,
        Fault::Name,
        Fault::Usage,
        Fault::Revoked,
        Fault::RevocationUnknown,
    ];
    const YEAR: i64 = 365 * 86_400;

    fn judge<'a>(anchors: &'a TrustAnchors, companions: &'a [Certificate]) -> Judgement<'a> {
        Judgement {
            anchors,
            companions,
            purpose: Purpose::Server,
            name: None,
            common_name: true,
            overlooked: &[],
            revocation: RevocationCheck::default(),
            lists: &[],
            responses: &[],
            now: now(),
        }
    }

    fn word(verdict: &Result<(), VerifyError>) -> Option<Fault> {
        verdict.as_ref().err().map(|error| fault_of(error).unwrap())
    }

    #[test]
    fn one_fault_is_overlooked_and_no_other() {
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let leaf = between.leaf(&["a.example"]);
        let trusted = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let nobody = TrustAnchors::empty();
        let chain = [between.certificate.clone()];
        let whole = [between.certificate.clone(), root.certificate.clone()];
        let mut params = leaf_params(&["a.example"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let client = between.leaf_of(&params);
        let name = PeerName::parse("b.example").unwrap();
        let good = judge(&trusted, &chain);
        assert_eq!(good.verify(&leaf), Ok(()));
        let cases = [
            (Fault::Time, Judgement { now: at(2 * YEAR), ..good.clone() }, &leaf),
            (Fault::Time, Judgement { now: at(-2 * YEAR), ..good.clone() }, &leaf),
            (Fault::UntrustedRoot, judge(&nobody, &whole), &leaf),
            (Fault::PartialChain, judge(&nobody, &chain), &leaf),
            (Fault::PartialChain, judge(&trusted, &[]), &leaf),
            (Fault::Name, Judgement { name: Some(&name), ..good.clone() }, &leaf),
            (Fault::Usage, good.clone(), &client),
            (Fault::RevocationUnknown, Judgement { revocation: RevocationCheck::Leaf, ..good.clone() }, &leaf),
        ];
        for (fault, judgement, cert) in cases {
            assert_eq!(word(&judgement.verify(cert)), Some(fault));
            let only = [fault];
            assert_eq!(Judgement { overlooked: &only, ..judgement.clone() }.verify(cert), Ok(()), "{fault:?}");
            let others: Vec<_> = ALL.into_iter().filter(|f| *f != fault).collect();
            // Who does not want to know whether it is revoked gets no list asked.
            if fault != Fault::RevocationUnknown {
                assert_eq!(word(&Judgement { overlooked: &others, ..judgement }.verify(cert)), Some(fault));
            }
        }
    }

    #[test]
    fn several_faults_at_once() {
        let root = Ca::root("root");
        let mut params = leaf_params(&["a.example"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let cert = root.leaf_of(&params);
        let nobody = TrustAnchors::empty();
        let companions = [root.certificate.clone()];
        let name = PeerName::parse("b.example").unwrap();
        let judgement = Judgement { now: at(20 * YEAR), name: Some(&name), ..judge(&nobody, &companions) };
        let needed = [Fault::UntrustedRoot, Fault::Time, Fault::Usage, Fault::Name];
        for left_out in needed {
            let others: Vec<_> = needed.into_iter().filter(|f| *f != left_out).collect();
            assert_eq!(word(&Judgement { overlooked: &others, ..judgement.clone() }.verify(&cert)), Some(left_out));
        }
        assert_eq!(Judgement { overlooked: &needed, ..judgement.clone() }.verify(&cert), Ok(()));
        // A certificate alone, with all of these.
        let alone = Judgement { companions: &[], overlooked: &ALL, ..judgement.clone() };
        assert_eq!(alone.verify(&cert), Ok(()));
        let strict = Judgement { overlooked: &[Fault::PartialChain, Fault::Name], ..alone };
        assert_eq!(word(&strict.verify(&cert)), Some(Fault::Time));
        // Signatures are never overlooked.
        let imposter = Ca::root("root");
        let companions = [imposter.certificate.clone()];
        let fake = Judgement { companions: &companions, overlooked: &[Fault::UntrustedRoot], ..judgement };
        assert!(fake.verify(&cert).is_err());
    }

    #[test]
    fn self_signed_ones() {
        let cert = self_signed(&leaf_params(&["a.example"]));
        let nobody = TrustAnchors::empty();
        let judgement = judge(&nobody, &[]);
        assert_eq!(word(&judgement.verify(&cert)), Some(Fault::UntrustedRoot));
        let overlooked = [Fault::UntrustedRoot];
        let judgement = Judgement { overlooked: &overlooked, ..judgement };
        assert_eq!(judgement.verify(&cert), Ok(()));
        let mut der = cert.der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        let forged = Certificate::from_der(&der).unwrap();
        assert!(judgement.verify(&forged).is_err());
    }

    #[test]
    fn revocation() {
        use Fault::{RevocationUnknown, Revoked, Time};
        use RevocationCheck::{Chain, Leaf, Never, WhereKnown};
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let (good, bad) = (between.leaf(&["a.example"]), between.leaf(&["a.example"]));
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let chain = [between.certificate.clone()];
        let leaves = between.revoke(&[bad.serial()], NOW + 3600);
        let old = between.revoke(&[bad.serial()], NOW - 60);
        let empty = between.revoke(&[], NOW + 3600);
        let intermediates = root.revoke(&[between.certificate.serial()], NOW + 3600);
        let none = root.revoke(&[], NOW + 3600);
        let forged = Ca::root("between").revoke(&[good.serial()], NOW + 3600);
        let check = |lists: &[&RevocationList], revocation, overlooked: &[Fault], cert: &Certificate| {
            let lists: Vec<_> = lists.iter().map(|list| (*list).clone()).collect();
            let judgement = Judgement { lists: &lists, revocation, overlooked, ..judge(&anchors, &chain) };
            word(&judgement.verify(cert))
        };
        for (lists, how, overlooked, of_good, of_bad) in [
            (&[&leaves][..], Never, &[][..], None, None),
            (&[&leaves], WhereKnown, &[], None, Some(Revoked)),
            (&[&leaves], Leaf, &[], None, Some(Revoked)),
            (&[&leaves], Chain, &[], Some(RevocationUnknown), Some(RevocationUnknown)),
            (&[&leaves, &none], Chain, &[], None, Some(Revoked)),
            (&[&none, &leaves], Chain, &[Revoked], None, None),
            (&[&intermediates, &leaves], Chain, &[], Some(Revoked), Some(Revoked)),
            (&[&intermediates], Leaf, &[], Some(RevocationUnknown), Some(RevocationUnknown)),
            (&[&intermediates], Leaf, &[RevocationUnknown], Some(Revoked), Some(Revoked)),
            (&[&intermediates], WhereKnown, &[], Some(Revoked), Some(Revoked)),
            (&[], WhereKnown, &[], None, None),
            (&[], Chain, &[], Some(RevocationUnknown), Some(RevocationUnknown)),
            (&[&old], Leaf, &[], Some(RevocationUnknown), Some(RevocationUnknown)),
            (&[&old], Leaf, &[Time], None, Some(Revoked)),
            (&[&old], WhereKnown, &[], None, Some(Revoked)),
            (&[&forged, &leaves], WhereKnown, &[], None, Some(Revoked)),
            (&[&forged], WhereKnown, &[], None, None),
            (&[&forged], Leaf, &[], Some(RevocationUnknown), Some(RevocationUnknown)),
            (&[&empty], Leaf, &[], None, None),
        ] {
            assert_eq!(check(lists, how, overlooked, &good), of_good, "good {lists:?} {how:?} {overlooked:?}");
            assert_eq!(check(lists, how, overlooked, &bad), of_bad, "bad {lists:?} {how:?} {overlooked:?}");
        }
    }

    #[test]
    fn common_names() {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        let validity = Validity { not_before: NOW - 1, not_after: NOW + 1 };
        let with = |subject: &str, names: &[GeneralName]| {
            let mut template = Template::new(Name::parse(subject).unwrap(), validity);
            template.alt_names = names.to_vec();
            template.self_signed(&key).unwrap()
        };
        let dns = GeneralName::Dns("other.example".to_owned());
        let email = GeneralName::Email("a@b.example".to_owned());
        for (cert, name, fits) in [
            (with("CN=a.example", &[]), "a.example", true),
            (with("CN=A.Example., O=x", &[]), "a.example", true),
            (with("CN=a.example", &[email]), "a.example", true),
            (with("CN=a.example", &[dns]), "a.example", false),
            (with("O=a.example", &[]), "a.example", false),
            (with("CN=b.example", &[]), "a.example", false),
            (with("CN=*.b.example", &[]), "a.b.example", true),
            (with("CN=*.b.example", &[]), "b.example", false),
            (with("CN=*.b.example", &[]), "x.a.b.example", false),
            (with("CN=*.example", &[]), "a.example", false),
            (with("CN=127.0.0.1", &[]), "127.0.0.1", true),
            (with("CN=127.0.0.1", &[]), "127.0.0.2", false),
        ] {
            let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&cert)).unwrap();
            let name = PeerName::parse(name).unwrap();
            let judgement = Judgement { name: Some(&name), ..judge(&anchors, &[]) };
            assert_eq!(judgement.verify(&cert).is_ok(), fits, "{cert:?} {name}");
            let strict = Judgement { common_name: false, ..judgement };
            assert_eq!(word(&strict.verify(&cert)), Some(Fault::Name));
        }
    }

    #[test]
    fn intermediates_out_of_their_time() {
        let root = Ca::root("root");
        let mut params = ca_params("between");
        params.not_after = params.not_before.saturating_add(time::Duration::days(6 * 365));
        let between = root.intermediate_of(params);
        let leaf = between.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let chain = [between.certificate.clone()];
        let late = Judgement { now: at(3 * YEAR), ..judge(&anchors, &chain) };
        assert_eq!(word(&late.verify(&leaf)), Some(Fault::Time));
        assert_eq!(Judgement { overlooked: &[Fault::Time], ..late }.verify(&leaf), Ok(()));
    }
}
