//! Listening channels: they accept TCP connections and negotiate each by the event loop.

use std::ffi::CStr;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tcl_stubs::{
    Channel, ChannelDriver, ChannelError, Errno, Error, Events, InputBuffer, Interp, InterpId, Obj, OptionError,
    OsHandle, Parent,
};

use crate::accept::{self, Accepted};
use crate::credentials::CredentialsHandle;
use crate::driver;
use crate::failure::Failure;
use crate::open::{self, Origin};
use crate::options::{Common, ServerSocket};
use crate::state::Role;

/// The driver of a listening channel: it only owns the listening socket.
pub(crate) struct Listener {
    parent: Mutex<Option<Parent>>,
    /// The command that the socket calls with each connection, and where it is.
    command: String,
    interp: InterpId,
    credentials: String,
    verifier: String,
}

/// What each accepted connection needs.
struct Template {
    interp: InterpId,
    callback: String,
    common: Common,
    credentials: CredentialsHandle,
    request_client_certificate: bool,
}

/// Opens a listening channel.
///
/// # Errors
/// What the socket command raised; credentials that a server cannot use.
pub(crate) fn listen(interp: &Interp<'_>, socket_command: &str, options: ServerSocket) -> Result<String, Failure> {
    let ServerSocket { common, callback, port, credentials, request_client_certificate, tcp, .. } = options;
    // Unusable credentials show now, not with the first connection.
    credentials.server_config(request_client_certificate, common.settings.verifier.is_some())?;
    let id = interp.id();
    let verifier = common.settings.verifier.as_ref().map_or_else(String::new, |verifier| verifier.command.clone());
    let credentials_name = credentials.name().to_owned();
    let template = Rc::new(Template { interp: id, callback, common, credentials, request_client_certificate });
    let command = format!("::twapi::tls::accept{}", next_number());
    interp.create_command(&command, move |interp: &Interp<'_>, words: &[Obj]| {
        let [_, socket, address, port] = words else {
            return Err(Error::wrong_args("accept channel address port"));
        };
        template.accept(interp, &socket.to_text(), address.to_text(), port.to_text());
        Ok(Obj::text(""))
    });
    let mut words = vec![Obj::text("-server"), Obj::text(&command)];
    words.extend(tcp.iter().map(|word| Obj::text(word)));
    words.push(Obj::text(&port));
    let opened = interp.call_prefix(socket_command, words).and_then(|name| Parent::adopt(interp, &name.to_text()));
    let parent = opened.inspect_err(|_| delete_command(interp, &command))?;
    let listener =
        Listener { parent: Mutex::new(Some(parent)), command, interp: id, credentials: credentials_name, verifier };
    let chan = Channel::create("tls", Events::NONE, listener);
    chan.register(interp);
    Ok(chan.name())
}

impl Template {
    /// Begins to negotiate with a new connection. Nothing here waits, whatever the peer does.
    fn accept(&self, interp: &Interp<'_>, socket: &str, address: String, port: String) {
        let accepted = Accepted { interp: self.interp, callback: self.callback.clone(), address, port };
        if let Err(failure) = self.begin(interp, socket, accepted) {
            accept::report(interp, &failure.to_error_in(interp));
        }
    }

    fn begin(&self, interp: &Interp<'_>, socket: &str, accepted: Accepted) -> Result<(), Failure> {
        let parent = Parent::adopt(interp, socket)?;
        let session = open::server_session(&self.common, &self.credentials, self.request_client_certificate)?;
        let chan = open::channel(interp, parent, session, Role::Server, &self.common, Origin::Socket)?;
        chan.driver().with(|state| state.accepted = Some(accepted))?;
        chan.configure(interp, "-blocking", "0")?;
        driver::refresh(&chan);
        Ok(())
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn delete_command(interp: &Interp<'_>, command: &str) {
    let _ = interp.call(&["rename", command, ""].map(Obj::text));
}

impl Listener {
    fn own_options(&self) -> [(&'static str, &str); 3] {
        [("-context", ""), ("-credentials", &self.credentials), ("-verifier", &self.verifier)]
    }

    fn with_parent<R>(&self, body: impl FnOnce(&Parent) -> R) -> Option<R> {
        self.parent.try_lock().ok()?.as_ref().map(body)
    }

    fn unknown(mut known: Vec<String>) -> OptionError {
        known.extend(["context", "credentials", "verifier"].map(str::to_owned));
        OptionError::Unknown(known)
    }
}

impl ChannelDriver for Listener {
    const TYPE_NAME: &'static CStr = c"tls listener";

    fn input(_chan: &Channel<Self>, _into: &mut InputBuffer<'_>) -> Result<(), ChannelError> {
        Err(Errno::INVALID.into())
    }

    fn output(_chan: &Channel<Self>, _bytes: &[u8]) -> Result<usize, ChannelError> {
        Err(Errno::INVALID.into())
    }

    fn watch(_chan: &Channel<Self>, _events: Events) {}

    fn set_blocking(_chan: &Channel<Self>, _blocking: bool) -> Result<(), ChannelError> {
        Ok(())
    }

    fn close_output(_chan: &Channel<Self>) -> Result<(), ChannelError> {
        Err(Errno::INVALID.into())
    }

    fn close(chan: &Channel<Self>, _interp: Option<&Interp<'_>>) -> Result<(), ChannelError> {
        let listener = chan.driver();
        let parent = listener.parent.try_lock().ok().and_then(|mut parent| parent.take());
        drop(parent);
        listener.interp.with(|interp| interp.aside(|interp| delete_command(interp, &listener.command)));
        Ok(())
    }

    fn option(chan: &Channel<Self>, interp: Option<&Interp<'_>>, name: &str) -> Result<String, OptionError> {
        let listener = chan.driver();
        if let Some((_, value)) = listener.own_options().into_iter().find(|(own, _)| *own == name) {
            return Ok(value.to_owned());
        }
        match listener.with_parent(|parent| parent.option(interp, name)) {
            Some(Err(OptionError::Unknown(known))) => Err(Self::unknown(known)),
            Some(answer) => answer,
            None => Err(Self::unknown(Vec::new())),
        }
    }

    fn options(chan: &Channel<Self>, interp: Option<&Interp<'_>>) -> Vec<(String, String)> {
        let listener = chan.driver();
        let mut options = listener.with_parent(|parent| parent.options(interp)).unwrap_or_default();
        options.extend(listener.own_options().map(|(name, value)| (name.to_owned(), value.to_owned())));
        options
    }

    fn set_option(
        chan: &Channel<Self>,
        interp: Option<&Interp<'_>>,
        name: &str,
        value: &str,
    ) -> Result<(), OptionError> {
        let listener = chan.driver();
        if listener.own_options().iter().any(|(own, _)| *own == name) {
            return Err(OptionError::Failed(Failure::BadArguments(format!("Option {name} is read-only.")).to_error()));
        }
        match listener.with_parent(|parent| parent.set_option(interp, name, value)) {
            Some(Err(OptionError::Unknown(known))) => Err(Self::unknown(known)),
            Some(answer) => answer,
            None => Err(Self::unknown(Vec::new())),
        }
    }

    fn handle(chan: &Channel<Self>, direction: Events) -> Option<OsHandle> {
        chan.driver().with_parent(|parent| parent.handle(direction)).flatten()
    }

    fn detach(chan: &Channel<Self>) {
        chan.driver().with_parent(Parent::detach);
    }

    fn attach(chan: &Channel<Self>) {
        chan.driver().with_parent(Parent::attach);
    }

    fn poisoned(_chan: &Channel<Self>) {}
}
