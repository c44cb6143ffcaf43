//! The channel below: a Tcl channel that a driver owns and moves raw bytes through (manual page `Tcl_ReadRaw`).

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use crate::channel::OsHandle;
use crate::error::{ChannelError, Errno, Error, OptionError, from_tcl_text, to_c_string};
use crate::events::Events;
use crate::interp::Interp;
use crate::obj::{Obj, length};
use crate::thread::ThreadToken;
use crate::{os, panics, sys};

/// Options that Tcl itself keeps for each channel and that a channel on top inherits.
const GENERIC_OPTIONS: [&str; 7] =
    ["-blocking", "-buffering", "-buffersize", "-encoding", "-eofchar", "-translation", "-profile"];

type Handler = Arc<dyn Fn(Events) + Send + Sync>;

/// A Tcl channel owned by Rust: no interpreter knows it. Dropping it closes it, in the background if it is
/// non-blocking and has output left.
pub struct Parent {
    raw: *mut sys::Channel,
    /// Boxed, so that its address can serve as Tcl's client data.
    handler: Box<RefCell<Option<Handler>>>,
    watched: Cell<Events>,
    /// The thread whose Tcl has the channel in its list.
    thread: Cell<ThreadToken>,
}

// SAFETY: a Parent goes where the channel above it goes, by `detach` in the old thread and `attach` in the new one. It
// is not Sync, so one thread at a time uses it; and in a thread that does not have the channel, each method refuses
// before it calls Tcl, dropping included. The handler is Send.
unsafe impl Send for Parent {}

impl Parent {
    /// Takes a channel out of an interpreter: its name is unknown there from now on, its event handlers and background
    /// copies are gone, and what it had buffered for output is on its way.
    ///
    /// # Errors
    /// The interpreter knows no channel of that name.
    pub fn adopt(interp: &Interp<'_>, name: &str) -> Result<Self, Error> {
        let c_name = to_c_string(name);
        // SAFETY: the interpreter is live; a channel found is live, and our own reference keeps it when the
        // interpreter's is given up.
        unsafe {
            let bottom = sys::get_channel(interp.as_ptr(), c_name.as_ptr(), std::ptr::null_mut());
            if bottom.is_null() {
                return Err(interp.take_error());
            }
            sys::register_channel(std::ptr::null_mut(), bottom);
            sys::unregister_channel(interp.as_ptr(), bottom);
            let raw = sys::get_top_channel(bottom);
            sys::clear_channel_handlers(raw);
            sys::flush(raw);
            Ok(Self {
                raw,
                handler: Box::default(),
                watched: Cell::new(Events::NONE),
                thread: Cell::new(ThreadToken::current()),
            })
        }
    }

    /// The directions the channel is open for.
    pub fn mode(&self) -> Events {
        // SAFETY: the channel is live while we own it.
        Events::from_raw(unsafe { sys::get_channel_mode(self.raw) })
    }

    /// What kind of channel it is, as its driver names itself: `tcp`, `file`, …
    pub fn kind(&self) -> String {
        // SAFETY: the channel is live, and its type has a name.
        from_tcl_text(unsafe { CStr::from_ptr((*sys::get_channel_type(self.raw)).type_name) }.to_bytes())
    }

    /// Tcl's own options of the channel and their values, those that this version of Tcl has.
    pub fn generic_options(&self, interp: &Interp<'_>) -> Vec<(&'static str, String)> {
        let value = |name| interp.aside(|interp| self.any_option(Some(interp), name)).ok();
        GENERIC_OPTIONS.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
    }

    /// Makes the channel transparent, and gives back what lay in its input buffer: the first bytes for the new owner.
    pub fn make_binary(&self) -> Vec<u8> {
        for (name, value) in [("-translation", "binary"), ("-eofchar", ""), ("-buffering", "none")] {
            let _ = self.set_any_option(None, name, value);
        }
        // SAFETY: the channel is live; Tcl writes at most as many bytes as the buffer has.
        unsafe {
            let waiting = usize::try_from(sys::input_buffered(self.raw)).unwrap_or(0);
            let mut bytes = vec![0; waiting];
            if waiting > 0 {
                let count = sys::read(self.raw, bytes.as_mut_ptr().cast(), length(waiting));
                bytes.truncate(usize::try_from(count).unwrap_or(0));
            }
            bytes
        }
    }

    /// Reads what is there, at most `into.len()` bytes; 0 is end of file.
    ///
    /// # Errors
    /// The channel's; [`Errno::WOULD_BLOCK`] where it is non-blocking and nothing has come.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, ChannelError> {
        self.usable()?;
        if into.is_empty() {
            return Err(Errno::INVALID.into());
        }
        loop {
            // SAFETY: the channel is live; Tcl writes at most as many bytes as the buffer has.
            let count = unsafe { sys::read_raw(self.raw, into.as_mut_ptr().cast(), length(into.len())) };
            match self.outcome(count) {
                Err(ChannelError::System(Errno::INTERRUPTED)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Writes as much of `bytes` as goes now.
    ///
    /// # Errors
    /// The channel's; [`Errno::WOULD_BLOCK`] where it is non-blocking and takes nothing now.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, ChannelError> {
        self.usable()?;
        // What was buffered before we came goes first, by Tcl's own means.
        if self.output_pending() {
            // SAFETY: the channel is live.
            if unsafe { sys::flush(self.raw) } != sys::OK {
                return self.outcome(-1);
            }
            if self.output_pending() {
                return Err(ChannelError::WOULD_BLOCK);
            }
        }
        loop {
            // SAFETY: the channel is live; the bytes do not change during the call.
            let count = unsafe { sys::write_raw(self.raw, bytes.as_ptr().cast(), length(bytes.len())) };
            match self.outcome(count) {
                Err(ChannelError::System(Errno::INTERRUPTED)) => {}
                outcome => return outcome,
            }
        }
    }

    /// Hands bytes to Tcl's own output buffer, which is flushed in the background if need be. After this,
    /// [`Parent::write`] waits until they are gone.
    ///
    /// # Errors
    /// The channel's.
    pub fn queue(&self, bytes: &[u8]) -> Result<(), ChannelError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.usable()?;
        // SAFETY: the channel is live; Tcl copies the bytes.
        let count = unsafe { sys::write(self.raw, bytes.as_ptr().cast(), length(bytes.len())) };
        self.outcome(count).map(drop)
    }

    /// Closes the output side, where the channel can, once its buffered output is gone. True if it could.
    pub fn close_output(&self) -> bool {
        // SAFETY: the channel is live. What makes Tcl_CloseEx use its interpreter before it looks whether there is one
        // is excluded first: a kind of channel without half-close, a stack, a side that is closed already.
        unsafe {
            let capable = self.is_usable()
                && !sys::channel_close2_proc(sys::get_channel_type(self.raw)).is_null()
                && std::ptr::eq(sys::get_top_channel(self.raw), self.raw)
                && self.mode().intersects(Events::WRITABLE);
            capable && sys::close_ex(std::ptr::null_mut(), self.raw, sys::CLOSE_WRITE) == sys::OK
        }
    }

    /// True while output lies in Tcl's own buffer.
    pub fn output_pending(&self) -> bool {
        // SAFETY: the channel is live.
        unsafe { sys::output_buffered(self.raw) > 0 }
    }

    /// Switches between blocking and non-blocking.
    ///
    /// # Errors
    /// The channel cannot.
    pub fn set_blocking(&self, blocking: bool) -> Result<(), ChannelError> {
        self.set_any_option(None, "-blocking", if blocking { "1" } else { "0" })
            .map_err(|_| ChannelError::System(Errno::INVALID))
    }

    /// What to call when a watched event happens, from now on.
    pub fn on_event(&self, handler: impl Fn(Events) + Send + Sync + 'static) {
        let former = self.handler.replace(Some(Arc::new(handler)));
        drop(former);
    }

    /// Watches for events from now on, calling what [`Parent::on_event`] was given.
    ///
    /// # Errors
    /// [`Errno::TOO_MANY_FILES`]: the notifier cannot hold the channel's descriptor.
    pub fn watch(&self, events: Events) -> Result<(), Errno> {
        if events == self.watched.get() || !self.is_usable() {
            return Ok(());
        }
        if !events.is_empty() && !self.fits_notifier() {
            return Err(Errno::TOO_MANY_FILES);
        }
        let data = std::ptr::from_ref::<RefCell<Option<Handler>>>(&self.handler).cast_mut().cast::<c_void>();
        self.watched.set(events);
        // SAFETY: the handler is boxed and stays until the channel is given up, which removes it from Tcl first.
        unsafe {
            if events.is_empty() {
                sys::delete_channel_handler(self.raw, dispatch, data);
            } else {
                sys::create_channel_handler(self.raw, events.to_raw(), dispatch, data);
            }
        }
        Ok(())
    }

    /// False where the process would be aborted by watching this channel: Tcl 8.6 on Unix waits with `select`, whose
    /// sets end at a fixed descriptor.
    pub fn fits_notifier(&self) -> bool {
        sys::wide_sizes() || self.handle(Events::READABLE).is_none_or(os::fits_select)
    }

    /// False where Tcl would abort the process by watching the descriptor that is opened next, as it does for a socket
    /// that listens or connects in the background. For the reason see [`Parent::fits_notifier`].
    pub fn next_fits_notifier() -> bool {
        sys::wide_sizes() || os::next_fits_select()
    }

    /// Waits until the channel is ready or the time is over; true if it is ready.
    ///
    /// # Errors
    /// The channel has no descriptor to wait for.
    pub fn wait(&self, events: Events, limit: Duration) -> Result<bool, Errno> {
        let handle = self.handle(events).ok_or(Errno::INVALID)?;
        os::wait(handle, events, limit)
    }

    /// Sends small writes at once, if the channel is a TCP socket.
    pub fn set_nodelay(&self) {
        if let Some(handle) = self.handle(Events::WRITABLE) {
            os::set_nodelay(handle);
        }
    }

    /// The operating system's handle for a direction.
    pub fn handle(&self, direction: Events) -> Option<OsHandle> {
        let mut handle = std::ptr::null_mut();
        if !self.is_usable() {
            return None;
        }
        // SAFETY: the channel is live.
        let code = unsafe { sys::get_channel_handle(self.raw, direction.to_raw(), &raw mut handle) };
        if code != sys::OK {
            // Tcl leaves a message, which would be taken for the reason of the next failure.
            let _ = self.take_message();
            return None;
        }
        Some(OsHandle(handle))
    }

    /// One of the channel's own options.
    ///
    /// # Errors
    /// No such option, or the channel cannot tell.
    pub fn option(&self, interp: Option<&Interp<'_>>, name: &str) -> Result<String, OptionError> {
        let known: Vec<String> = self.options(interp).into_iter().map(|(name, _)| name).collect();
        self.any_option(interp, name).map_err(|error| {
            if known.iter().any(|known| known == name) { OptionError::Failed(error) } else { unknown(&known) }
        })
    }

    /// The channel's own options, beside Tcl's, with their values.
    pub fn options(&self, interp: Option<&Interp<'_>>) -> Vec<(String, String)> {
        if !self.can_be_asked(interp) {
            return Vec::new();
        }
        let list = |raw| self.option_list(raw);
        let list = interp.map_or_else(|| list(std::ptr::null_mut()), |interp| interp.aside(|i| list(i.as_ptr())));
        let words = list.and_then(|list| Obj::text(&list).elements().ok()).unwrap_or_default();
        words.chunks_exact(2).map(|pair| (pair[0].to_text(), pair[1].to_text())).collect()
    }

    /// Scripts that stand for channels need an interpreter to answer in, and Tcl does not look whether there is one.
    fn can_be_asked(&self, interp: Option<&Interp<'_>>) -> bool {
        self.is_usable() && (interp.is_some() || self.kind() != "tclrchannel")
    }

    fn option_list(&self, interp: *mut sys::Interp) -> Option<String> {
        let mut text = sys::DString::new();
        // SAFETY: the kind of channel is live as long as the channel; the procedure is called as Tcl calls it, with
        // a dynamic string that does not move until it is freed.
        unsafe {
            let get = sys::channel_get_option_proc(sys::get_channel_type(self.raw))?;
            sys::dstring_init(&raw mut text);
            let data = sys::get_channel_instance_data(self.raw);
            let code = get(data, interp, std::ptr::null(), &raw mut text);
            let list = from_tcl_text(CStr::from_ptr(text.string).to_bytes());
            sys::dstring_free(&raw mut text);
            (code == sys::OK).then_some(list)
        }
    }

    /// Sets one of the channel's own options.
    ///
    /// # Errors
    /// No such option, or the channel refuses the value.
    pub fn set_option(&self, interp: Option<&Interp<'_>>, name: &str, value: &str) -> Result<(), OptionError> {
        self.set_any_option(interp, name, value).map_err(|error| {
            if error.message().starts_with("bad option") {
                unknown(&self.options(interp).into_iter().map(|(name, _)| name).collect::<Vec<_>>())
            } else {
                OptionError::Failed(error)
            }
        })
    }

    /// Leaves this thread: nothing is watched any more.
    ///
    /// A channel that others hold as well must stay, for it is theirs too; it cannot be used from elsewhere then.
    pub fn detach(&self) {
        if !self.is_usable() {
            return;
        }
        let _ = self.watch(Events::NONE);
        if self.is_shared() {
            return;
        }
        // SAFETY: the channel is live and in this thread's list. A flush in the background has the driver watch for
        // its own sake; it must stop as well, for its notifier is this thread's.
        unsafe {
            if let Some(watch) = sys::channel_watch_proc(sys::get_channel_type(self.raw)) {
                watch(sys::get_channel_instance_data(self.raw), 0);
            }
            sys::cut_channel(self.raw);
        }
        self.thread.set(ThreadToken::NOBODY);
    }

    /// Arrives in this thread.
    pub fn attach(&self) {
        if self.thread.get() != ThreadToken::NOBODY {
            return;
        }
        // SAFETY: the channel is live and in no thread's list. Adding and removing a handler makes Tcl watch for what
        // its own flush in the background needs.
        unsafe {
            sys::splice_channel(self.raw);
            self.thread.set(ThreadToken::current());
            if !sys::get_channel_instance_data(self.raw).is_null() {
                let none = std::ptr::null_mut();
                sys::create_channel_handler(self.raw, sys::WRITABLE, ignore, none);
                sys::delete_channel_handler(self.raw, ignore, none);
            }
        }
    }

    /// True if others hold the channel too: another interpreter, Tcl as a standard channel, or while it is being
    /// accepted.
    fn is_shared(&self) -> bool {
        // SAFETY: the channel is live: we hold it.
        unsafe { sys::is_channel_shared(self.raw) != 0 }
    }

    /// False in a thread that does not have the channel, and once Tcl has closed it from below, as it does with what
    /// is left at exit.
    fn is_usable(&self) -> bool {
        // SAFETY: the structure is live as long as our reference is counted; Tcl clears the data when it closes it.
        self.thread.get() == ThreadToken::current() && unsafe { !sys::get_channel_instance_data(self.raw).is_null() }
    }

    fn usable(&self) -> Result<(), Errno> {
        if self.is_usable() { Ok(()) } else { Err(Errno::INVALID) }
    }

    fn any_option(&self, interp: Option<&Interp<'_>>, name: &str) -> Result<String, Error> {
        if !self.can_be_asked(interp) {
            return Err(failed_option(None, name));
        }
        let c_name = to_c_string(name);
        let raw_interp = interp.map_or(std::ptr::null_mut(), Interp::as_ptr);
        let mut text = sys::DString::new();
        // SAFETY: channel and interpreter are live; the dynamic string does not move until it is freed.
        let (code, value) = unsafe {
            sys::dstring_init(&raw mut text);
            let code = sys::get_channel_option(raw_interp, self.raw, c_name.as_ptr(), &raw mut text);
            let value = from_tcl_text(CStr::from_ptr(text.string).to_bytes());
            sys::dstring_free(&raw mut text);
            (code, value)
        };
        if code == sys::OK { Ok(value) } else { Err(failed_option(interp, name)) }
    }

    fn set_any_option(&self, interp: Option<&Interp<'_>>, name: &str, value: &str) -> Result<(), Error> {
        if !self.is_usable() {
            return Err(failed_option(None, name));
        }
        let (c_name, c_value) = (to_c_string(name), to_c_string(value));
        let raw_interp = interp.map_or(std::ptr::null_mut(), Interp::as_ptr);
        // SAFETY: channel, interpreter and strings are live.
        let code = unsafe { sys::set_channel_option(raw_interp, self.raw, c_name.as_ptr(), c_value.as_ptr()) };
        if code == sys::OK { Ok(()) } else { Err(failed_option(interp, name)) }
    }

    /// The message that a failed call has left (see `Tcl_GetChannelError`).
    fn take_message(&self) -> Option<Obj> {
        let mut message = std::ptr::null_mut();
        // SAFETY: the channel is live. The reference to the message is ours to give back, after one of our own.
        unsafe {
            sys::get_channel_error(self.raw, &raw mut message);
            (!message.is_null()).then(|| {
                let counted = Obj::from_raw(message);
                sys::db_decr_ref_count(message, c"tcl-stubs".as_ptr(), 0);
                counted
            })
        }
    }

    fn outcome(&self, count: isize) -> Result<usize, ChannelError> {
        if let Ok(count) = usize::try_from(count) {
            return Ok(count);
        }
        // SAFETY: reads the number that the failed call has left.
        let errno = Errno(unsafe { sys::get_errno() });
        Err(match self.take_message().and_then(|message| message.elements().ok()) {
            Some(words) if !words.is_empty() => ChannelError::Message(error_from_words(&words)),
            _ => ChannelError::System(errno),
        })
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.attach();
        if self.thread.get() != ThreadToken::current() {
            // Another thread's Tcl has it in its list, and nobody there can be asked: it stays open.
            return;
        }
        let _ = self.watch(Events::NONE);
        if self.is_usable() {
            // SAFETY: gives back the reference taken by `adopt`; Tcl closes the channel with the last one.
            unsafe { sys::unregister_channel(std::ptr::null_mut(), self.raw) };
        }
    }
}

impl std::fmt::Debug for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parent").field("watched", &self.watched.get()).finish_non_exhaustive()
    }
}

unsafe extern "C" fn dispatch(data: *mut c_void, mask: c_int) {
    // SAFETY: the boxed handler lives while it is registered; our own count keeps the closure when the call itself
    // gives up the channel.
    let handler = unsafe { (*data.cast::<RefCell<Option<Handler>>>()).borrow().clone() };
    let Some(handler) = handler else { return };
    // A handler that panics has lost its event; what it left behind is the driver's, which is poisoned by its own
    // boundary when called next.
    let _ = panics::catch(|| handler(Events::from_raw(mask)));
}

fn unknown(names: &[String]) -> OptionError {
    OptionError::Unknown(names.iter().map(|name| name.trim_start_matches('-').to_owned()).collect())
}

/// Stands for a moment where a handler must.
unsafe extern "C" fn ignore(_data: *mut c_void, _mask: c_int) {}

fn failed_option(interp: Option<&Interp<'_>>, name: &str) -> Error {
    interp.map_or_else(|| Error::new(format!("option \"{name}\" is not available")), Interp::take_error)
}

/// Reads a channel's message: return options, then the text.
fn error_from_words(words: &[Obj]) -> Error {
    let (options, text) = words.split_at(words.len() - 1);
    let mut error = Error::new(text.first().map(Obj::to_text).unwrap_or_default());
    for pair in options.chunks_exact(2) {
        if pair[0].to_text() == "-errorcode" {
            let code = pair[1].elements().unwrap_or_default();
            error = error.with_code(code.iter().map(Obj::to_text));
        }
    }
    error
}
