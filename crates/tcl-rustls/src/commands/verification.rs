//! `cert_verify` and `cert_tls_verify`: the judgement of a certificate at a script's wish.

use tcl_stubs::{Interp, Obj};
use tls_certs::{
    CertStore, Fault, Judgement, OcspResponse, PeerName, Purpose, RevocationCheck, RevocationList, TrustAnchors,
    UnixTime, VerifyError,
};

use super::certificates::look_up;
use super::{Body, elements, names, parse_options, stores, wrong_args};
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};

pub(super) const COMMANDS: &[(&str, Body)] = &[("cert_verify", cert_verify), ("cert_tls_verify", cert_tls_verify)];

/// Faults that are never looked for, so that to ignore them changes nothing.
const NEVER_MET: [&str; 2] = ["policy", "validitynesting"];

/// Judges a certificate for a purpose: `tls`, or `base` for any.
fn cert_verify(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, policy, options @ ..] = words else {
        return Err(wrong_args("cert_verify certificate policy ?options?"));
    };
    match policy.to_text().as_str() {
        "tls" => verify(handle, options, false),
        "base" => verify(handle, options, true),
        other @ ("authenticode" | "authenticodets" | "basicconstraints" | "ev" | "microsoftroot" | "ntauth") => {
            Err(Failure::Unsupported(format!("Policy {other} of cert_verify")))
        }
        other => Err(names::invalid("policy", other, &["base", "tls"])),
    }
}

/// Judges a certificate as a TLS peer's: as that of the server NAME with `-server NAME`, else as a client's.
///
/// `-hstore` gives intermediates and revocation lists, `-crls` a list of revocation lists in DER or PEM, `-ocsp` an OCSP
/// response in DER, such as the one in `tls_info`, or a list of several; an empty one is none. `-trustedroots` certificates that are trusted beside the platform's roots. `-revocationcheck` is one of `none`,
/// `leaf`, `excluderoot`, `chain` and `all`, of which the last three mean the same; unlike with these, without the option
/// a certificate is good of which no list and no response tells. `-ignoreerrors` is a list of faults to overlook: `time`,
/// `untrustedroot`, `partialchain`, `unknownca` (the two before), `name` or `cnmatch`, `usage` or `wrongusage`,
/// `revoked`, `revocationunknown` and `revocation` (the two before).
///
/// The result is `ok` or one of the words in `status`. A common name counts as a host name where there are no
/// alternative names, as in the module, though not when a connection is verified automatically.
fn cert_tls_verify(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_tls_verify certificate ?options?"));
    };
    verify(handle, options, false)
}

fn verify(handle: &Obj, options: &[Obj], any_purpose: bool) -> Result<Obj, Failure> {
    let known = ["-server", "-hstore", "-trustedroots", "-ignoreerrors", "-revocationcheck", "-crls", "-ocsp"];
    let [server, store, roots, overlooked, revocation, crls, ocsp] = parse_options(options, known)?;
    let held: HeldCertificate = handles::look_up(&handle.to_text())?;
    let mut sources: Vec<CertStore> = held.store.into_iter().collect();
    if let Some(handle) = store.map(|store| store.to_text()).filter(|handle| !handle.is_empty()) {
        sources.push(handles::look_up(&handle)?);
    }
    let companions: Vec<_> = sources.iter().flat_map(CertStore::contents).collect();
    let mut lists: Vec<RevocationList> = sources.iter().flat_map(CertStore::revocation_lists).collect();
    for list in crls.as_ref().map(elements).transpose()?.unwrap_or_default() {
        lists.push(stores::decode_list(&list)?);
    }
    let responses = ocsp.as_ref().map(responses).transpose()?.unwrap_or_default();
    let mut anchors = TrustAnchors::platform();
    if let Some(list) = roots {
        let roots = elements(&list)?.iter().map(look_up).collect::<Result<Vec<_>, _>>()?;
        anchors = anchors.with_additional(&roots)?;
    }
    let name = server.map(|name| name.to_text()).filter(|name| !name.is_empty());
    let name = name.map(|name| PeerName::parse(&name)).transpose()?;
    let purpose = match &name {
        _ if any_purpose => Purpose::Any,
        Some(_) => Purpose::Server,
        None => Purpose::Client,
    };
    let overlooked = faults(&overlooked.as_ref().map(elements).transpose()?.unwrap_or_default())?;
    let judgement = Judgement {
        anchors: &anchors,
        companions: &companions,
        purpose,
        name: name.as_ref(),
        common_name: true,
        overlooked: &overlooked,
        revocation: revocation_check(revocation.map(|check| check.to_text()).as_deref())?,
        lists: &lists,
        responses: &responses,
        now: UnixTime::now(),
    };
    Ok(Obj::text(judgement.verify(&held.certificate).map_or_else(|fault| status(&fault), |()| "ok")))
}

/// One OCSP response in DER, or a list of them.
///
/// # Errors
/// One cannot be read.
pub(super) fn responses(value: &Obj) -> Result<Vec<OcspResponse>, Failure> {
    let whole = OcspResponse::from_der(&value.to_bytes()?);
    match (whole, value.elements()) {
        (Ok(response), _) => Ok(vec![response]),
        // Binary data need not be a list at all.
        (Err(error), Err(_)) => Err(error.into()),
        (Err(_), Ok(list)) => list.iter().map(|one| Ok(OcspResponse::from_der(&one.to_bytes()?)?)).collect(),
    }
}

fn revocation_check(word: Option<&str>) -> Result<RevocationCheck, Failure> {
    Ok(match word {
        None => RevocationCheck::WhereKnown,
        Some("none") => RevocationCheck::Never,
        Some("leaf") => RevocationCheck::Leaf,
        Some("chain" | "excluderoot" | "all") => RevocationCheck::Chain,
        Some(other) => {
            return Err(names::invalid("revocation check", other, &["all", "chain", "excluderoot", "leaf", "none"]));
        }
    })
}

fn faults(words: &[Obj]) -> Result<Vec<Fault>, Failure> {
    let mut faults = Vec::new();
    for word in words {
        let word = word.to_text();
        let meant: &[Fault] = match word.as_str() {
            "time" => &[Fault::Time],
            "untrustedroot" => &[Fault::UntrustedRoot],
            "partialchain" => &[Fault::PartialChain],
            "unknownca" => &[Fault::UntrustedRoot, Fault::PartialChain],
            "name" | "cnmatch" => &[Fault::Name],
            "usage" | "wrongusage" => &[Fault::Usage],
            "revoked" => &[Fault::Revoked],
            "revocationunknown" => &[Fault::RevocationUnknown],
            "revocation" => &[Fault::Revoked, Fault::RevocationUnknown],
            other if NEVER_MET.contains(&other) => &[],
            "signature" | "basicconstraints" | "nameconstraints" | "extension" | "criticalextensions" | "invalid" => {
                return Err(Failure::BadArguments(format!("The fault '{word}' is never overlooked.")));
            }
            other => {
                let known = [
                    "cnmatch",
                    "name",
                    "partialchain",
                    "revocation",
                    "revocationunknown",
                    "revoked",
                    "time",
                    "unknownca",
                    "untrustedroot",
                    "usage",
                    "wrongusage",
                ];
                return Err(names::invalid("fault", other, &known));
            }
        };
        faults.extend_from_slice(meant);
    }
    Ok(faults)
}

/// The module's word for a fault.
fn status(fault: &VerifyError) -> &'static str {
    match fault {
        VerifyError::UntrustedRoot { .. } => "untrustedroot",
        VerifyError::PartialChain { .. } => "partialchain",
        VerifyError::Expired { .. } | VerifyError::NotYetValid { .. } => "time",
        VerifyError::NameMismatch { .. } => "cnmatch",
        VerifyError::WrongUsage => "wrongusage",
        VerifyError::BadSignature | VerifyError::UnsupportedAlgorithm => "signature",
        VerifyError::Revoked => "revoked",
        VerifyError::RevocationUnknown => "revocationunknown",
        VerifyError::BasicConstraints => "basicconstraints",
        VerifyError::NameConstraints => "nameconstraints",
        VerifyError::UnknownCriticalExtension => "extension",
        _ => "invalid",
    }
}
