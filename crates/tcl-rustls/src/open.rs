//! Making TLS channels: a session on top of a channel that is there.

use std::time::Instant;

use tcl_stubs::{Channel, Events, Interp, Parent};
use tls_certs::PeerName;
use tls_session::Session;

use crate::credentials::{Credentials, configuration_failure};
use crate::driver::{self, TlsChannel};
use crate::failure::Failure;
use crate::keylog;
use crate::linger;
use crate::negotiate;
use crate::options::Common;
use crate::pump::{Deadline, Pump};
use crate::state::{Role, Verifier};
use crate::trace;

/// What channels made by `tls_socket` have as their `-buffersize`, in bytes: several records at once.
const SOCKET_BUFFER_SIZE: &str = "65536";

/// Where the channel below comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A socket of our own making.
    Socket,
    /// A channel that the script gave away.
    Given,
}

/// A client's session with `peer`.
///
/// # Errors
/// The credentials cannot be used so.
pub(crate) fn client_session(common: &Common, peer: &PeerName) -> Result<Session, Failure> {
    let credentials: &Credentials = match &common.settings.credentials {
        Some(handle) => handle,
        None => Credentials::anonymous(),
    };
    let mut config = credentials.client_config(common.settings.verifier.is_some())?;
    if !common.alpn.is_empty() {
        config = config.with_alpn(common.alpn.clone()).map_err(configuration_failure)?;
    }
    if let Some(Verifier { interp, command }) = &common.settings.verifier {
        config = config.with_partition(&format!("{interp:?} {command}"));
    }
    Session::client(&keylog::client(config), peer).map_err(configuration_failure)
}

/// A server's session.
///
/// # Errors
/// As [`client_session`].
pub(crate) fn server_session(
    common: &Common,
    credentials: &Credentials,
    request_client_certificate: bool,
) -> Result<Session, Failure> {
    let mut config = credentials.server_config(request_client_certificate, common.settings.verifier.is_some())?;
    if !common.alpn.is_empty() {
        config = config.with_alpn(common.alpn.clone()).map_err(configuration_failure)?;
    }
    if let Some(verifier) = &common.settings.verifier {
        // The same in each process that shares the ticket keys.
        config = config.with_partition(&verifier.command);
    }
    Session::server(&keylog::server(config)).map_err(configuration_failure)
}

/// Makes the TLS channel on top of `parent` and makes it known to the interpreter. Nothing moves yet.
///
/// # Errors
/// The channel below cannot carry a TLS channel; it is closed.
pub(crate) fn channel(
    interp: &Interp<'_>,
    parent: Parent,
    session: Session,
    role: Role,
    common: &Common,
    origin: Origin,
) -> Result<Channel<TlsChannel>, Failure> {
    if parent.mode() != Events::BOTH {
        return Err(Failure::BadArguments("The channel must be open for both reading and writing.".to_owned()));
    }
    if !parent.fits_notifier() {
        return Err(Failure::Below(tcl_stubs::Errno::TOO_MANY_FILES.into()));
    }
    linger::prepare();
    linger::sweep();
    let inherited = parent.generic_options(interp);
    let early = parent.make_binary();
    if origin == Origin::Socket {
        parent.set_nodelay();
    }
    let blocking = inherited.iter().any(|(name, value)| *name == "-blocking" && value != "0");
    let driver = TlsChannel::new(Pump::new(session, parent, early), role, common.settings.clone(), blocking);
    let chan = Channel::create("tls", Events::BOTH, driver);
    let weak = chan.downgrade();
    let trace = trace::of_channel(interp.id(), chan.name(), role);
    chan.driver().with(|state| {
        if let Some(pump) = state.pump.as_mut() {
            if trace.is_some() {
                pump.session.trace();
                pump.trace = trace;
            }
            pump.parent.on_event(move |events| weak.handle(|chan| driver::on_parent_event(chan, events)));
        }
    })?;
    chan.register(interp);
    for (name, value) in inherited {
        let value = if name == "-buffersize" && origin == Origin::Socket { SOCKET_BUFFER_SIZE } else { value.as_str() };
        if let Err(error) = chan.configure(interp, name, value) {
            let _ = chan.unregister(interp);
            return Err(Failure::Script(error));
        }
    }
    if let Some(limit) = common.limit {
        let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let limit = Deadline { at: Instant::now() + limit, milliseconds };
        let timer = negotiate::deadline(&chan, limit);
        chan.driver().with(|state| {
            state.limit = Some(limit);
            state.deadline = Some(timer);
        })?;
    }
    Ok(chan)
}
