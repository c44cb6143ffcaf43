//! The making of certificates and of requests for them.
//!
//! The module's own commands of these names take key containers of Windows. These make a key where none is given, and
//! attach it to the certificate. Options, all of them optional:
//!
//! - `-keytype rsa|ecdsa-p256|ecdsa-p384|ed25519` and, for RSA, `-bits 2048|3072|4096|8192`: the key to make, by default
//!   ECDSA on P-256; or `-key PEM` with `-password PASSWORD`: the key to take.
//! - `-altnames {{dns a.example} {ip 127.0.0.1} {email a@b} {url https://a.example} {directory CN=x}}`.
//! - `-basicconstraints {CA PATHLENGTH}`: by default `{0 {}}`, a certificate that signs no others.
//! - `-keyusage LIST`: by default `key_cert_sign crl_sign` for a CA, else `digital_signature`, and for RSA
//!   `key_encipherment`. Empty: no such extension.
//! - `-enhkeyusage LIST` of OIDs and words: by default none for a CA, else `server_auth client_auth`. Empty: no such
//!   extension, so any use.
//! - `-extensions {{OID CRITICAL DER} …}`: more of them.
//! - `-start SECONDS -end SECONDS` since the epoch: by default from an hour ago, for clocks that go slow, for 365 days.
//! - `-serialnumber HEX`, of up to 20 octets: by default a random one.
//!
//! SUBJECT is written `CN=a.example, O=Example` or `/CN=a.example/O=Example`.

use tcl_stubs::{Interp, Obj};
use tls_certs::{
    BasicConstraints, CertError, CertStore, Certificate, CertificateRequest, Extension, KeyType, Name, Password,
    PrivateKey, PublicKeyInfo, Template, UnixTime, Validity,
};

use super::certificates::bad_encoding;
use super::{Body, held, names, parse_options, wrong_args};
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("cert_create_self_signed", cert_create_self_signed),
    ("cert_create", cert_create),
    ("cert_request_create", cert_request_create),
    ("cert_request_parse", cert_request_parse),
];

const OPTIONS: [&str; 12] = [
    "-keytype",
    "-bits",
    "-key",
    "-password",
    "-altnames",
    "-basicconstraints",
    "-keyusage",
    "-enhkeyusage",
    "-extensions",
    "-start",
    "-end",
    "-serialnumber",
];

const RSA: &str = "1.2.840.113549.1.1.1";
const SLOW_CLOCK: i64 = 3600;
const YEAR: i64 = 365 * 86_400;

/// Makes a certificate that is signed with its own key, which is attached: a root, or one for a test.
fn cert_create_self_signed(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [subject, options @ ..] = words else {
        return Err(wrong_args("cert_create_self_signed subject ?options?"));
    };
    let wishes = Wishes::parse(options)?;
    let subject = Name::parse(&subject.to_text())?;
    let key = wishes.key()?;
    let certificate = wishes.template(subject, is_rsa(key.public_key_info()))?.self_signed(&key)?;
    Ok(Obj::text(&handles::hold(HeldCertificate { certificate, store: None })))
}

/// Makes a certificate that is signed with the key of the certificate ISSUER. PUBLICKEY is a public key as
/// `cert_request_parse` gives it; if it is empty a key is made, or taken from `-key`, and attached.
///
/// The issuer, and the store that it is from, come along: whoever uses the certificate in credentials sends the chain.
fn cert_create(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [subject, public, issuer, options @ ..] = words else {
        return Err(wrong_args("cert_create subject publickey issuer ?options?"));
    };
    let wishes = Wishes::parse(options)?;
    let subject = Name::parse(&subject.to_text())?;
    let issuer: HeldCertificate = handles::look_up(&issuer.to_text())?;
    let public = public.to_bytes()?;
    let certificate = if public.is_empty() {
        let key = wishes.key()?;
        let template = wishes.template(subject, is_rsa(key.public_key_info()))?;
        template.signed_by(key.public_key_info(), &issuer.certificate)?.with_private_key(key)?
    } else {
        if wishes.key.is_some() || wishes.keytype.is_some() {
            return Err(Failure::BadArguments("A public key is given, so none is to be made or taken.".to_owned()));
        }
        wishes.template(subject, is_rsa(&public))?.signed_by(&public, &issuer.certificate)?
    };
    let store = CertStore::new();
    let line = issuer.store.map(|store| store.contents()).unwrap_or_default();
    for companion in line.iter().chain([&issuer.certificate]) {
        // Without its key: who holds a certificate does not thereby hold its issuer's key.
        store.add(Certificate::from_der(companion.der())?);
    }
    Ok(Obj::text(&handles::hold(HeldCertificate { certificate, store: Some(store) })))
}

/// Makes a request for a certificate: a list of the request, PEM text or with `-encoding der` in binary, and of the
/// private key as PEM text, enciphered if there is a `-password`.
fn cert_request_create(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [subject, options @ ..] = words else {
        return Err(wrong_args("cert_request_create subject ?options?"));
    };
    let (encoding, options) = take_encoding(options)?;
    let wishes = Wishes::parse(&options)?;
    let subject = Name::parse(&subject.to_text())?;
    let key = wishes.key()?;
    let request = wishes.template(subject, is_rsa(key.public_key_info()))?.request(&key)?;
    let request = match encoding.as_deref() {
        None | Some("pem") => Obj::text(&request.to_pem()),
        Some("der") => Obj::bytes(request.der()),
        Some(other) => return Err(bad_encoding(other)),
    };
    let key = key.to_pem(wishes.password.as_ref().map(Password::as_str))?;
    Ok(Obj::list([request, Obj::text(&key)]))
}

/// What a request asks for, as options of `cert_create` and their values, `-subject` and `-publickey`. Its signature is
/// checked.
fn cert_request_parse(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [encoded, options @ ..] = words else {
        return Err(wrong_args("cert_request_parse request ?-encoding der|pem?"));
    };
    let [encoding] = parse_options(options, ["-encoding"])?;
    let bytes = encoded.to_bytes()?;
    let is_der = match encoding.map(|encoding| encoding.to_text()).as_deref() {
        None => bytes.first() == Some(&0x30),
        Some("der") => true,
        Some("pem") => false,
        Some(other) => return Err(bad_encoding(other)),
    };
    let request = if is_der { CertificateRequest::from_der(&bytes)? } else { CertificateRequest::from_pem(&bytes)? };
    let asked = request.extensions();
    let constraints = asked.iter().find_map(Extension::basic_constraints);
    let usage = asked.iter().find_map(Extension::key_usage);
    Ok(Obj::dict([
        ("-subject", Obj::text(&request.subject().x500())),
        ("-publickey", Obj::bytes(request.public_key_info())),
        ("-signaturealgorithm", Obj::text(request.signature_algorithm())),
        ("-altnames", names::alt_names(&asked.iter().find_map(Extension::alt_names).unwrap_or_default())),
        ("-basicconstraints", constraints.map_or_else(|| Obj::text(""), names::basic_constraints)),
        ("-keyusage", Obj::words(usage.map(names::key_usage).unwrap_or_default())),
        ("-enhkeyusage", Obj::words(asked.iter().find_map(Extension::extended_key_usage).unwrap_or_default())),
        ("-extensions", names::extensions(asked)),
    ]))
}

/// The options as written.
struct Wishes {
    keytype: Option<KeyType>,
    key: Option<Obj>,
    password: Option<Password>,
    alt_names: Option<Obj>,
    basic_constraints: Option<Obj>,
    key_usage: Option<Obj>,
    extended_key_usage: Option<Obj>,
    extensions: Option<Obj>,
    validity: Validity,
    serial: Option<Vec<u8>>,
}

impl Wishes {
    fn parse(options: &[Obj]) -> Result<Self, Failure> {
        let [kind, bits, key, password, alt_names, constraints, usage, enhanced, extensions, start, end, serial] =
            parse_options(options, OPTIONS)?;
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(0);
        let not_before = start.map(|start| seconds("-start", &start)).transpose()?.unwrap_or(now - SLOW_CLOCK);
        let not_after = end.map(|end| seconds("-end", &end)).transpose()?;
        let not_after = not_after.unwrap_or_else(|| not_before.saturating_add(YEAR + SLOW_CLOCK));
        Ok(Self {
            keytype: key_type(kind.map(|kind| kind.to_text()).as_deref(), bits.as_ref())?,
            key,
            password: held::password(password.as_ref())?,
            alt_names,
            basic_constraints: constraints,
            key_usage: usage,
            extended_key_usage: enhanced,
            extensions,
            validity: Validity { not_before, not_after },
            serial: serial.map(|serial| serial_number(&serial)).transpose()?,
        })
    }

    fn key(&self) -> Result<PrivateKey, Failure> {
        match (&self.key, self.keytype) {
            (Some(_), Some(_)) => {
                Err(Failure::BadArguments("Only one of -key and -keytype can be specified.".to_owned()))
            }
            (Some(pem), None) => {
                let password = self.password.as_ref().map(Password::as_str);
                Ok(PrivateKey::from_pem(pem.to_text().as_bytes(), password)?)
            }
            (None, kind) => Ok(PrivateKey::generate(kind.unwrap_or_default())?),
        }
    }

    fn template(&self, subject: Name, is_rsa: bool) -> Result<Template, Failure> {
        let constraints = match &self.basic_constraints {
            Some(given) => names::basic_constraints_of(given)?,
            None => Some(BasicConstraints { ca: false, path_length: None }),
        };
        let ca = constraints.is_some_and(|constraints| constraints.ca);
        let usage = match &self.key_usage {
            Some(given) => names::key_usage_of(given)?,
            None => names::key_usage_of(&Obj::words(default_usage(ca, is_rsa)))?,
        };
        let mut template = Template::new(subject, self.validity);
        template.basic_constraints = constraints;
        template.key_usage = Some(usage).filter(|usage| *usage != 0);
        template.extended_key_usage = match &self.extended_key_usage {
            Some(given) => names::purposes_of(given)?,
            None if ca => Vec::new(),
            None => names::purposes_of(&Obj::words(["server_auth", "client_auth"]))?,
        };
        template.alt_names = self.alt_names.as_ref().map(names::alt_names_of).transpose()?.unwrap_or_default();
        template.extensions = self.extensions.as_ref().map(names::extensions_of).transpose()?.unwrap_or_default();
        template.serial.clone_from(&self.serial);
        Ok(template)
    }
}

fn default_usage(ca: bool, is_rsa: bool) -> &'static [&'static str] {
    match (ca, is_rsa) {
        (true, _) => &["key_cert_sign", "crl_sign"],
        (false, true) => &["digital_signature", "key_encipherment"],
        (false, false) => &["digital_signature"],
    }
}

fn key_type(kind: Option<&str>, bits: Option<&Obj>) -> Result<Option<KeyType>, Failure> {
    let kind = match (kind, bits) {
        (None, None) => return Ok(None),
        (Some("rsa") | None, Some(bits)) => {
            let bits = bits.to_text();
            match bits.as_str() {
                "2048" => KeyType::Rsa2048,
                "3072" => KeyType::Rsa3072,
                "4096" => KeyType::Rsa4096,
                "8192" => KeyType::Rsa8192,
                other => return Err(names::invalid("size of a key", other, &["2048", "3072", "4096", "8192"])),
            }
        }
        (Some("rsa"), None) => KeyType::Rsa2048,
        (Some(_), Some(_)) => {
            return Err(Failure::BadArguments("Option -bits can only be used with the key type rsa.".to_owned()));
        }
        (Some("ecdsa" | "ecdsa-p256"), None) => KeyType::EcdsaP256,
        (Some("ecdsa-p384"), None) => KeyType::EcdsaP384,
        (Some("ed25519"), None) => KeyType::Ed25519,
        (Some(other), None) => {
            return Err(names::invalid("key type", other, &["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa"]));
        }
    };
    Ok(Some(kind))
}

/// Whether a key can encipher other keys, as RSA can.
fn is_rsa(public_key_info: &[u8]) -> bool {
    PublicKeyInfo::from_der(public_key_info).is_some_and(|info| info.algorithm == RSA)
}

fn seconds(name: &str, value: &Obj) -> Result<i64, Failure> {
    value.to_integer().ok_or_else(|| {
        Failure::BadArguments(format!("Non-integer value '{}' specified for option '{name}'.", value.to_text()))
    })
}

/// Octets in hexadecimal digits, with or without colons.
fn serial_number(value: &Obj) -> Result<Vec<u8>, Failure> {
    let text = value.to_text();
    let mut digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
    if digits.len() % 2 == 1 {
        digits.insert(0, '0');
    }
    let octets = digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok());
    let octets: Option<Vec<u8>> = octets.collect();
    octets.filter(|_| text.chars().all(|c| c.is_ascii_hexdigit() || c == ':')).ok_or_else(|| {
        Failure::Certificates(CertError::BadEncoding {
            what: "serial number",
            detail: format!("'{text}' is not in hexadecimal digits"),
        })
    })
}

/// The value of `-encoding`, and the other options.
fn take_encoding(options: &[Obj]) -> Result<(Option<String>, Vec<Obj>), Failure> {
    let Some(index) = options.iter().step_by(2).position(|name| name.to_text() == "-encoding") else {
        return Ok((None, options.to_vec()));
    };
    let mut options = options.to_vec();
    let removed: Vec<Obj> = options.drain(2 * index..(2 * index + 2).min(options.len())).collect();
    let [_, value] = &removed[..] else {
        return Err(Failure::BadArguments("No value supplied for option '-encoding'".to_owned()));
    };
    Ok((Some(value.to_text()), options))
}
