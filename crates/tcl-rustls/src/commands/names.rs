//! The words by which scripts say what is in certificates, and what they stand for.

use tcl_stubs::Obj;
use tls_certs::{BasicConstraints, Extension, GeneralName, Name};

use super::elements;
use crate::failure::Failure;

/// Bits of the key usage extension, in their order (RFC 5280, section 4.2.1.3).
const KEY_USAGES: [&str; 9] = [
    "digital_signature",
    "non_repudiation",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
];

/// RFC 5280, section 4.2.1.12.
const PURPOSES: [(&str, &str); 7] = [
    ("server_auth", "1.3.6.1.5.5.7.3.1"),
    ("client_auth", "1.3.6.1.5.5.7.3.2"),
    ("code_signing", "1.3.6.1.5.5.7.3.3"),
    ("email_protection", "1.3.6.1.5.5.7.3.4"),
    ("timestamp_signing", "1.3.6.1.5.5.7.3.8"),
    ("ocsp_signing", "1.3.6.1.5.5.7.3.9"),
    ("any", "2.5.29.37.0"),
];

/// Names of extensions as the module has them.
const EXTENSIONS: [(&str, &str); 11] = [
    ("oid_subject_key_identifier", "2.5.29.14"),
    ("oid_key_usage", "2.5.29.15"),
    ("oid_subject_alt_name2", "2.5.29.17"),
    ("oid_issuer_alt_name2", "2.5.29.18"),
    ("oid_basic_constraints2", "2.5.29.19"),
    ("oid_name_constraints", "2.5.29.30"),
    ("oid_crl_dist_points", "2.5.29.31"),
    ("oid_cert_policies", "2.5.29.32"),
    ("oid_authority_key_identifier2", "2.5.29.35"),
    ("oid_enhanced_key_usage", "2.5.29.37"),
    ("oid_authority_info_access", "1.3.6.1.5.5.7.1.1"),
];

/// The usual name of a curve; its OID if it has none here.
pub(super) fn curve(oid: &str) -> &str {
    match oid {
        "1.2.840.10045.3.1.7" => "P-256",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        other => other,
    }
}

pub(super) fn key_usage(flags: u16) -> Vec<&'static str> {
    let words = KEY_USAGES.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    words.map(|(_, word)| *word).collect()
}

/// The bits of a list of words.
///
/// # Errors
/// There is none, or one is unknown.
pub(super) fn key_usage_of(list: &Obj) -> Result<u16, Failure> {
    let mut flags = 0;
    for word in elements(list)? {
        let word = word.to_text();
        let bit = KEY_USAGES.iter().position(|known| *known == word);
        let bit = bit.ok_or_else(|| invalid("key usage", &word, &KEY_USAGES))?;
        flags |= 1 << bit;
    }
    Ok(flags)
}

/// The OIDs of a list of purposes, each an OID or a word.
///
/// # Errors
/// A word is unknown.
pub(super) fn purposes_of(list: &Obj) -> Result<Vec<String>, Failure> {
    let words = PURPOSES.map(|(word, _)| word);
    let one = |purpose: &Obj| {
        let purpose = purpose.to_text();
        oid_or(&purpose, &PURPOSES).ok_or_else(|| invalid("enhanced key usage", &purpose, &words))
    };
    elements(list)?.iter().map(one).collect()
}

/// The OID of an extension, given as such or by a word.
///
/// # Errors
/// The word is unknown.
pub(super) fn extension_oid(given: &str) -> Result<String, Failure> {
    oid_or(given, &EXTENSIONS).ok_or_else(|| invalid("extension", given, &EXTENSIONS.map(|(word, _)| word)))
}

/// `{CA PATHLENGTH}`; the length is empty if it is not limited.
pub(super) fn basic_constraints(constraints: BasicConstraints) -> Obj {
    let length = constraints.path_length.map_or_else(|| Obj::text(""), |length| Obj::integer(length.into()));
    Obj::list([Obj::from(constraints.ca), length])
}

/// The same back; the length may be left out.
///
/// # Errors
/// It is not of this form.
pub(super) fn basic_constraints_of(given: &Obj) -> Result<Option<BasicConstraints>, Failure> {
    let malformed = || {
        let given = given.to_text();
        Failure::BadArguments(format!(
            "Value '{given}' specified for option '-basicconstraints' is not of the form {{CA PATHLENGTH}}."
        ))
    };
    let words = elements(given)?;
    let (ca, length) = match &words[..] {
        [] => return Ok(None),
        [ca] => (ca, None),
        [ca, length] if length.to_text().is_empty() => (ca, None),
        [ca, length] => (ca, Some(length)),
        _ => return Err(malformed()),
    };
    let ca = ca.to_bool().ok_or_else(malformed)?;
    let path_length = match length {
        // Windows scripts give 0 to certificates that sign nothing.
        Some(length) if ca => {
            let length = length.to_integer().and_then(|length| u32::try_from(length).ok());
            Some(length.ok_or_else(malformed)?)
        }
        _ => None,
    };
    Ok(Some(BasicConstraints { ca, path_length }))
}

/// `{{dns a.example} {ip 127.0.0.1} …}`.
pub(super) fn alt_names(names: &[GeneralName]) -> Obj {
    Obj::list(names.iter().map(|name| {
        let kind = match name {
            GeneralName::Dns(_) => "dns",
            GeneralName::Ip(_) => "ip",
            GeneralName::Email(_) => "email",
            GeneralName::Uri(_) => "url",
            GeneralName::Directory(_) => "directory",
            _ => "other",
        };
        let text = match name {
            GeneralName::Directory(name) => name.x500(),
            other => other.to_string(),
        };
        Obj::words([kind, &text])
    }))
}

/// The same back.
///
/// # Errors
/// It is not of this form, or an address is none.
pub(super) fn alt_names_of(list: &Obj) -> Result<Vec<GeneralName>, Failure> {
    let one = |element: &Obj| {
        let words = elements(element)?;
        let [kind, text] = &words[..] else {
            let given = element.to_text();
            return Err(Failure::BadArguments(format!("Alternative name '{given}' is not of the form {{KIND NAME}}.")));
        };
        let text = text.to_text();
        Ok(match kind.to_text().as_str() {
            "dns" => GeneralName::Dns(text),
            "ip" => GeneralName::Ip(
                text.parse().map_err(|_| Failure::BadArguments(format!("'{text}' is not an IP address.")))?,
            ),
            "email" => GeneralName::Email(text),
            "url" | "uri" => GeneralName::Uri(text),
            "directory" => GeneralName::Directory(Name::parse(&text)?),
            other => {
                return Err(invalid("kind of alternative name", other, &["directory", "dns", "email", "ip", "url"]));
            }
        })
    };
    elements(list)?.iter().map(one).collect()
}

/// `{{OID CRITICAL VALUE} …}`, VALUE being the DER in binary.
pub(super) fn extensions(extensions: &[Extension]) -> Obj {
    Obj::list(extensions.iter().map(|extension| {
        Obj::list([Obj::text(&extension.oid), Obj::from(extension.critical), Obj::bytes(&extension.der)])
    }))
}

/// The same back.
///
/// # Errors
/// It is not of this form.
pub(super) fn extensions_of(list: &Obj) -> Result<Vec<Extension>, Failure> {
    let one = |element: &Obj| {
        let malformed = || Failure::BadArguments("An extension is not of the form {OID CRITICAL VALUE}.".to_owned());
        let words = elements(element)?;
        let [oid, critical, value] = &words[..] else { return Err(malformed()) };
        Ok(Extension {
            oid: extension_oid(&oid.to_text())?,
            critical: critical.to_bool().ok_or_else(malformed)?,
            der: value.to_bytes()?,
        })
    };
    elements(list)?.iter().map(one).collect()
}

/// An argument that is none of the words there are.
pub(super) fn invalid(what: &str, given: &str, known: &[&str]) -> Failure {
    Failure::BadArguments(format!("Invalid {what} '{given}'. Must be one of {}.", known.join(", ")))
}

fn oid_or(given: &str, words: &[(&str, &str)]) -> Option<String> {
    let dotted = given.contains('.') && given.chars().all(|c| c.is_ascii_digit() || c == '.');
    if dotted {
        return Some(given.to_owned());
    }
    words.iter().find(|(word, _)| *word == given).map(|(_, oid)| (*oid).to_owned())
}
