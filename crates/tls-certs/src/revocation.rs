//! Whether the certificates of a chain were revoked, by OCSP responses and by
//! revocation lists together.

use webpki::VerifiedPath;

use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::der;
use crate::judgement::RevocationCheck;
use crate::ocsp::OcspResponse;
use crate::verify_error::VerifyError;

/// The key usage bit cRLSign (RFC 5280, section 4.2.1.3).
const CRL_SIGN: u16 = 1 << 6;

/// What is at hand to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) check: RevocationCheck,
    pub(crate) responses: &'a [OcspResponse],
    pub(crate) lists: &'a [&'a RevocationList],
    /// In seconds since 1970-01-01 00:00:00 UTC.
    pub(crate) now: i64,
    /// Whether what is out of date counts too.
    pub(crate) may_be_old: bool,
}

/// A certificate of a chain, and what matters of the issuer above it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) cert: Certificate,
    /// The contents of its `SubjectPublicKeyInfo`.
    issuer_key: Vec<u8>,
    issuer_signs_lists: bool,
}

impl Link {
    /// Below another certificate.
    pub(crate) fn below(cert: Certificate, issuer: &Certificate) -> Self {
        let key = der::split(issuer.public_key_info()).map_or(&[][..], |(info, _)| info.value);
        let signs_lists = issuer.key_usage().is_none_or(|usage| usage & CRL_SIGN != 0);
        Self { cert, issuer_key: key.to_vec(), issuer_signs_lists: signs_lists }
    }

    /// Below a trust anchor with this key.
    pub(crate) fn below_anchor(cert: Certificate, public_key_info: &[u8]) -> Self {
        Self { cert, issuer_key: public_key_info.to_vec(), issuer_signs_lists: true }
    }
}

impl Evidence<'_> {
    /// Judges a path that is in order but for this, in the errors of the
    /// verifier that found it.
    pub(crate) fn judge_path(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        let ders =
            std::iter::once(path.end_entity().der()).chain(path.intermediate_certificates().map(webpki::Cert::der));
        let certs = ders.map(|der| Certificate::from_der(&der)).collect::<Result<Vec<_>, _>>();
        let certs = certs.map_err(|_| webpki::Error::BadDer)?;
        self.judge(&links(&certs, Some(&path.anchor().subject_public_key_info))).map_err(|error| match error {
            VerifyError::Revoked => webpki::Error::CertRevoked,
            _ => webpki::Error::UnknownRevocationStatus,
        })
    }

    /// Judges the certificates of a chain, the first one first.
    pub(crate) fn judge(&self, links: &[Link]) -> Result<(), VerifyError> {
        let depth = match self.check {
            RevocationCheck::Never => 0,
            RevocationCheck::Leaf => 1,
            RevocationCheck::WhereKnown | RevocationCheck::Chain => links.len(),
        };
        links.iter().take(depth).try_for_each(|link| self.judge_one(link))
    }

    fn judge_one(&self, link: &Link) -> Result<(), VerifyError> {
        let mut known = self.check == RevocationCheck::WhereKnown;
        let told = self.responses.iter().filter_map(|r| r.tells(&link.cert, &link.issuer_key, self.now));
        for told in told.filter(|told| told.current || self.may_be_old) {
            if told.revoked {
                return Err(VerifyError::Revoked);
            }
            known = true;
        }
        let lists = self.lists.iter().filter(|list| {
            (self.may_be_old || self.now <= list.next_update())
                && list.issuer() == link.cert.issuer()
                && link.issuer_signs_lists
                && list.is_signed_by(&link.issuer_key)
        });
        for list in lists {
            match list.indexed().find_serial(link.cert.serial()) {
                Ok(Some(_)) => return Err(VerifyError::Revoked),
                // One that is about some certificates only does not tell about the others.
                Ok(None) => known |= list.indexed().issuing_distribution_point().is_none(),
                Err(_) => {}
            }
        }
        if known { Ok(()) } else { Err(VerifyError::RevocationUnknown) }
    }
}

/// The links of a chain whose certificates are each below the next, the last
/// one below an anchor with this key, if that is known: an anchor itself is
/// trusted and not asked about.
pub(crate) fn links(chain: &[Certificate], anchor_key: Option<&[u8]>) -> Vec<Link> {
    let pairs = chain.windows(2).filter_map(|pair| match pair {
        [cert, issuer] => Some(Link::below(cert.clone(), issuer)),
        _ => None,
    });
    let last = chain.last().zip(anchor_key).map(|(last, key)| Link::below_anchor(last.clone(), key));
    pairs.chain(last).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::RevocationCheck::{Chain, Leaf, Never, WhereKnown};
    use super::*;
    use crate::ocsp::Status;
    use crate::ocsp_testing::{Answering, respond};
    use crate::testing::{Ca, NOW, at, now};
    use crate::{Fault, Judgement, PeerName, Purpose, TrustAnchors, verify_stapled_server};

    const DAY: i64 = 86_400;

    fn word(verdict: Result<(), VerifyError>) -> String {
        verdict.err().map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"))
    }

    #[test]
    fn lists_and_responses_together() {
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let leaf = between.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let companions = [between.certificate.clone()];
        let judgement = Judgement {
            anchors: &anchors,
            companions: &companions,
            purpose: Purpose::Server,
            name: None,
            common_name: false,
            overlooked: &[],
            revocation: RevocationCheck::default(),
            lists: &[],
            responses: &[],
            now: now(),
        };
        let about =
            |ca: &Ca, cert: &Certificate, status| respond(ca, cert, &Answering { status, ..Answering::at(NOW) });
        let good = about(&between, &leaf, Status::Good);
        let bad = about(&between, &leaf, Status::Revoked);
        let old = respond(&between, &leaf, &Answering::at(NOW - 9 * DAY));
        let old_bad = respond(&between, &leaf, &Answering { status: Status::Revoked, ..Answering::at(NOW - 9 * DAY) });
        let above = about(&root, &between.certificate, Status::Good);
        let bad_above = about(&root, &between.certificate, Status::Revoked);
        let unknown = about(&between, &leaf, Status::Unknown);
        // A key of its own for the same name: a response by it is none.
        let forged = about(&Ca::root("between"), &leaf, Status::Revoked);
        let none = between.revoke(&[], NOW + DAY);
        let outdated = between.revoke(&[], NOW - 60);
        let listed = between.revoke(&[leaf.serial()], NOW + DAY);
        let listed_above = root.revoke(&[between.certificate.serial()], NOW + DAY);
        let none_above = root.revoke(&[], NOW + DAY);
        let cases: [(&[&OcspResponse], &[&RevocationList], [&str; 4]); 18] = [
            (&[], &[], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
            (&[&good], &[], ["ok", "ok", "ok", "RevocationUnknown"]),
            (&[&bad], &[], ["ok", "Revoked", "Revoked", "Revoked"]),
            (&[&unknown], &[], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
            (&[&forged], &[], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
            (&[&old], &[], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
            (&[&old_bad], &[], ["ok", "Revoked", "RevocationUnknown", "RevocationUnknown"]),
            (&[&good, &above], &[], ["ok", "ok", "ok", "ok"]),
            (&[&good, &bad_above], &[], ["ok", "Revoked", "ok", "Revoked"]),
            (&[&above], &[&none], ["ok", "ok", "ok", "ok"]),
            (&[&above], &[&outdated], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
            (&[&good], &[&none_above], ["ok", "ok", "ok", "ok"]),
            (&[&good], &[&listed_above], ["ok", "Revoked", "ok", "Revoked"]),
            (&[&good, &above], &[&listed], ["ok", "Revoked", "Revoked", "Revoked"]),
            (&[&bad], &[&none, &none_above], ["ok", "Revoked", "Revoked", "Revoked"]),
            (&[&old], &[&none], ["ok", "ok", "ok", "RevocationUnknown"]),
            (&[&good, &bad], &[], ["ok", "Revoked", "Revoked", "Revoked"]),
            (&[&above], &[], ["ok", "ok", "RevocationUnknown", "RevocationUnknown"]),
        ];
        for (number, (responses, lists, verdicts)) in cases.into_iter().enumerate() {
            let responses: Vec<_> = responses.iter().map(|r| (*r).clone()).collect();
            let lists: Vec<_> = lists.iter().map(|l| (*l).clone()).collect();
            for (check, verdict) in [Never, WhereKnown, Leaf, Chain].into_iter().zip(verdicts) {
                let judgement =
                    Judgement { responses: &responses, lists: &lists, revocation: check, ..judgement.clone() };
                assert_eq!(word(judgement.verify(&leaf)), verdict, "case {number}, {check:?}");
                // Who overlooks that nothing tells still heeds what is known; who overlooks that one is revoked does not ask.
                let (fault, overlooked) = match verdict {
                    "RevocationUnknown" => (Fault::RevocationUnknown, verdicts[1]),
                    _ => (Fault::Revoked, "ok"),
                };
                let verdict = Judgement { overlooked: &[fault], ..judgement }.verify(&leaf);
                assert_eq!(word(verdict), overlooked, "case {number}, {check:?}");
            }
        }
        // Out of date, which is overlooked.
        let responses = [old];
        let judgement = Judgement { responses: &responses, revocation: Leaf, overlooked: &[Fault::Time], ..judgement };
        assert_eq!(word(judgement.verify(&leaf)), "ok");
        let responses = [old_bad];
        assert_eq!(word(Judgement { responses: &responses, ..judgement }.verify(&leaf)), "Revoked");
    }

    #[test]
    fn stapled() {
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let leaf = between.leaf(&["a.example"]);
        let other = between.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root.certificate)).unwrap();
        let sent = [between.certificate.der().clone()];
        let name = PeerName::parse("a.example").unwrap();
        let verdict = |response: &[u8], offset| {
            word(verify_stapled_server(leaf.der(), &sent, &anchors, Some(&name), at(offset), response))
        };
        let revoked = Answering { status: Status::Revoked, ..Answering::at(NOW) };
        let bad = respond(&between, &leaf, &revoked);
        assert_eq!(verdict(bad.der(), 0), "Revoked");
        assert_eq!(verdict(bad.der(), 9 * DAY), "ok", "out of date");
        assert_eq!(verdict(bad.der(), -DAY), "ok", "not yet");
        assert_eq!(verdict(respond(&between, &leaf, &Answering::at(NOW)).der(), 0), "ok");
        assert_eq!(verdict(respond(&between, &other, &revoked).der(), 0), "ok", "about another");
        assert_eq!(verdict(respond(&Ca::root("between"), &leaf, &revoked).der(), 0), "ok", "signed by another");
        for nothing in [&b""[..], b"nonsense", &[0x30, 3, 0x0a, 1, 3]] {
            assert_eq!(verdict(nothing, 0), "ok");
        }
        let mut forged = bad.der().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(verdict(&forged, 0), "ok");
        // What else is wrong with the chain is still seen, and the name.
        let elsewhere = PeerName::parse("b.example").unwrap();
        let verdict = verify_stapled_server(leaf.der(), &sent, &anchors, Some(&elsewhere), now(), b"x");
        assert!(matches!(verdict, Err(VerifyError::NameMismatch { .. })));
        let verdict = verify_stapled_server(leaf.der(), &[], &anchors, Some(&name), now(), bad.der());
        assert!(matches!(verdict, Err(VerifyError::PartialChain { .. })));
    }
}
