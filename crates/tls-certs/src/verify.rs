//! The judgement of a peer's certificate (RFC 5280, section 6; RFC 9525).

use std::borrow::Cow;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RevocationOptions, VerifiedPath};

use crate::anchors::TrustAnchors;
use crate::certificate::Certificate;
use crate::general_name::GeneralName;
use crate::judgement::RevocationCheck;
use crate::ocsp::OcspResponse;
use crate::peer_name::PeerName;
use crate::revocation::Evidence;
use crate::rustls_verifier;
use crate::verify_error::VerifyError;

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// Judges a server's certificate: its chain to one of `anchors`, its validity
/// at `now`, its usage and, if given, its `name`.
///
/// `intermediates` is what the server sent along, in any order. A self-issued
/// certificate that is one of `anchors` itself is a chain of its own. What is
/// wrong with the chain is reported before a name that does not match.
pub fn verify_server(
    cert: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    name: Option<&PeerName>,
    now: UnixTime,
) -> Result<(), VerifyError> {
    Check::new(anchors, now, Purpose::Server).chain(cert, intermediates)?;
    name.map_or(Ok(()), |name| verify_name(cert, name))
}

/// The same with the OCSP response that the server sent along, in DER
/// (RFC 6066, section 8): what it says to be revoked is refused. It need not
/// tell anything, nor even be readable.
pub fn verify_stapled_server(
    cert: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    name: Option<&PeerName>,
    now: UnixTime,
    response: &[u8],
) -> Result<(), VerifyError> {
    let Ok(response) = OcspResponse::from_der(response) else {
        return verify_server(cert, intermediates, anchors, name, now);
    };
    let responses = [response];
    let evidence = Evidence {
        check: RevocationCheck::WhereKnown,
        responses: &responses,
        lists: &[],
        now: seconds(now),
        may_be_old: false,
    };
    let check = Check { evidence: Some(evidence), ..Check::new(anchors, now, Purpose::Server) };
    check.chain(cert, intermediates)?;
    name.map_or(Ok(()), |name| verify_name(cert, name))
}

/// Judges a client's certificate, like [`verify_server`] but as a client's
/// and without a name.
pub fn verify_client(
    cert: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<(), VerifyError> {
    Check::new(anchors, now, Purpose::Client).chain(cert, intermediates)
}

/// What a certificate is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A TLS server's.
    Server,
    /// A TLS client's.
    Client,
    /// Anything.
    Any,
}

/// How a chain is judged.
#[derive(Clone)]
pub(crate) struct Check<'a> {
    pub(crate) anchors: Cow<'a, TrustAnchors>,
    pub(crate) now: UnixTime,
    pub(crate) purpose: Purpose,
    pub(crate) revocation: Option<RevocationOptions<'a>>,
    /// What else tells of revoked certificates.
    pub(crate) evidence: Option<Evidence<'a>>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(anchors: &'a TrustAnchors, now: UnixTime, purpose: Purpose) -> Self {
        Self { anchors: Cow::Borrowed(anchors), now, purpose, revocation: None, evidence: None }
    }

    pub(crate) fn chain(
        &self,
        cert: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), VerifyError> {
        if self.anchors.contains(cert) {
            let parsed = parse(cert)?;
            if parsed.is_self_issued() {
                return verify_trusted(&parsed, self.now, self.purpose);
            }
        }
        let provider = rustls_verifier::provider();
        let end_entity = EndEntityCert::try_from(cert).map_err(explain)?;
        let judge_path = |path: &VerifiedPath<'_>| self.evidence.map_or(Ok(()), |evidence| evidence.judge_path(path));
        let verdict = end_entity.verify_for_usage(
            provider.signature_verification_algorithms.all,
            self.anchors.as_slice(),
            intermediates,
            self.now,
            self.purpose,
            self.revocation,
            Some(&judge_path),
        );
        match verdict {
            Ok(_) => Ok(()),
            Err(webpki::Error::UnknownIssuer) => Err(unknown_issuer(cert, intermediates)),
            // A certificate that signed itself is not refused for being a CA's,
            // but for being trusted by nobody.
            Err(webpki::Error::CaUsedAsEndEntity) if parse(cert).is_ok_and(|parsed| parsed.is_self_issued()) => {
                Err(unknown_issuer(cert, intermediates))
            }
            Err(error) => Err(explain(error)),
        }
    }
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, iter: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        match self {
            Self::Server => KeyUsage::server_auth().validate(iter),
            Self::Client => KeyUsage::client_auth().validate(iter),
            Self::Any => Ok(()),
        }
    }
}

/// Judges a certificate that is trusted itself, so has no chain.
pub(crate) fn verify_trusted(cert: &Certificate, now: UnixTime, purpose: Purpose) -> Result<(), VerifyError> {
    verify_time(cert, now)?;
    let wanted = match purpose {
        Purpose::Server => SERVER_AUTH,
        Purpose::Client => CLIENT_AUTH,
        Purpose::Any => return Ok(()),
    };
    match cert.extended_key_usage() {
        Some(purposes) if !purposes.iter().any(|p| p == wanted || p == ANY_PURPOSE) => Err(VerifyError::WrongUsage),
        _ => Ok(()),
    }
}

/// Judges the validity of one certificate.
pub(crate) fn verify_time(cert: &Certificate, now: UnixTime) -> Result<(), VerifyError> {
    let validity = cert.validity();
    let now = seconds(now);
    if now > validity.not_after {
        return Err(VerifyError::Expired { not_after: validity.not_after, now });
    }
    if now < validity.not_before {
        return Err(VerifyError::NotYetValid { not_before: validity.not_before, now });
    }
    Ok(())
}

pub(crate) fn verify_name(cert: &CertificateDer<'_>, name: &PeerName) -> Result<(), VerifyError> {
    let end_entity = EndEntityCert::try_from(cert).map_err(explain)?;
    match end_entity.verify_is_valid_for_subject_name(&name.to_rustls()) {
        Ok(()) => Ok(()),
        Err(webpki::Error::CertNotValidForName(_)) => {
            Err(VerifyError::NameMismatch { wanted: name.to_string(), presented: presented_names(cert) })
        }
        Err(error) => Err(explain(error)),
    }
}

/// The hosts and addresses that a certificate is for.
fn presented_names(cert: &CertificateDer<'_>) -> Vec<String> {
    let names = parse(cert).map(|parsed| parsed.subject_alt_names());
    let names = names.unwrap_or_default().into_iter();
    names.filter(|name| matches!(name, GeneralName::Dns(_) | GeneralName::Ip(_))).map(|name| name.to_string()).collect()
}

/// Tells a chain that ends at an untrusted root from one that just ends.
pub(crate) fn unknown_issuer(cert: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> VerifyError {
    let Ok(mut last) = parse(cert) else {
        return VerifyError::UntrustedRoot { root: String::new() };
    };
    let mut others: Vec<_> = intermediates.iter().filter_map(|d| parse(d).ok()).collect();
    while !last.is_self_issued() {
        // Taken out, so that names in a circle come to an end.
        let Some(index) = others.iter().position(|c| c.subject() == last.issuer()) else {
            return VerifyError::PartialChain { issuer: last.issuer().rfc4514() };
        };
        last = others.swap_remove(index);
    }
    VerifyError::UntrustedRoot { root: last.subject().rfc4514() }
}

fn explain(error: webpki::Error) -> VerifyError {
    use webpki::Error as E;
    match error {
        E::CertExpired { time, not_after } => {
            VerifyError::Expired { not_after: seconds(not_after), now: seconds(time) }
        }
        E::CertNotValidYet { time, not_before } => {
            VerifyError::NotYetValid { not_before: seconds(not_before), now: seconds(time) }
        }
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => VerifyError::WrongUsage,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => VerifyError::BadSignature,
        E::CertRevoked | E::CertDistrusted => VerifyError::Revoked,
        E::UnknownRevocationStatus
        | E::CrlExpired { .. }
        | E::IssuerNotCrlSigner
        | E::InvalidCrlSignatureForPublicKey
        | E::UnsupportedCrlSignatureAlgorithmContext(_)
        | E::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => VerifyError::RevocationUnknown,
        E::CaUsedAsEndEntity | E::EndEntityUsedAsCa | E::PathLenConstraintViolated | E::MaximumPathDepthExceeded => {
            VerifyError::BasicConstraints
        }
        E::NameConstraintViolation => VerifyError::NameConstraints,
        E::UnsupportedCriticalExtension => VerifyError::UnknownCriticalExtension,
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            VerifyError::UnsupportedAlgorithm
        }
        E::BadDer
        | E::BadDerTime
        | E::TrailingData(_)
        | E::ExtensionValueInvalid
        | E::InvalidCertValidity
        | E::InvalidSerialNumber
        | E::MalformedDnsIdentifier
        | E::MalformedExtensions
        | E::MalformedNameConstraint
        | E::InvalidNetworkMaskConstraint
        | E::UnsupportedCertVersion => VerifyError::BadEncoding(format!("{error:?}")),
        E::UnknownIssuer => VerifyError::UntrustedRoot { root: String::new() },
        other => VerifyError::Other(format!("{other:?}")),
    }
}

fn parse(der: &CertificateDer<'_>) -> Result<Certificate, VerifyError> {
    Certificate::from_der(der).map_err(|e| VerifyError::BadEncoding(e.to_string()))
}

/// `time` as certificates count it.
pub(crate) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints};

    use super::*;
    use crate::certificate::Validity;
    use crate::testing::{self, Ca, NOW, at, ca_params, leaf_params, now, self_signed};

    /// A chain of three, with the root trusted.
    struct Chain {
        root: Ca,
        intermediate: Ca,
    }

    impl Chain {
        fn new() -> Self {
            let root = Ca::root("root");
            let intermediate = root.intermediate("intermediate");
            Self { root, intermediate }
        }

        fn verify(&self, leaf: &Certificate, name: &str) -> Result<(), VerifyError> {
            self.verify_at(leaf, name, now())
        }

        fn verify_at(&self, leaf: &Certificate, name: &str, now: UnixTime) -> Result<(), VerifyError> {
            let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&self.root.certificate));
            let name = PeerName::parse(name).unwrap();
            let sent = [self.intermediate.certificate.der().clone()];
            verify_server(leaf.der(), &sent, &anchors.unwrap(), Some(&name), now)
        }
    }

    #[test]
    fn good_chain() {
        let chain = Chain::new();
        let names = ["a.example", "*.b.example", "127.0.0.1", "::1"];
        let leaf = chain.intermediate.leaf(&names);
        for name in ["a.example", "A.EXAMPLE.", "x.b.example", "127.0.0.1", "[::1]"] {
            assert_eq!(chain.verify(&leaf, name), Ok(()), "{name}");
        }
        let direct = chain.root.leaf(&["a.example"]);
        assert_eq!(chain.verify(&direct, "a.example"), Ok(()));
    }

    #[test]
    fn wrong_name() {
        let chain = Chain::new();
        let leaf = chain.intermediate.leaf(&["a.example", "*.b.example", "127.0.0.1"]);
        for name in ["b.example", "x.y.b.example", "xb.example", "a.example.org", "leaf", "127.0.0.2", "::1"] {
            assert_eq!(
                chain.verify(&leaf, name),
                Err(VerifyError::NameMismatch {
                    wanted: name.to_owned(),
                    presented: vec!["a.example".to_owned(), "*.b.example".to_owned(), "127.0.0.1".to_owned()],
                })
            );
        }
        let error = chain.verify(&chain.root.leaf(&["a.example"]), "b.example");
        assert_eq!(error.unwrap_err().to_string(), "the certificate is for a.example, not b.example");
        // An address is never matched as a DNS name, nor the common name at all.
        let text = chain.root.leaf(&[]);
        assert_eq!(
            chain.verify(&text, "127.0.0.1").unwrap_err().to_string(),
            "the certificate holds no host name or address, so it is not for 127.0.0.1"
        );
    }

    #[test]
    fn no_name_asked() {
        let chain = Chain::new();
        let leaf = chain.root.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(&[chain.root.certificate]).unwrap();
        assert_eq!(verify_server(leaf.der(), &[], &anchors, None, now()), Ok(()));
    }

    #[test]
    fn validity() {
        let chain = Chain::new();
        let leaf = chain.intermediate.leaf(&["a.example"]);
        let Validity { not_before, not_after } = leaf.validity();
        let verify = |time: i64| chain.verify_at(&leaf, "a.example", at(time - NOW));
        assert_eq!(verify(not_after), Ok(()));
        assert_eq!(verify(not_before), Ok(()));
        let late = not_after + 1;
        let expired = VerifyError::Expired { not_after, now: late };
        let text = "the certificate expired on 2026-06-01 00:00:00 UTC; the clock here says 2026-06-01 00:00:01 UTC";
        assert_eq!(expired.to_string(), text);
        assert_eq!(verify(late), Err(expired));
        let early = not_before - 1;
        let not_yet = VerifyError::NotYetValid { not_before, now: early };
        let text =
            "the certificate is not valid before 2024-06-01 00:00:00 UTC; the clock here says 2024-05-31 23:59:59 UTC";
        assert_eq!(not_yet.to_string(), text);
        assert_eq!(verify(early), Err(not_yet));
    }

    #[test]
    fn chain_before_name() {
        let chain = Chain::new();
        let leaf = chain.intermediate.leaf(&["a.example"]);
        let later = at(2 * 365 * 86_400);
        let error = chain.verify_at(&leaf, "b.example", later).unwrap_err();
        assert!(matches!(error, VerifyError::Expired { .. }));
        let other = Chain::new();
        let stranger = Ca::root("stranger").leaf(&["a.example"]);
        let error = other.verify(&stranger, "b.example").unwrap_err();
        assert!(matches!(error, VerifyError::PartialChain { .. }));
    }

    #[test]
    fn usage() {
        let chain = Chain::new();
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&chain.root.certificate)).unwrap();
        let mut params = leaf_params(&["a.example"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = chain.root.leaf_of(&params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = chain.root.leaf_of(&params);
        params.extended_key_usages = Vec::new();
        let either = chain.root.leaf_of(&params);
        let as_client = |c: &Certificate| verify_client(c.der(), &[], &anchors, now());
        assert_eq!(chain.verify(&client, "a.example"), Err(VerifyError::WrongUsage));
        assert_eq!(as_client(&client), Ok(()));
        assert_eq!(chain.verify(&server, "a.example"), Ok(()));
        assert_eq!(as_client(&server), Err(VerifyError::WrongUsage));
        assert_eq!(chain.verify(&either, "a.example"), Ok(()));
        assert_eq!(as_client(&either), Ok(()));
    }

    #[test]
    fn untrusted_and_partial() {
        let stranger = Ca::root("stranger");
        let below = stranger.intermediate("below");
        let leaf = below.leaf(&["a.example"]);
        let anchors = TrustAnchors::empty();
        let root = stranger.certificate.der().clone();
        let intermediate = below.certificate.der().clone();
        let verify = |sent: &[CertificateDer<'_>]| verify_server(leaf.der(), sent, &anchors, None, now()).unwrap_err();
        let partial = verify(&[]);
        assert_eq!(partial, VerifyError::PartialChain { issuer: "CN=below".to_owned() });
        assert_eq!(
            verify(std::slice::from_ref(&intermediate)),
            VerifyError::PartialChain { issuer: "CN=stranger".to_owned() }
        );
        let untrusted = verify(&[root, intermediate]);
        assert_eq!(untrusted, VerifyError::UntrustedRoot { root: "CN=stranger".to_owned() });
        assert_eq!(untrusted.to_string(), "the certificate's issuer \"CN=stranger\" is not trusted");
    }

    #[test]
    fn names_in_a_circle() {
        let a = Ca::root("a");
        let b = a.intermediate("b");
        let a_by_b = b.intermediate("a");
        let leaf = b.leaf(&["a.example"]);
        let sent = [b.certificate.der().clone(), a_by_b.certificate.der().clone()];
        let error = verify_server(leaf.der(), &sent, &TrustAnchors::empty(), None, now());
        assert!(matches!(error, Err(VerifyError::PartialChain { .. })));
    }

    #[test]
    fn forged_signature() {
        let chain = Chain::new();
        let impostor = Ca::root("root").leaf(&["a.example"]);
        assert_eq!(chain.verify(&impostor, "a.example"), Err(VerifyError::BadSignature));
    }

    #[test]
    fn ca_rules() {
        let chain = Chain::new();
        let ca = chain.root.intermediate_of({
            let mut params = ca_params("ca");
            params.subject_alt_names = leaf_params(&["a.example"]).subject_alt_names;
            params
        });
        assert_eq!(chain.verify(&ca.certificate, "a.example"), Err(VerifyError::BasicConstraints));

        let mut params = ca_params("intermediate");
        params.is_ca = IsCa::ExplicitNoCa;
        let no_ca = chain.root.intermediate_of(params);
        let forged = Chain { root: chain.root, intermediate: no_ca };
        let leaf = forged.intermediate.leaf(&["a.example"]);
        assert_eq!(forged.verify(&leaf, "a.example"), Err(VerifyError::BasicConstraints));

        let root = Ca::root("root");
        let mut params = ca_params("one");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let one = root.intermediate_of(params);
        let two = one.intermediate("two");
        let leaf = two.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(&[root.certificate]).unwrap();
        let sent = [one.certificate.der().clone(), two.certificate.der().clone()];
        assert_eq!(verify_server(leaf.der(), &sent, &anchors, None, now()), Err(VerifyError::BasicConstraints));
    }

    #[test]
    fn name_constraints() {
        let root = Ca::root("root");
        let mut params = ca_params("limited");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("b.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let chain = Chain { intermediate: root.intermediate_of(params), root };
        let leaf = chain.intermediate.leaf(&["a.b.example"]);
        assert_eq!(chain.verify(&leaf, "a.b.example"), Ok(()));
        let leaf = chain.intermediate.leaf(&["a.example"]);
        assert_eq!(chain.verify(&leaf, "a.example"), Err(VerifyError::NameConstraints));
    }

    #[test]
    fn self_signed_servers() {
        let mut params = leaf_params(&["a.example"]);
        let plain = self_signed(&params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let as_openssl_makes_it = self_signed(&params);
        let name = PeerName::parse("a.example").unwrap();
        let other = PeerName::parse("b.example").unwrap();
        for cert in [&plain, &as_openssl_makes_it] {
            let trusted = TrustAnchors::from_certificates(std::slice::from_ref(cert)).unwrap();
            let verify = |anchors: &TrustAnchors, name: &PeerName, time| {
                verify_server(cert.der(), &[], anchors, Some(name), time)
            };
            assert_eq!(verify(&trusted, &name, now()), Ok(()));
            assert!(matches!(verify(&trusted, &other, now()), Err(VerifyError::NameMismatch { .. })));
            assert!(matches!(verify(&trusted, &other, at(2 * 365 * 86_400)), Err(VerifyError::Expired { .. })));
            assert!(matches!(verify(&trusted, &other, at(-2 * 365 * 86_400)), Err(VerifyError::NotYetValid { .. })));
            assert_eq!(
                verify(&TrustAnchors::empty(), &name, now()),
                Err(VerifyError::UntrustedRoot { root: "CN=leaf".to_owned() })
            );
        }
        // Trust in one is none in another of the same name.
        let trusted = TrustAnchors::from_certificates(&[plain]).unwrap();
        assert!(verify_server(as_openssl_makes_it.der(), &[], &trusted, Some(&name), now()).is_err());
    }

    #[test]
    fn self_signed_usage() {
        let mut params = leaf_params(&["a.example"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = self_signed(&params);
        let trusted = TrustAnchors::from_certificates(std::slice::from_ref(&cert)).unwrap();
        assert_eq!(verify_server(cert.der(), &[], &trusted, None, now()), Err(VerifyError::WrongUsage));
        assert_eq!(verify_client(cert.der(), &[], &trusted, now()), Ok(()));
    }

    #[test]
    fn a_trusted_leaf_that_others_signed_is_no_chain() {
        let root = Ca::root("root");
        let leaf = root.leaf(&["a.example"]);
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&leaf)).unwrap();
        assert!(matches!(verify_server(leaf.der(), &[], &anchors, None, now()), Err(VerifyError::PartialChain { .. })));
    }

    #[test]
    fn rubbish_is_refused() {
        let chain = Chain::new();
        let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&chain.root.certificate)).unwrap();
        let leaf = chain.intermediate.leaf(&["a.example"]);
        let sent = chain.intermediate.certificate.der();
        let name = PeerName::parse("a.example").unwrap();
        let mut noise = testing::Noise::new(7);
        for _ in 0..2000 {
            let bad_leaf = noise.damage(leaf.der());
            if bad_leaf != **leaf.der() {
                let cert = CertificateDer::from(bad_leaf);
                let intermediates = std::slice::from_ref(sent);
                let verdict = verify_server(&cert, intermediates, &anchors, Some(&name), now());
                assert!(verdict.is_err());
            }
            let bad_sent = noise.damage(sent);
            if bad_sent != **sent {
                let bad = [CertificateDer::from(bad_sent)];
                assert!(verify_server(leaf.der(), &bad, &anchors, Some(&name), now()).is_err());
            }
        }
        let empty = CertificateDer::from(Vec::new());
        assert!(matches!(verify_server(&empty, &[], &anchors, None, now()), Err(VerifyError::BadEncoding(_))));
    }
}
