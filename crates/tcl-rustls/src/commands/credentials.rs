//! `sspi_schannel_credentials`, `sspi_acquire_credentials`, `sspi_update_credentials`, `sspi_free_credentials` and
//! what a context tells.

use std::sync::Arc;
use std::time::Duration;

use tcl_stubs::{Interp, Obj};
use tls_certs::{CertError, CertStore, Identity, OcspResponse, TrustAnchors};
use tls_session::{CipherStrength, Protocols};

use super::{Body, elements, parse_options, verification, wrong_args};
use crate::context::Context;
use crate::credentials::{Credentials, Parameters, configuration_failure};
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};
use crate::state::Role;
use crate::ticket_files::TicketFiles;

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("sspi_schannel_credentials", sspi_schannel_credentials),
    ("sspi_acquire_credentials", sspi_acquire_credentials),
    ("sspi_update_credentials", sspi_update_credentials),
    ("sspi_free_credentials", sspi_free_credentials),
    ("sspi_remote_cert", sspi_remote_cert),
    ("sspi_local_cert", sspi_local_cert),
];

const PARAMETERS: [&str; 7] =
    ["-certificates", "-rootstore", "-protocols", "-cipherstrength", "-sessionlifespan", "-ticketkeys", "-ocsp"];

/// Names of the one security package there is.
pub(super) const PACKAGES: [&str; 4] = ["unisp", "schannel", "tls", "ssl"];

/// Gives a list of options and values again, checked: what `-credentials` of `sspi_acquire_credentials` takes.
///
/// `-ocsp` is an OCSP response in DER, or a list of them, each about one of the certificates: a server sends it along
/// to clients that ask. It is sent as it is, so it should be replaced before it is out of date.
fn sspi_schannel_credentials(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    parse(Parameters::default(), words)?;
    Ok(Obj::list(words.iter().cloned()))
}

fn sspi_acquire_credentials(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let with_expiration = words.iter().any(|word| word.to_text() == "-getexpiration");
    let words: Vec<Obj> = words.iter().filter(|word| word.to_text() != "-getexpiration").cloned().collect();
    let [package, role, parameters] = parse_options(&words, ["-package", "-role", "-credentials"])?;
    let package = package.map_or_else(|| "negotiate".to_owned(), |package| package.to_text());
    if !PACKAGES.contains(&package.to_lowercase().as_str()) {
        return Err(Failure::BadArguments(format!(
            "Security package '{package}' is not available. Must be one of {}.",
            PACKAGES.join(", ")
        )));
    }
    let role = match role.map(|role| role.to_text()).as_deref() {
        Some("client") => Some(Role::Client),
        Some("server") => Some(Role::Server),
        Some("both") | None => None,
        Some(other) => {
            return Err(Failure::BadArguments(format!("Invalid role '{other}'. Must be one of client, server, both.")));
        }
    };
    let words = parameters.as_ref().map(elements).transpose()?.unwrap_or_default();
    let parameters = parse(Parameters::default(), &words)?;
    let expires = parameters.identities.iter().map(|identity| identity.certificate().validity().not_after).min();
    let handle = handles::hold(Arc::new(Credentials::new(role, parameters)?));
    Ok(if with_expiration {
        Obj::list([Obj::text(&handle), expires.map_or_else(|| Obj::text(""), Obj::integer)])
    } else {
        Obj::text(&handle)
    })
}

/// Replaces what credentials in use are made of. The options are those of `sspi_schannel_credentials`, so a list that
/// it made can be given too, as `{*}$list`. What is not named stays: `-certificates` alone renews certificates. Only OCSP
/// responses go with the certificates that they are about.
///
/// It counts from the next connection on, those to a running listener included. Connections that are open, or are
/// negotiating, keep what they have. Bad arguments change nothing.
fn sspi_update_credentials(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, options @ ..] = words else {
        return Err(wrong_args("sspi_update_credentials credentials ?options?"));
    };
    let credentials: Arc<Credentials> = handles::look_up(&handle.to_text())?;
    credentials.update(parse(credentials.parameters(), options)?)?;
    Ok(Obj::text(""))
}

fn sspi_free_credentials(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_free_credentials credentials")) };
    handles::release::<Arc<Credentials>>(&handle.to_text())?;
    Ok(Obj::text(""))
}

fn sspi_remote_cert(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [context] = words else { return Err(wrong_args("sspi_remote_cert context")) };
    let context: Arc<Context> = handles::look_up(&context.to_text())?;
    Ok(Obj::text(&handles::hold(context.peer_certificate()?)))
}

fn sspi_local_cert(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [context] = words else { return Err(wrong_args("sspi_local_cert context")) };
    let context: Arc<Context> = handles::look_up(&context.to_text())?;
    Ok(Obj::text(&handles::hold(context.local_certificate()?)))
}

/// What the options of `sspi_schannel_credentials` make of `parameters`.
fn parse(mut parameters: Parameters, words: &[Obj]) -> Result<Parameters, Failure> {
    let [certificates, root_store, protocols, strength, lifespan, ticket_keys, ocsp] =
        parse_options(words, PARAMETERS)?;
    if let Some(list) = certificates {
        parameters.identities = elements(&list)?.iter().map(identity).collect::<Result<_, _>>()?;
    }
    if let Some(responses) = ocsp {
        parameters.identities = stapled(&parameters.identities, &verification::responses(&responses)?)?;
    }
    if let Some(handle) = root_store.map(|handle| handle.to_text()) {
        parameters.client_roots = match &*handle {
            "" => None,
            handle => {
                let store: CertStore = handles::look_up(handle)?;
                Some(TrustAnchors::from_certificates(&store.contents())?)
            }
        };
    }
    if let Some(list) = protocols {
        parameters.protocols = protocol_versions(&elements(&list)?)?;
    }
    let limits = numbers("-cipherstrength", strength.as_ref())?;
    if strength.is_some() {
        parameters.ciphers = cipher_strength(&limits)?;
    }
    let milliseconds = numbers("-sessionlifespan", lifespan.as_ref())?;
    if lifespan.is_some() {
        parameters.lifespan = lifespan_of(&milliseconds)?;
    }
    if let Some(list) = ticket_keys {
        let files: Vec<String> = elements(&list)?.iter().map(Obj::to_text).collect();
        parameters.ticket_keys = if files.is_empty() { None } else { Some(TicketFiles::open(&files)?) };
    }
    Ok(parameters)
}

/// The identities with the responses that are about them, and no others.
fn stapled(identities: &[Identity], responses: &[OcspResponse]) -> Result<Vec<Identity>, Failure> {
    let is_about = |response: &OcspResponse, identity: &Identity| response.is_about(identity.certificate());
    if responses.iter().any(|response| !identities.iter().any(|identity| is_about(response, identity))) {
        return Err(Failure::BadArguments("An OCSP response is about none of the certificates.".to_owned()));
    }
    let with_response =
        |identity: &Identity| identity.with_ocsp(responses.iter().find(|response| is_about(response, identity)));
    Ok(identities.iter().map(with_response).collect())
}

fn numbers(name: &str, value: Option<&Obj>) -> Result<Vec<i64>, Failure> {
    let words = value.map(elements).transpose()?.unwrap_or_default();
    let numbers: Option<Vec<i64>> = words.iter().map(|word| word.to_integer().filter(|&number| number >= 0)).collect();
    numbers.ok_or_else(|| Failure::BadArguments(format!("Non-integer value specified for option '{name}'.")))
}

/// Milliseconds; 0 stands for the default.
fn lifespan_of(milliseconds: &[i64]) -> Result<Option<Duration>, Failure> {
    match milliseconds {
        [] | [0] => Ok(None),
        [milliseconds] => Ok(Some(Duration::from_millis(milliseconds.unsigned_abs()))),
        _ => Err(Failure::BadArguments("Option -sessionlifespan takes one number of milliseconds.".to_owned())),
    }
}

/// The least and the most bits of a cipher; 0 stands for no limit.
fn cipher_strength(limits: &[i64]) -> Result<CipherStrength, Failure> {
    let bits = |at: usize| limits.get(at).map_or(0, |&bits| u32::try_from(bits).unwrap_or(u32::MAX));
    if limits.len() > 2 {
        return Err(Failure::BadArguments(
            "Option -cipherstrength takes the least and the most number of bits.".to_owned(),
        ));
    }
    let most = if bits(1) == 0 { u32::MAX } else { bits(1) };
    CipherStrength::new(bits(0), most).map_err(configuration_failure)
}

fn identity(handle: &Obj) -> Result<Identity, Failure> {
    let held: HeldCertificate = handles::look_up(&handle.to_text())?;
    let companions = held.store.map(|store| store.contents()).unwrap_or_default();
    Identity::new(&held.certificate, &companions).map_err(|error| match error {
        CertError::NoPrivateKey => {
            Failure::WithoutKey { handle: handle.to_text(), subject: held.certificate.subject().rfc4514() }
        }
        error => error.into(),
    })
}

fn protocol_versions(names: &[Obj]) -> Result<Protocols, Failure> {
    let mut protocols = Protocols { tls12: names.is_empty(), tls13: names.is_empty() };
    for name in names {
        match name.to_text().as_str() {
            "tls1.2" => protocols.tls12 = true,
            "tls1.3" => protocols.tls13 = true,
            "ssl2" | "ssl3" | "tls1" | "tls1.0" | "tls1.1" => {}
            other => {
                return Err(Failure::BadArguments(format!(
                    "Invalid protocol '{other}'. Must be one of ssl2, ssl3, tls1, tls1.1, tls1.2, tls1.3."
                )));
            }
        }
    }
    if protocols.tls12 || protocols.tls13 {
        Ok(protocols)
    } else {
        Err(Failure::BadArguments(
            "SSL 2, SSL 3, TLS 1.0 and TLS 1.1 are broken and by design no longer offered: use tls1.2 or tls1.3."
                .to_owned(),
        ))
    }
}
