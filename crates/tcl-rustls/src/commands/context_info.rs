//! What there is to know of security contexts and of the package that makes them.

use std::sync::Arc;

use tcl_stubs::{Interp, Obj};
use tls_certs::Name;
use tls_session::SessionInfo;

use super::credentials::PACKAGES;
use super::{Body, wrong_args};
use crate::context::Context;
use crate::failure::Failure;
use crate::handles;
use crate::state::Role;

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("sspi_context_features", sspi_context_features),
    ("sspi_context_sizes", sspi_context_sizes),
    ("sspi_issuers_accepted_by_peer", sspi_issuers_accepted_by_peer),
    ("sspi_enumerate_packages", sspi_enumerate_packages),
];

/// What TLS gives to every context.
const FEATURES: [&str; 7] =
    ["confidentiality", "connection", "extendederror", "integrity", "replaydetect", "sequencedetect", "stream"];

/// The features of the context as a list of words; `mutualauth` is one of them once both sides have shown a certificate.
fn sspi_context_features(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_context_features context")) };
    let context: Arc<Context> = handles::look_up(&handle.to_text())?;
    let mutual = context.is_mutual().then_some("mutualauth");
    Ok(Obj::words(FEATURES.into_iter().chain(mutual)))
}

/// What encryption makes of data, in bytes, for up to `-maxmessage` bytes: `-headersize` before and `-trailersize` behind.
/// More are split. `-blocksize` is what a message should be a multiple of.
fn sspi_context_sizes(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_context_sizes context")) };
    let context: Arc<Context> = handles::look_up(&handle.to_text())?;
    let stepper = context.stepper()?;
    if stepper.is_negotiating() {
        return Err(Failure::Session {
            error: tls_session::Error::NotOpen,
            negotiating: true,
            role: Role::of(stepper.session()),
        });
    }
    let (header, trailer) = overhead(&stepper.session().info());
    Ok(Obj::dict([
        ("-blocksize", Obj::integer(1)),
        ("-headersize", Obj::integer(header)),
        ("-maxmessage", Obj::integer(16384)),
        ("-trailersize", Obj::integer(trailer)),
    ]))
}

/// What a record holds before and behind its data. The suites on offer have tags of 16 bytes.
fn overhead(info: &SessionInfo) -> (i64, i64) {
    let chacha = info.cipher.as_deref().is_some_and(|cipher| cipher.contains("CHACHA20"));
    match info.protocol {
        // RFC 5288, section 3: a part of the nonce is sent. RFC 7905, section 2: none is.
        Some("TLSv1.2") if chacha => (5, 16),
        Some("TLSv1.2") => (13, 16),
        // RFC 8446, section 5.2: the true type of the content is encrypted behind it.
        _ => (5, 17),
    }
}

/// The names, as `cert_issuer_name` writes them, of those who may have issued a client's certificate, as the server has
/// said when it asked for one; empty if it did not ask, or takes any.
fn sspi_issuers_accepted_by_peer(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_issuers_accepted_by_peer context")) };
    let context: Arc<Context> = handles::look_up(&handle.to_text())?;
    let names = context.accepted_issuers();
    // A name that cannot be read is nobody's.
    let names = names.iter().filter_map(|der| Name::from_der(der).ok());
    Ok(Obj::words(names.map(|name| name.x500())))
}

/// The names of the security package, there being one; with options a list with a dictionary for each name, of
/// `-capabilities`, `-comment`, `-name` and `-version`, or `-all` of them.
fn sspi_enumerate_packages(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    const FIELDS: [&str; 4] = ["-capabilities", "-comment", "-name", "-version"];
    if words.is_empty() {
        return Ok(Obj::words(PACKAGES));
    }
    let words: Vec<String> = words.iter().map(Obj::to_text).collect();
    if let Some(unknown) = words.iter().find(|word| *word != "-all" && !FIELDS.contains(&word.as_str())) {
        return Err(Failure::BadArguments(format!(
            "Invalid option '{unknown}'. Must be one of -all, {}.",
            FIELDS.join(", ")
        )));
    }
    let chosen = |field: &str| words.iter().any(|word| word == "-all" || word == field);
    let describe = |name: &str| {
        let field = |field: &str| match field {
            "-capabilities" => {
                Obj::words(["connection", "extendederror", "integrity", "mutualauth", "privacy", "stream"])
            }
            "-comment" => Obj::text("TLS 1.2 and 1.3"),
            "-version" => Obj::integer(1),
            _ => Obj::text(name),
        };
        Obj::dict(FIELDS.into_iter().filter(|name| chosen(name)).map(|name| (name, field(name))))
    };
    Ok(Obj::list(PACKAGES.into_iter().map(describe)))
}
