//! `tls_socket`, `starttls`, `tls_socket_command`.

use tcl_stubs::{Channel, Errno, Interp, Obj, Parent};

use super::{Body, wrong_args};
use crate::driver::{self, TlsChannel};
use crate::failure::Failure;
use crate::listener;
use crate::negotiate::{self, Within};
use crate::open::{self, Origin};
use crate::options::{self, ClientSocket, Socket, WrapSide};
use crate::pump::Reads;
use crate::state::Role;

pub(super) const COMMANDS: &[(&str, Body)] =
    &[("tls_socket", tls_socket), ("starttls", starttls), ("tls_socket_command", tls_socket_command)];

/// Where the command that makes TCP sockets is kept; Tcl 9's `http::register` can be given its name.
pub(crate) const SOCKET_COMMAND_VARIABLE: &str = "::twapi::tls::_socket_cmd";
pub(crate) const DEFAULT_SOCKET_COMMAND: &str = "::socket";

fn tls_socket(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let parsed = options::socket(interp.id(), words)?;
    let watched_at_once = !matches!(&parsed, Socket::Client(options) if !options.asynchronous);
    if watched_at_once && !Parent::next_fits_notifier() {
        return Err(Failure::Below(Errno::TOO_MANY_FILES.into()));
    }
    match parsed {
        Socket::Client(options) => connect(interp, options).map(Obj::from),
        Socket::Server(options) => {
            let command = options.socket_command.clone().unwrap_or_else(|| socket_command(interp));
            listener::listen(interp, &command, options).map(Obj::from)
        }
    }
}

fn connect(interp: &Interp<'_>, options: ClientSocket) -> Result<String, Failure> {
    let session = open::client_session(&options.common, &options.peer)?;
    let command = options.socket_command.unwrap_or_else(|| socket_command(interp));
    let mut words: Vec<Obj> = options.tcp.iter().map(|word| Obj::text(word)).collect();
    words.extend([Obj::text(&options.host), Obj::text(&options.port)]);
    let socket = interp.call_prefix(&command, words)?;
    let parent = Parent::adopt(interp, &socket.to_text())?;
    let chan = open::channel(interp, parent, session, Role::Client, &options.common, Origin::Socket)?;
    if options.asynchronous {
        driver::refresh(&chan);
        return Ok(chan.name());
    }
    complete(interp, &chan)?;
    Ok(chan.name())
}

fn starttls(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let Some((name, words)) = words.split_first() else {
        return Err(wrong_args("starttls chan ?-server? ?options?"));
    };
    // The channel is the caller's no more, whatever follows: dropping it closes it.
    let parent = Parent::adopt(interp, &name.to_text())?;
    let options = options::starttls(interp.id(), words)?;
    let (role, session) = match &options.side {
        WrapSide::Client { peer } => (Role::Client, open::client_session(&options.common, peer)?),
        WrapSide::Server { credentials, request_client_certificate } => {
            (Role::Server, open::server_session(&options.common, credentials, *request_client_certificate)?)
        }
    };
    let chan = open::channel(interp, parent, session, role, &options.common, Origin::Given)?;
    let blocking = chan.driver().with(|state| state.blocking)?;
    if blocking {
        complete(interp, &chan)?;
    } else {
        // A client's first flight leaves now; all else, what lay in the channel's buffer included, is for the event loop.
        if let Err(failure) = negotiate::advance(&chan, Reads::None, Within::Loop) {
            return Err(give_up(interp, &chan, failure));
        }
        driver::refresh(&chan);
    }
    Ok(Obj::text(&chan.name()))
}

/// Completes the handshake of a channel that the script waits for, or closes it.
pub(super) fn complete(interp: &Interp<'_>, chan: &Channel<TlsChannel>) -> Result<(), Failure> {
    let blocking = chan.driver().with(|state| state.blocking)?;
    if !blocking {
        chan.configure(interp, "-blocking", "1")?;
    }
    if let Err(failure) = negotiate::advance(chan, Reads::AsNeeded, Within::Loop) {
        return Err(give_up(interp, chan, failure));
    }
    if !blocking {
        chan.configure(interp, "-blocking", "0")?;
    }
    driver::refresh(chan);
    Ok(())
}

fn give_up(interp: &Interp<'_>, chan: &Channel<TlsChannel>, failure: Failure) -> Failure {
    // What closing a failed connection says adds nothing to why it failed.
    let _ = chan.unregister(interp);
    failure
}

fn tls_socket_command(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let previous = socket_command(interp);
    match words {
        [] => {}
        [command] => interp.set_variable(SOCKET_COMMAND_VARIABLE, command)?,
        _ => return Err(wrong_args("tls_socket_command ?command?")),
    }
    Ok(Obj::text(&previous))
}

pub(super) fn socket_command(interp: &Interp<'_>) -> String {
    interp
        .variable(SOCKET_COMMAND_VARIABLE)
        .map(|command| command.to_text())
        .filter(|command| !command.is_empty())
        .unwrap_or_else(|| DEFAULT_SOCKET_COMMAND.to_owned())
}
