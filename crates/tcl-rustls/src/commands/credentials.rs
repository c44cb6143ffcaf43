//! `sspi_schannel_credentials`, `sspi_acquire_credentials`, `sspi_free_credentials` and what a context tells.

use std::sync::Arc;

use tcl_stubs::{Interp, Obj};
use tls_certs::{CertError, CertStore, Identity, TrustAnchors};
use tls_session::Protocols;

use super::{Body, elements, parse_options, wrong_args};
use crate::context::Context;
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};
use crate::state::Role;

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("sspi_schannel_credentials", sspi_schannel_credentials),
    ("sspi_acquire_credentials", sspi_acquire_credentials),
    ("sspi_free_credentials", sspi_free_credentials),
    ("sspi_remote_cert", sspi_remote_cert),
    ("sspi_local_cert", sspi_local_cert),
];

const PARAMETERS: [&str; 5] = ["-certificates", "-rootstore", "-protocols", "-cipherstrength", "-sessionlifespan"];

/// Names of the one security package there is.
const PACKAGES: [&str; 4] = ["unisp", "schannel", "tls", "ssl"];

/// Gives a list of options and values again, checked: what `-credentials` of `sspi_acquire_credentials` takes.
fn sspi_schannel_credentials(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    Parameters::parse(words)?;
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
    let parameters = match parameters {
        Some(list) => Parameters::parse(&elements(&list)?)?,
        None => Parameters::default(),
    };
    if role == Some(Role::Server) && parameters.identities.is_empty() {
        return Err(Failure::NoCertificate("The credentials of a server need a certificate with its private key."));
    }
    let expires = parameters.identities.iter().map(|identity| identity.certificate().validity().not_after).min();
    let handle = handles::hold(Arc::new(Credentials::new(
        role,
        parameters.identities,
        parameters.client_roots,
        parameters.protocols,
    )));
    Ok(if with_expiration {
        Obj::list([Obj::text(&handle), expires.map_or_else(|| Obj::text(""), Obj::integer)])
    } else {
        Obj::text(&handle)
    })
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

/// What `sspi_schannel_credentials` says.
#[derive(Default)]
struct Parameters {
    identities: Vec<Identity>,
    client_roots: Option<Arc<TrustAnchors>>,
    protocols: Protocols,
}

impl Parameters {
    fn parse(words: &[Obj]) -> Result<Self, Failure> {
        let [certificates, root_store, protocols, strength, lifespan] = parse_options(words, PARAMETERS)?;
        let mut parsed = Self::default();
        if let Some(list) = certificates {
            parsed.identities = elements(&list)?.iter().map(identity).collect::<Result<_, _>>()?;
        }
        if let Some(handle) = root_store.map(|handle| handle.to_text()).filter(|handle| !handle.is_empty()) {
            let store: CertStore = handles::look_up(&handle)?;
            parsed.client_roots = Some(TrustAnchors::from_certificates(&store.contents())?);
        }
        if let Some(list) = protocols {
            parsed.protocols = protocol_versions(&elements(&list)?)?;
        }
        check_strength(&numbers("-cipherstrength", strength.as_ref())?)?;
        // Sessions are not resumed, so none lasts longer than the script wants.
        numbers("-sessionlifespan", lifespan.as_ref())?;
        Ok(parsed)
    }
}

fn numbers(name: &str, value: Option<&Obj>) -> Result<Vec<i64>, Failure> {
    let words = value.map(elements).transpose()?.unwrap_or_default();
    let numbers: Option<Vec<i64>> = words.iter().map(|word| word.to_integer().filter(|&number| number >= 0)).collect();
    numbers.ok_or_else(|| Failure::BadArguments(format!("Non-integer value specified for option '{name}'.")))
}

/// The least and the most bits of a cipher; 0 stands for no limit. The suites on offer have 128 to 256 bits.
fn check_strength(limits: &[i64]) -> Result<(), Failure> {
    let least = limits.first().copied().unwrap_or(0);
    let most = limits.get(1).copied().filter(|&most| most > 0).unwrap_or(256);
    if limits.len() > 2 || least > most {
        return Err(Failure::BadArguments(
            "Option -cipherstrength takes the least and the most number of bits.".to_owned(),
        ));
    }
    if least > 128 || most < 256 {
        return Err(Failure::Unsupported("Option -cipherstrength with limits other than 128 and 256 bits".to_owned()));
    }
    Ok(())
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
