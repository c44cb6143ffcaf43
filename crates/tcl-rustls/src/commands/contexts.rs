//! Security contexts that a script drives: TLS over whatever carries bytes. The script hands in what it has received
//! and carries away what is to be sent.

use std::sync::Arc;

use tcl_stubs::{Interp, Obj};
use tls_certs::PeerName;
use tls_session::Session;

use super::{Body, parse_options, wrong_args};
use crate::context::Context;
use crate::credentials::{CredentialsHandle, configuration_failure};
use crate::failure::Failure;
use crate::handles;
use crate::keylog;
use crate::options;
use crate::state::Role;
use crate::stepper::{Status, Step, Stepper};

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("sspi_client_context", sspi_client_context),
    ("sspi_server_context", sspi_server_context),
    ("sspi_step", sspi_step),
    ("sspi_encrypt_stream", sspi_encrypt_stream),
    ("sspi_decrypt_stream", sspi_decrypt_stream),
    ("sspi_encrypt_and_write", sspi_encrypt_and_write),
    ("sspi_shutdown_context", sspi_shutdown_context),
    ("sspi_delete_context", sspi_delete_context),
];

const CLIENT_OPTIONS: [&str; 17] = [
    "-target",
    "-manualvalidation",
    "-alpn",
    "-datarep",
    "-delegate",
    "-allocatememory",
    "-confidentiality",
    "-connection",
    "-extendederror",
    "-identify",
    "-integrity",
    "-mutualauth",
    "-replaydetect",
    "-sequencedetect",
    "-sessionkey",
    "-stream",
    "-usesuppliedcreds",
];
const SERVER_OPTIONS: [&str; 15] = [
    "-requestclientcert",
    "-mutualauth",
    "-alpn",
    "-datarep",
    "-delegate",
    "-allocatememory",
    "-confidentiality",
    "-connection",
    "-extendederror",
    "-identify",
    "-integrity",
    "-replaydetect",
    "-sequencedetect",
    "-sessionkey",
    "-stream",
];

/// Makes the context of a client; the first `sspi_step` gives what to send first.
///
/// `-target` is the name that the server's certificate must be for, sent as SNI where it is a host name. With
/// `-manualvalidation 1` the script judges the certificate instead, and may leave `-target` out. What else may be asked
/// of a context TLS always gives, so it is accepted and changes nothing; but nobody can act for the client (`-delegate`).
///
/// With `-manualvalidation 1` the certificate is there (`sspi_remote_cert`) as soon as the server has proved that it is
/// its own, after the step that gives `done`, in TLS 1.2 the one before. What that step gives to be sent holds the
/// client's certificate and Finished: a script that wants to show neither to a stranger judges before it sends that.
fn sspi_client_context(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [credentials, options @ ..] = words else {
        return Err(wrong_args("sspi_client_context credentials ?options?"));
    };
    let values = parse_options(options, CLIENT_OPTIONS)?;
    let [target, manual, alpn, representation, rest @ ..] = values;
    check_representation(representation.as_ref())?;
    check_requirements(CLIENT_OPTIONS.iter().skip(4).zip(&rest))?;
    let manual = boolean("-manualvalidation", manual.as_ref())?;
    let target = target.map(|name| name.to_text()).filter(|name| !name.is_empty());
    if target.is_none() && !manual {
        return Err(Failure::BadArguments(
            "Option -target must be specified, unless -manualvalidation is true.".to_owned(),
        ));
    }
    let target = target.map(|name| PeerName::parse(&name)).transpose()?;
    let mut config = CredentialsHandle::look_up(&credentials.to_text(), Role::Client)?.client_config(manual)?;
    if let Some(names) = protocols(alpn.as_ref())? {
        config = config.with_alpn(names).map_err(configuration_failure)?;
    }
    let session = match target {
        Some(name) => Session::client(&keylog::client(config), &name),
        None => Session::unnamed_client(&keylog::client(config)),
    };
    Ok(hold(session.map_err(configuration_failure)?, Vec::new()))
}

/// Makes the context of a server that has received RECEIVED; the first `sspi_step` looks at it, and gives the answer.
///
/// With `-requestclientcert 1`, or `-mutualauth 1`, the client is asked for a certificate. If the credentials have a
/// `-rootstore` it is verified, else the script judges it.
fn sspi_server_context(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [credentials, received, options @ ..] = words else {
        return Err(wrong_args("sspi_server_context credentials received ?options?"));
    };
    let received = received.to_exact_bytes()?;
    let values = parse_options(options, SERVER_OPTIONS)?;
    let [request, mutual, alpn, representation, rest @ ..] = values;
    check_representation(representation.as_ref())?;
    check_requirements(SERVER_OPTIONS.iter().skip(4).zip(&rest))?;
    let request = boolean("-requestclientcert", request.as_ref())?;
    let request = boolean("-mutualauth", mutual.as_ref())? || request;
    let mut config = CredentialsHandle::look_up(&credentials.to_text(), Role::Server)?.server_config(request, false)?;
    if let Some(names) = protocols(alpn.as_ref())? {
        config = config.with_alpn(names).map_err(configuration_failure)?;
    }
    Ok(hold(Session::server(&keylog::server(config)).map_err(configuration_failure)?, received))
}

/// Goes on with the handshake: `{done|continue|disconnected SEND LEFTOVER}`.
///
/// SEND is for the peer, whatever the status. After `done` LEFTOVER is what was received and is no part of the handshake:
/// it goes to `sspi_decrypt_stream`. With the handshake complete, a further step gives what waits to be sent, and
/// RECEIVED as LEFTOVER. `disconnected` means that the peer, or the script, has ended the session.
fn sspi_step(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let (handle, received) = match words {
        [handle] => (handle, Vec::new()),
        [handle, received] => (handle, received.to_exact_bytes()?),
        _ => return Err(wrong_args("sspi_step context ?received?")),
    };
    drive(handle, |stepper| stepper.step(&received)).map(step_result)
}

/// What to send for DATA, and with it anything else that waits to be sent.
fn sspi_encrypt_stream(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, data, options @ ..] = words else {
        return Err(wrong_args("sspi_encrypt_stream context data ?-qop number?"));
    };
    let [quality] = parse_options(options, ["-qop"])?;
    check_quality(quality.as_ref())?;
    let data = data.to_exact_bytes()?;
    drive(handle, |stepper| stepper.encrypt(&data)).map(|ciphertext| Obj::bytes(&ciphertext))
}

/// Decrypts: `{ok|expired PLAINTEXT LEFTOVER}`. Records that are not complete are kept for the next call.
///
/// `expired`: the peer has ended its side, and PLAINTEXT was the last. LEFTOVER is what was received behind that, and no
/// part of the session. `renegotiate` is never given: new keys need no help of the script, their answer leaves with what
/// is encrypted next, or with `sspi_step`.
fn sspi_decrypt_stream(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, received] = words else { return Err(wrong_args("sspi_decrypt_stream context received")) };
    let received = received.to_exact_bytes()?;
    let decrypted = drive(handle, |stepper| stepper.decrypt(&received))?;
    let status = if decrypted.expired { "expired" } else { "ok" };
    Ok(Obj::list([Obj::text(status), Obj::bytes(&decrypted.plaintext), Obj::bytes(&decrypted.leftover)]))
}

/// Encrypts DATA, writes that to CHAN, and flushes it unless `-flush 0` is given.
fn sspi_encrypt_and_write(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle, data, channel, options @ ..] = words else {
        return Err(wrong_args("sspi_encrypt_and_write context data chan ?-qop number? ?-flush boolean?"));
    };
    let [quality, flush] = parse_options(options, ["-qop", "-flush"])?;
    check_quality(quality.as_ref())?;
    let flush = flush.is_none() || boolean("-flush", flush.as_ref())?;
    let data = data.to_exact_bytes()?;
    let puts =
        |bytes: &[u8]| interp.call(&[Obj::text("::puts"), Obj::text("-nonewline"), channel.clone(), Obj::bytes(bytes)]);
    // What cannot be written must not be encrypted: it would be missed in the stream.
    check_binary(interp, channel)?;
    puts(b"")?;
    let ciphertext = drive(handle, |stepper| stepper.encrypt(&data))?;
    puts(&ciphertext)?;
    if flush {
        interp.call(&[Obj::text("::flush"), channel.clone()])?;
    }
    Ok(Obj::text(""))
}

/// Ends this side of the session; the result is that of `sspi_step`. SEND holds the `close_notify`, or the alert of a step
/// or a decryption that has failed. The status is `done` while the peer's data can still be decrypted.
fn sspi_shutdown_context(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_shutdown_context context")) };
    drive(handle, |stepper| Ok(stepper.shutdown())).map(step_result)
}

/// Forgets the context. Nothing is sent: that is for `sspi_shutdown_context`.
fn sspi_delete_context(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [handle] = words else { return Err(wrong_args("sspi_delete_context context")) };
    let handle = handle.to_text();
    handles::look_up::<Arc<Context>>(&handle)?.check_by_hand()?;
    handles::release::<Arc<Context>>(&handle)?;
    Ok(Obj::text(""))
}

/// Does something to a context's session, and notes what is known afterwards. No script runs meanwhile.
fn drive<R>(handle: &Obj, action: impl FnOnce(&mut Stepper) -> Result<R, tls_session::Error>) -> Result<R, Failure> {
    let context: Arc<Context> = handles::look_up(&handle.to_text())?;
    let mut stepper = context.stepper()?;
    let negotiating = stepper.is_negotiating();
    let result = action(&mut stepper);
    if negotiating {
        context.note(stepper.session());
    }
    result.map_err(|error| Failure::Session { error, negotiating, role: Role::of(stepper.session()) })
}

fn hold(session: Session, received: Vec<u8>) -> Obj {
    Obj::text(&handles::hold(Arc::new(Context::by_hand(Stepper::new(session, received)))))
}

#[allow(clippy::needless_pass_by_value)]
fn step_result(step: Step) -> Obj {
    let status = match step.status {
        Status::Done => "done",
        Status::Continue => "continue",
        Status::Disconnected => "disconnected",
    };
    Obj::list([Obj::text(status), Obj::bytes(&step.send), Obj::bytes(&step.leftover)])
}

fn protocols(names: Option<&Obj>) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let names = names.map(|names| options::protocols(&names.to_text())).transpose()?;
    Ok(names.filter(|names| !names.is_empty()))
}

fn boolean(name: &str, value: Option<&Obj>) -> Result<bool, Failure> {
    let Some(value) = value else { return Ok(false) };
    value.to_bool().ok_or_else(|| {
        Failure::BadArguments(format!("Non-boolean value '{}' specified for option '{name}'.", value.to_text()))
    })
}

/// What a script may require of a context: true or false, and that TLS can give it.
fn check_requirements<'a>(values: impl Iterator<Item = (&'a &'static str, &'a Option<Obj>)>) -> Result<(), Failure> {
    for (name, value) in values {
        if boolean(name, value.as_ref())? && *name == "-delegate" {
            return Err(Failure::Unsupported("Option -delegate".to_owned()));
        }
    }
    Ok(())
}

/// The byte order of tokens, which TLS lays down; the words are checked all the same.
fn check_representation(value: Option<&Obj>) -> Result<(), Failure> {
    match value.map(Obj::to_text).as_deref() {
        None | Some("native" | "network") => Ok(()),
        Some(other) => Err(Failure::BadArguments(format!(
            "Invalid value '{other}' specified for option '-datarep'. Must be one of native, network."
        ))),
    }
}

/// The quality of protection: 0 is all that a cipher suite offers.
fn check_quality(value: Option<&Obj>) -> Result<(), Failure> {
    let Some(value) = value else { return Ok(()) };
    match value.to_integer() {
        Some(0) => Ok(()),
        Some(_) => Err(Failure::Unsupported("A quality of protection other than 0".to_owned())),
        None => {
            Err(Failure::BadArguments(format!("Non-integer value '{}' specified for option '-qop'.", value.to_text())))
        }
    }
}

/// A channel that changes what is written to it would ruin the stream.
fn check_binary(interp: &Interp<'_>, channel: &Obj) -> Result<(), Failure> {
    let option = |name: &str| interp.call(&[Obj::text("::fconfigure"), channel.clone(), Obj::text(name)]);
    let encoding = option("-encoding")?.to_text();
    let translation = option("-translation")?.elements().unwrap_or_default().last().map(Obj::to_text);
    if ["binary", "iso8859-1"].contains(&encoding.as_str()) && translation.as_deref() == Some("lf") {
        return Ok(());
    }
    Err(Failure::BadArguments(format!(
        "The channel \"{}\" is not binary: configure it with -translation binary.",
        channel.to_text()
    )))
}
