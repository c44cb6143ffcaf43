//! Certificates.

use tcl_stubs::{Interp, Obj};
use tls_certs::{Certificate, Name, PeerName, TrustAnchors, UnixTime, VerifyError};

use super::{Body, elements, parse_options, wrong_args};
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("cert_import", cert_import),
    ("cert_export", cert_export),
    ("cert_duplicate", cert_duplicate),
    ("cert_release", cert_release),
    ("cert_subject_name", cert_subject_name),
    ("cert_issuer_name", cert_issuer_name),
    ("cert_info", cert_info),
    ("cert_thumbprint", cert_thumbprint),
    ("cert_tls_verify", cert_tls_verify),
];

/// A certificate in DER or PEM, told apart by how it begins.
///
/// # Errors
/// It is neither.
pub(super) fn decode(encoded: &Obj) -> Result<Certificate, Failure> {
    let bytes = encoded.to_bytes()?;
    Ok(if bytes.first() == Some(&0x30) { Certificate::from_der(&bytes)? } else { Certificate::from_pem(&bytes)? })
}

fn cert_import(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [encoded, options @ ..] = words else {
        return Err(wrong_args("cert_import encodedcert ?-encoding der|pem?"));
    };
    let [encoding] = parse_options(options, ["-encoding"])?;
    let certificate = match encoding.map(|encoding| encoding.to_text()).as_deref() {
        None => decode(encoded)?,
        Some("der") => Certificate::from_der(&encoded.to_bytes()?)?,
        Some("pem") => Certificate::from_pem(encoded.to_text().as_bytes())?,
        Some(other) => return Err(bad_encoding(other)),
    };
    Ok(Obj::text(&handles::hold(HeldCertificate { certificate, store: None })))
}

fn cert_export(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_export certificate ?-encoding der|pem?"));
    };
    let certificate = look_up(handle)?;
    let [encoding] = parse_options(options, ["-encoding"])?;
    match encoding.map(|encoding| encoding.to_text()).as_deref() {
        None | Some("pem") => Ok(Obj::text(&certificate.to_pem())),
        Some("der") => Ok(Obj::bytes(certificate.der())),
        Some(other) => Err(bad_encoding(other)),
    }
}

fn cert_duplicate(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("cert_duplicate certificate")) };
    let held: HeldCertificate = handles::look_up(&handle.to_text())?;
    Ok(Obj::text(&handles::hold(held)))
}

fn cert_release(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("cert_release certificate")) };
    handles::release::<HeldCertificate>(&handle.to_text())?;
    Ok(Obj::text(""))
}

fn cert_subject_name(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_subject_name certificate ?-name type? ?-format format?"));
    };
    name_text(look_up(handle)?.subject(), options)
}

fn cert_issuer_name(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_issuer_name certificate ?-name type? ?-format format?"));
    };
    name_text(look_up(handle)?.issuer(), options)
}

/// The fields of a certificate as options and values. Times are in seconds since the epoch, as `clock format` takes
/// them.
fn cert_info(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("cert_info certificate")) };
    let certificate = look_up(handle)?;
    let validity = certificate.validity();
    let key = certificate.public_key();
    let extensions = certificate.extensions().into_iter().map(|extension| {
        Obj::list([Obj::text(&extension.oid), Obj::from(extension.critical), Obj::bytes(&extension.der)])
    });
    Ok(Obj::dict([
        ("-version", Obj::integer(certificate.version().into())),
        ("-serialnumber", Obj::text(&hexadecimal(certificate.serial(), ":"))),
        ("-signaturealgorithm", Obj::text(certificate.signature_algorithm())),
        ("-issuer", Obj::text(&certificate.issuer().x500())),
        ("-start", Obj::integer(validity.not_before)),
        ("-end", Obj::integer(validity.not_after)),
        ("-subject", Obj::text(&certificate.subject().x500())),
        ("-publickey", Obj::list([Obj::text(&key.algorithm), Obj::integer(i64::try_from(key.bits).unwrap_or(0))])),
        ("-extensions", Obj::list(extensions)),
    ]))
}

fn cert_thumbprint(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_thumbprint certificate ?-algorithm sha1|sha256?"));
    };
    let certificate = look_up(handle)?;
    let [algorithm] = parse_options(options, ["-algorithm"])?;
    match algorithm.map(|algorithm| algorithm.to_text()).as_deref() {
        None | Some("sha1") => Ok(Obj::text(&hexadecimal(&certificate.sha1_thumbprint(), ""))),
        Some("sha256") => Ok(Obj::text(&hexadecimal(&certificate.sha256_thumbprint(), ""))),
        Some(other) => Err(Failure::BadArguments(format!("Invalid algorithm '{other}'. Must be one of sha1, sha256."))),
    }
}

/// Judges a certificate as a TLS peer's; `ok`, or what is wrong with it.
fn cert_tls_verify(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_tls_verify certificate ?options?"));
    };
    let known = ["-server", "-hstore", "-trustedroots", "-ignoreerrors", "-revocationcheck"];
    let [server, store, roots, ignored, revocation] = parse_options(options, known)?;
    let ignored = ignored.as_ref().map(elements).transpose()?.unwrap_or_default();
    if !ignored.is_empty() {
        return Err(Failure::Unsupported("Option -ignoreerrors of cert_tls_verify".to_owned()));
    }
    match revocation.map(|check| check.to_text()).as_deref() {
        None | Some("none") => {}
        Some(_) => return Err(Failure::Unsupported("Option -revocationcheck of cert_tls_verify".to_owned())),
    }
    let held: HeldCertificate = handles::look_up(&handle.to_text())?;
    let mut companions = held.store.map(|store| store.contents()).unwrap_or_default();
    if let Some(handle) = store.map(|store| store.to_text()).filter(|handle| !handle.is_empty()) {
        companions.extend(handles::look_up::<tls_certs::CertStore>(&handle)?.contents());
    }
    let intermediates: Vec<_> = companions.iter().map(|companion| companion.der().clone()).collect();
    let mut anchors = TrustAnchors::platform();
    if let Some(list) = roots {
        let roots = elements(&list)?.iter().map(look_up).collect::<Result<Vec<_>, _>>()?;
        anchors = anchors.with_additional(&roots)?;
    }
    let now = UnixTime::now();
    let leaf = held.certificate.der();
    let verdict = match server.map(|name| name.to_text()).filter(|name| !name.is_empty()) {
        Some(name) => tls_certs::verify_server(leaf, &intermediates, &anchors, Some(&PeerName::parse(&name)?), now),
        None => tls_certs::verify_client(leaf, &intermediates, &anchors, now),
    };
    Ok(Obj::text(match verdict {
        Ok(()) => "ok",
        Err(fault) => status(&fault),
    }))
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
        VerifyError::BasicConstraints => "basicconstraints",
        VerifyError::NameConstraints => "nameconstraints",
        VerifyError::UnknownCriticalExtension => "extension",
        _ => "invalid",
    }
}

/// A name in the form that the options ask for.
fn name_text(name: &Name, options: &[Obj]) -> Result<Obj, Failure> {
    let [kind, format, separator] = parse_options(options, ["-name", "-format", "-separator"])?;
    if separator.is_some() {
        return Err(Failure::Unsupported("Option -separator of certificate names".to_owned()));
    }
    let kind = kind.map_or_else(|| "rdn".to_owned(), |kind| kind.to_text());
    let attribute = |oid: &str| name.attribute(oid).unwrap_or_default().to_owned();
    let text = match kind.as_str() {
        "rdn" => match format.map_or_else(|| "x500".to_owned(), |format| format.to_text()).as_str() {
            "x500" => name.x500(),
            "rfc4514" => name.rfc4514(),
            other => {
                return Err(Failure::BadArguments(format!("Invalid format '{other}'. Must be one of x500, rfc4514.")));
            }
        },
        "simpledisplay" | "friendlydisplay" => name.simple_display(),
        "email" => attribute("1.2.840.113549.1.9.1"),
        "oid_common_name" => attribute("2.5.4.3"),
        oid if oid.chars().all(|c| c.is_ascii_digit() || c == '.') && oid.contains('.') => attribute(oid),
        other => {
            return Err(Failure::BadArguments(format!(
                "Invalid name type '{other}'. Must be an OID or one of email, friendlydisplay, oid_common_name, rdn, \
                 simpledisplay."
            )));
        }
    };
    Ok(Obj::text(&text))
}

fn look_up(handle: &Obj) -> Result<Certificate, Failure> {
    handles::look_up::<HeldCertificate>(&handle.to_text()).map(|held| held.certificate)
}

fn bad_encoding(name: &str) -> Failure {
    Failure::BadArguments(format!("Invalid encoding '{name}'. Must be one of der, pem."))
}

fn hexadecimal(bytes: &[u8], separator: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(separator)
}
