//! What becomes of a connection that a listener accepted: the callback once it is open, a report if it fails.

use tcl_stubs::{Channel, Error, Interp, InterpId, Obj, error_options};

use crate::driver::{self, TlsChannel};
use crate::failure::Failure;

/// Whom to tell about an accepted connection.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) interp: InterpId,
    pub(crate) callback: String,
    pub(crate) address: String,
    pub(crate) port: String,
}

impl Accepted {
    /// Calls `{*}CALLBACK CHAN ADDR PORT` with the open channel, blocking as those of `socket -server` are. An error
    /// in it closes the channel and goes to the background error handler.
    pub(crate) fn deliver(self, chan: &Channel<TlsChannel>) {
        self.interp.with(|interp| {
            let arguments = [Obj::text(&chan.name()), Obj::text(&self.address), Obj::text(&self.port)];
            let called = chan
                .configure(interp, "-blocking", "1")
                .and_then(|()| interp.call_prefix(&self.callback, arguments).map(drop));
            if let Err(error) = called {
                close(chan, interp);
                interp.background_error(&error);
            }
        });
        driver::refresh(chan);
    }

    /// Closes the channel, and reports why.
    pub(crate) fn refuse(self, chan: &Channel<TlsChannel>, failure: &Failure) {
        self.interp.with(|interp| {
            let error = failure.to_error_in(interp);
            close(chan, interp);
            // What the application has closed itself is no news to it.
            if *failure != Failure::ClosedByVerifier {
                report(interp, &error);
            }
        });
    }
}

/// Tells the application through `tls_background_error`. Its error becomes the background error, else the original.
pub(crate) fn report(interp: &Interp<'_>, error: &Error) {
    let words = [Obj::text("::twapi::tls_background_error"), Obj::text(error.message()), error_options(error)];
    let reported = interp.call(&words).err();
    interp.background_error(reported.as_ref().unwrap_or(error));
}

fn close(chan: &Channel<TlsChannel>, interp: &Interp<'_>) {
    // What closing a failed connection says adds nothing to why it failed.
    let _ = chan.unregister(interp);
}
