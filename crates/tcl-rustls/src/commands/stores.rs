//! Certificate stores.

use tcl_stubs::{Interp, Obj, wiping};
use tls_certs::{CertStore, Certificate, Password, RevocationList, Search};

use super::{Body, held, parse_options, wrong_args};
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("cert_temporary_store", cert_temporary_store),
    ("cert_system_store_open", cert_system_store_open),
    ("cert_store_find_certificate", cert_store_find_certificate),
    ("cert_store_enum_contents", cert_store_enum_contents),
    ("cert_store_add_certificate", cert_store_add_certificate),
    ("cert_store_add_encoded_certificate", cert_store_add_encoded_certificate),
    ("cert_store_add_crl", cert_store_add_crl),
    ("cert_store_release", cert_store_release),
];

fn cert_temporary_store(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let known = ["-pfx", "-pkcs12", "-pkcs7", "-pem", "-serialized", "-password", "-encoding"];
    let [pfx, pkcs12, pkcs7, pem, serialized, password, encoding] = parse_options(words, known)?;
    // PKCS#7 in DER and in PEM are told apart by how they begin.
    if let Some(encoding) = encoding.map(|encoding| encoding.to_text()).filter(|e| !["der", "pem", ""].contains(&&**e))
    {
        return Err(super::certificates::bad_encoding(&encoding));
    }
    if [&pfx, &pkcs12, &pkcs7, &pem, &serialized].into_iter().flatten().count() > 1 {
        return Err(Failure::BadArguments(
            "Only one of -pfx, -pkcs12, -pkcs7, -pem and -serialized can be specified.".to_owned(),
        ));
    }
    let password = held::password(password.as_ref())?;
    let password = password.as_ref().map(Password::as_str);
    // Not all readers wipe the keys that they decipher.
    let store = wiping(|| -> Result<_, Failure> {
        Ok(match (pfx.or(pkcs12), pkcs7, pem, serialized) {
            (Some(pfx), ..) => CertStore::from_pfx(&pfx.to_bytes()?, password.unwrap_or_default())?,
            (_, Some(pkcs7), ..) => CertStore::from_pkcs7(&pkcs7.to_bytes()?)?,
            (_, _, Some(pem), _) => CertStore::from_pem(pem.to_text().as_bytes(), password)?,
            (.., Some(serialized)) => CertStore::from_serialized(&serialized.to_bytes()?)?,
            (None, None, None, None) => CertStore::new(),
        })
    })?;
    Ok(Obj::text(&handles::hold(store)))
}

/// The roots that the platform trusts, as they are now. A copy: adding to it does not change whom connections trust.
fn cert_system_store_open(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let ([name] | [name, _]) = words else {
        return Err(wrong_args("cert_system_store_open name ?location?"));
    };
    let name = name.to_text();
    if !name.eq_ignore_ascii_case("root") {
        return Err(Failure::BadArguments(format!("There is no system store '{name}' here. Must be root.")));
    }
    Ok(Obj::text(&handles::hold(CertStore::platform())))
}

fn cert_store_find_certificate(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let (store, search, after) = match words {
        [store] => (store, Search::Any, None),
        [store, kind] => (store, search(&kind.to_text(), None)?, None),
        [store, kind, term] => (store, search(&kind.to_text(), Some(term))?, None),
        [store, kind, term, after] => (store, search(&kind.to_text(), Some(term))?, previous(after)?),
        _ => return Err(wrong_args("cert_store_find_certificate store ?searchtype? ?searchterm? ?certificate?")),
    };
    Ok(next(&handles::look_up(&store.to_text())?, &search, after.as_ref()))
}

fn cert_store_enum_contents(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let (store, after) = match words {
        [store] => (store, None),
        [store, after] => (store, previous(after)?),
        _ => return Err(wrong_args("cert_store_enum_contents store ?certificate?")),
    };
    Ok(next(&handles::look_up(&store.to_text())?, &Search::Any, after.as_ref()))
}

fn cert_store_add_certificate(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, certificate, options @ ..] = words else {
        return Err(wrong_args("cert_store_add_certificate store certificate ?-disposition disposition?"));
    };
    let store: CertStore = handles::look_up(&store.to_text())?;
    let held: HeldCertificate = handles::look_up(&certificate.to_text())?;
    add(store, held.certificate, options)
}

fn cert_store_add_encoded_certificate(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, encoded, options @ ..] = words else {
        return Err(wrong_args("cert_store_add_encoded_certificate store encoded ?options?"));
    };
    let store: CertStore = handles::look_up(&store.to_text())?;
    add(store, super::certificates::decode(encoded)?, options)
}

/// Adds a certificate revocation list in DER or PEM; `cert_verify` and `cert_tls_verify` heed it.
fn cert_store_add_crl(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, list] = words else { return Err(wrong_args("cert_store_add_crl store crl")) };
    let store: CertStore = handles::look_up(&store.to_text())?;
    store.add_revocation_list(decode_list(list)?);
    Ok(Obj::text(""))
}

/// A certificate revocation list in DER or PEM, told apart by how it begins.
///
/// # Errors
/// It is neither.
pub(super) fn decode_list(encoded: &Obj) -> Result<RevocationList, Failure> {
    let bytes = encoded.to_bytes()?;
    Ok(if bytes.first() == Some(&0x30) { RevocationList::from_der(&bytes)? } else { RevocationList::from_pem(&bytes)? })
}

fn cert_store_release(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store] = words else { return Err(wrong_args("cert_store_release store")) };
    handles::release::<CertStore>(&store.to_text())?;
    Ok(Obj::text(""))
}

/// How to treat a certificate that the store already has; a store keeps one of each, so they differ only where it is
/// there.
fn add(store: CertStore, certificate: Certificate, options: &[Obj]) -> Result<Obj, Failure> {
    let [disposition] = parse_options(options, ["-disposition"])?;
    let disposition = disposition.map_or_else(|| "preserve".to_owned(), |value| value.to_text());
    let existing = store.find(&Search::Existing(certificate.clone()), None);
    match (disposition.as_str(), existing) {
        ("skip" | "new", Some(_)) => {
            return Err(Failure::BadArguments("The certificate is already in the store.".to_owned()));
        }
        ("overwrite", Some(existing)) => {
            store.remove(&existing);
            store.add(certificate.clone());
        }
        ("skip" | "new" | "overwrite" | "preserve" | "update" | "duplicate", _) => store.add(certificate.clone()),
        (other, _) => {
            return Err(Failure::BadArguments(format!(
                "Invalid disposition '{other}'. Must be one of duplicate, overwrite, preserve, skip, update."
            )));
        }
    }
    Ok(Obj::text(&handles::hold(HeldCertificate { certificate, store: Some(store) })))
}

/// The certificate after which to go on. Its handle is used up, as the loop idiom of the module expects.
fn previous(handle: &Obj) -> Result<Option<Certificate>, Failure> {
    let handle = handle.to_text();
    if handle.is_empty() {
        return Ok(None);
    }
    handles::release::<HeldCertificate>(&handle).map(|held| Some(held.certificate))
}

/// A handle to the next match; an empty string at the end.
fn next(store: &CertStore, search: &Search, after: Option<&Certificate>) -> Obj {
    store.find(search, after).map_or_else(
        || Obj::text(""),
        |certificate| Obj::text(&handles::hold(HeldCertificate { certificate, store: Some(store.clone()) })),
    )
}

fn search(kind: &str, term: Option<&Obj>) -> Result<Search, Failure> {
    let needed = || term.ok_or_else(|| Failure::BadArguments(format!("Search type '{kind}' needs a search term.")));
    let text = || needed().map(Obj::to_text);
    Ok(match kind {
        "any" => Search::Any,
        "subject_substring" => Search::Subject(text()?),
        "subject_name" => Search::SubjectName(text()?),
        "issuer_substring" => Search::Issuer(text()?),
        "issuer_name" => Search::IssuerName(text()?),
        "has_private_key" => Search::PrivateKey,
        "key_identifier" => Search::KeyIdentifier(needed()?.to_bytes()?),
        "sha1_hash" => Search::Sha1(sha1(needed()?)?),
        "certificate" | "existing" => Search::Existing(handles::look_up::<HeldCertificate>(&text()?)?.certificate),
        other => {
            return Err(Failure::BadArguments(format!(
                "Invalid search type '{other}'. Must be one of any, certificate, existing, has_private_key, \
                 issuer_name, issuer_substring, key_identifier, sha1_hash, subject_name, subject_substring."
            )));
        }
    })
}

/// A hash in binary or in hexadecimal digits.
fn sha1(term: &Obj) -> Result<[u8; 20], Failure> {
    let digits: String = term.to_text().chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let from_hex = (digits.len() == 40 && digits.is_ascii())
        .then(|| {
            let bytes: Option<Vec<u8>> =
                (0..20).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect();
            bytes
        })
        .flatten();
    from_hex
        .or_else(|| term.to_bytes().ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Failure::BadArguments("A SHA-1 hash has 20 bytes, or 40 hexadecimal digits.".to_owned()))
}
