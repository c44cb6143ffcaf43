//! Certificates.

use tcl_stubs::{Interp, Obj};
use tls_certs::{Certificate, Name};

use super::{Body, names, parse_options, wrong_args};
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
    ("cert_extension", cert_extension),
    ("cert_key_usage", cert_key_usage),
    ("cert_enhkey_usage", cert_enhkey_usage),
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
/// them; what is not in the certificate is empty.
fn cert_info(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("cert_info certificate")) };
    let certificate = look_up(handle)?;
    let validity = certificate.validity();
    let key = certificate.public_key();
    let id = |id: Option<Vec<u8>>| Obj::text(&hexadecimal(&id.unwrap_or_default(), ":"));
    let constraints = certificate.basic_constraints();
    Ok(Obj::dict([
        ("-version", Obj::integer(certificate.version().into())),
        ("-serialnumber", Obj::bytes(magnitude(certificate.serial()))),
        ("-signaturealgorithm", Obj::text(certificate.signature_algorithm())),
        ("-issuer", Obj::text(&certificate.issuer().x500())),
        ("-start", Obj::integer(validity.not_before)),
        ("-end", Obj::integer(validity.not_after)),
        ("-subject", Obj::text(&certificate.subject().x500())),
        ("-publickey", Obj::list([Obj::text(&key.algorithm), Obj::integer(i64::try_from(key.bits).unwrap_or(0))])),
        ("-curve", Obj::text(key.parameter.as_deref().map_or("", names::curve))),
        ("-altnames", names::alt_names(&certificate.subject_alt_names())),
        ("-keyusage", Obj::words(certificate.key_usage().map(names::key_usage).unwrap_or_default())),
        ("-enhkeyusage", Obj::words(certificate.extended_key_usage().unwrap_or_default())),
        ("-basicconstraints", constraints.map_or_else(|| Obj::text(""), names::basic_constraints)),
        ("-subjectkeyid", id(certificate.subject_key_id())),
        ("-authoritykeyid", id(certificate.authority_key_id())),
        ("-extensions", names::extensions(&certificate.extensions())),
        ("-privatekey", Obj::from(certificate.private_key().is_some())),
    ]))
}

/// `{CRITICAL VALUE}` of an extension, an OID in dotted decimal or one of the names in `names.rs`; VALUE is its DER in
/// binary. Empty if the certificate has no such extension.
fn cert_extension(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, oid] = words else { return Err(wrong_args("cert_extension certificate oid")) };
    let certificate = look_up(handle)?;
    let oid = names::extension_oid(&oid.to_text())?;
    let extension = certificate.extensions().into_iter().find(|extension| extension.oid == oid);
    Ok(extension.map_or_else(
        || Obj::text(""),
        |extension| Obj::list([Obj::from(extension.critical), Obj::bytes(&extension.der)]),
    ))
}

/// What the key may be used for, as words (`digital_signature` …); `*` if the certificate does not say.
fn cert_key_usage(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("cert_key_usage certificate")) };
    let usage = look_up(handle)?.key_usage();
    Ok(usage.map_or_else(|| Obj::text("*"), |flags| Obj::words(names::key_usage(flags))))
}

/// The purposes of the certificate as OIDs in dotted decimal; `*` if it does not say. A certificate here has no
/// properties beside its contents, so SOURCE may be `extension` or `both`.
fn cert_enhkey_usage(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let (handle, source) = match words {
        [handle] => (handle, "both".to_owned()),
        [handle, source] => (handle, source.to_text()),
        _ => return Err(wrong_args("cert_enhkey_usage certificate ?source?")),
    };
    if !["both", "extension"].contains(&source.as_str()) {
        return Err(Failure::BadArguments(format!("Invalid source '{source}'. Must be one of both, extension.")));
    }
    let purposes = look_up(handle)?.extended_key_usage();
    Ok(purposes.map_or_else(|| Obj::text("*"), Obj::words))
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

/// A name in the form that the options ask for.
fn name_text(name: &Name, options: &[Obj]) -> Result<Obj, Failure> {
    let [kind, format, separator] = parse_options(options, ["-name", "-format", "-separator"])?;
    let separator = match separator.map(|separator| separator.to_text()).as_deref() {
        None | Some("comma") => ", ",
        Some("semicolon") => "; ",
        Some("newline") => "\n",
        Some(other) => {
            return Err(Failure::BadArguments(format!(
                "Invalid separator '{other}'. Must be one of comma, newline, semicolon."
            )));
        }
    };
    let kind = kind.map_or_else(|| "rdn".to_owned(), |kind| kind.to_text());
    let attribute = |oid: &str| name.attribute(oid).unwrap_or_default().to_owned();
    let text = match kind.as_str() {
        "rdn" => match format.map_or_else(|| "x500".to_owned(), |format| format.to_text()).as_str() {
            "x500" => name.x500_joined(separator),
            "rfc4514" => name.rfc4514(),
            "simple" => name.attributes().map(|attribute| attribute.value.clone()).collect::<Vec<_>>().join(separator),
            "oid" => {
                let parts = name.attributes().map(|attribute| format!("{}={}", attribute.oid, attribute.value));
                parts.collect::<Vec<_>>().join(separator)
            }
            other => {
                return Err(Failure::BadArguments(format!(
                    "Invalid format '{other}'. Must be one of oid, rfc4514, simple, x500."
                )));
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

/// The certificate of a handle.
///
/// # Errors
/// It is none.
pub(super) fn look_up(handle: &Obj) -> Result<Certificate, Failure> {
    handles::look_up::<HeldCertificate>(&handle.to_text()).map(|held| held.certificate)
}

pub(super) fn bad_encoding(name: &str) -> Failure {
    Failure::BadArguments(format!("Invalid encoding '{name}'. Must be one of der, pem."))
}

pub(super) fn hexadecimal(bytes: &[u8], separator: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(separator)
}

/// The bytes of a positive DER integer without the one that only says so.
fn magnitude(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}
