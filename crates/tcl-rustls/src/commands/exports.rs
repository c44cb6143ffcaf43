//! Stores and private keys as files have them.

use tcl_stubs::{Interp, Obj, wiping};
use tls_certs::{CertError, CertStore, Password, PfxStrength};

use super::certificates::{bad_encoding, look_up};
use super::{Body, held, names, parse_options, wrong_args};
use crate::failure::Failure;
use crate::handles;

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("cert_store_export_pem", cert_store_export_pem),
    ("cert_store_export_pfx", cert_store_export_pfx),
    ("cert_store_export_pkcs12", cert_store_export_pfx),
    ("cert_store_export_pkcs7", cert_store_export_pkcs7),
    ("cert_store_serialize", cert_store_serialize),
    ("cert_export_key", cert_export_key),
];

/// The certificates of a store, and its revocation lists, as PEM text. With `-privatekeys true` each is followed by its
/// private key, which `-password` enciphers.
fn cert_store_export_pem(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, options @ ..] = words else {
        return Err(wrong_args("cert_store_export_pem store ?-privatekeys boolean? ?-password password?"));
    };
    let store: CertStore = handles::look_up(&store.to_text())?;
    let [keys, password] = parse_options(options, ["-privatekeys", "-password"])?;
    if !boolean("-privatekeys", keys.as_ref(), false)? {
        return Ok(Obj::text(&store.to_pem()));
    }
    let password = held::password(password.as_ref())?;
    let text = wiping(|| store.to_pem_with_keys(password.as_ref().map(Password::as_str)))?;
    Ok(Obj::text(&text))
}

/// The certificates of a store as a PFX file, enciphered with PASSWORD: by AES-256, or with `-encryption 3des` as older
/// programs read it. Private keys are in it, where they are known, unless `-exportprivatekeys` is false.
fn cert_store_export_pfx(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, password, options @ ..] = words else {
        return Err(wrong_args("cert_store_export_pfx store password ?options?"));
    };
    let store: CertStore = handles::look_up(&store.to_text())?;
    let known = ["-exportprivatekeys", "-encryption", "-failonmissingkey"];
    let [keys, encryption, missing] = parse_options(options, known)?;
    let strength = match encryption.map(|encryption| encryption.to_text()).as_deref() {
        None | Some("aes256") => PfxStrength::Modern,
        Some("3des") => PfxStrength::Legacy,
        Some(other) => return Err(names::invalid("encryption", other, &["3des", "aes256"])),
    };
    let lacks_key = || store.contents().iter().any(|certificate| certificate.private_key().is_none());
    if boolean("-failonmissingkey", missing.as_ref(), false)? && lacks_key() {
        return Err(CertError::NoPrivateKey.into());
    }
    let with_keys = boolean("-exportprivatekeys", keys.as_ref(), true)?;
    let password = held::password(Some(password))?;
    // The writer of this format does not wipe the keys that it enciphers.
    let bytes = wiping(|| store.to_pfx(password.as_ref().map_or("", Password::as_str), with_keys, strength))?;
    Ok(Obj::bytes(&bytes))
}

/// The certificates and revocation lists of a store as PKCS#7: PEM text, or DER in binary.
fn cert_store_export_pkcs7(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store, options @ ..] = words else {
        return Err(wrong_args("cert_store_export_pkcs7 store ?-encoding der|pem?"));
    };
    let store: CertStore = handles::look_up(&store.to_text())?;
    let [encoding] = parse_options(options, ["-encoding"])?;
    match encoding.map(|encoding| encoding.to_text()).as_deref() {
        None | Some("pem") => Ok(Obj::text(&store.to_pkcs7_pem())),
        Some("der") => Ok(Obj::bytes(&store.to_pkcs7())),
        Some(other) => Err(bad_encoding(other)),
    }
}

/// The certificates and revocation lists of a store in the form in which Windows saves stores, without private keys:
/// what `-serialized` of `cert_temporary_store` reads.
fn cert_store_serialize(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [store] = words else { return Err(wrong_args("cert_store_serialize store")) };
    let store: CertStore = handles::look_up(&store.to_text())?;
    Ok(Obj::bytes(&store.to_serialized()))
}

/// The private key of a certificate: PKCS#8 as PEM text, enciphered if there is a `-password`, or in plain DER.
fn cert_export_key(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("cert_export_key certificate ?-encoding der|pem? ?-password password?"));
    };
    let certificate = look_up(handle)?;
    let [encoding, password] = parse_options(options, ["-encoding", "-password"])?;
    let password = held::password(password.as_ref())?;
    let key = certificate.private_key().ok_or(CertError::NoPrivateKey)?;
    match (encoding.map(|encoding| encoding.to_text()).as_deref(), password) {
        (None | Some("pem"), password) => Ok(Obj::text(&key.to_pem(password.as_ref().map(Password::as_str))?)),
        (Some("der"), None) => Ok(Obj::bytes(&key.to_pkcs8()?)),
        (Some("der"), Some(_)) => {
            Err(Failure::BadArguments("Option -password can only be used with the encoding pem.".to_owned()))
        }
        (Some(other), _) => Err(bad_encoding(other)),
    }
}

fn boolean(name: &str, value: Option<&Obj>, default: bool) -> Result<bool, Failure> {
    let Some(value) = value else { return Ok(default) };
    value.to_bool().ok_or_else(|| {
        Failure::BadArguments(format!("Non-boolean value '{}' specified for option '{name}'.", value.to_text()))
    })
}
