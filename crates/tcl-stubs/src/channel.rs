//! Channel drivers: Rust types behind Tcl channels (manual page `Tcl_CreateChannel`).

use std::any::TypeId;
use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::error::{ChannelError, Error, OptionError, from_tcl_text, to_c_string};
use crate::events::Events;
use crate::interp::Interp;
use crate::thread::ThreadToken;
use crate::{panics, sys, trampolines};

/// What stands behind a channel: the procedures of `Tcl_ChannelType`.
///
/// All of them get the channel itself and a shared driver: a procedure may run a script, and the script may come back
/// into the driver, so what changes lies in a `RefCell` that is borrowed only where no script can run. A channel can
/// be moved between threads, so the driver is `Send`; it is never used by two threads at once.
pub trait ChannelDriver: Send + Sized + 'static {
    /// What `chan` calls this kind of channel in its messages.
    const TYPE_NAME: &'static CStr;

    /// Reads: puts at least one byte into `into`; none is end of file.
    ///
    /// # Errors
    /// [`ChannelError::WOULD_BLOCK`] where a non-blocking channel has nothing yet.
    fn input(chan: &Channel<Self>, into: &mut InputBuffer<'_>) -> Result<(), ChannelError>;

    /// Writes: takes at least one of `bytes` and tells how many.
    ///
    /// # Errors
    /// [`ChannelError::WOULD_BLOCK`] where a non-blocking channel can take nothing yet: Tcl keeps the bytes and
    /// offers them again once notified that the channel is writable.
    fn output(chan: &Channel<Self>, bytes: &[u8]) -> Result<usize, ChannelError>;

    /// The events of interest from now on. Deliver them by [`Channel::notify`], never from within this call.
    fn watch(chan: &Channel<Self>, events: Events);

    /// Switches between blocking and non-blocking.
    ///
    /// # Errors
    /// The switch cannot be made.
    fn set_blocking(chan: &Channel<Self>, blocking: bool) -> Result<(), ChannelError>;

    /// No more output will come; input goes on. Tcl has flushed what it had.
    ///
    /// # Errors
    /// What `close CHAN write` shall raise.
    fn close_output(chan: &Channel<Self>) -> Result<(), ChannelError>;

    /// The channel is gone. Tcl has flushed what it had. There is no interpreter where the channel is closed after a
    /// flush in the background, or at exit.
    ///
    /// # Errors
    /// What `close` shall raise; the channel is gone all the same.
    fn close(chan: &Channel<Self>, interp: Option<&Interp<'_>>) -> Result<(), ChannelError>;

    /// The value of one option (named with its dash) that is not one of Tcl's own.
    ///
    /// # Errors
    /// See [`OptionError`].
    fn option(chan: &Channel<Self>, interp: Option<&Interp<'_>>, name: &str) -> Result<String, OptionError>;

    /// All options that are not Tcl's own, with their values.
    fn options(chan: &Channel<Self>) -> Vec<(String, String)>;

    /// Sets an option that is not one of Tcl's own.
    ///
    /// # Errors
    /// See [`OptionError`].
    fn set_option(
        chan: &Channel<Self>,
        interp: Option<&Interp<'_>>,
        name: &str,
        value: &str,
    ) -> Result<(), OptionError>;

    /// The operating system's handle for a direction.
    fn handle(chan: &Channel<Self>, direction: Events) -> Option<OsHandle>;

    /// The channel leaves its thread: timers and handlers are of no use any more. Also called just before `close`.
    fn detach(chan: &Channel<Self>);

    /// The channel has come into another thread.
    fn attach(chan: &Channel<Self>);
}

/// A descriptor or handle of the operating system, as Tcl passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsHandle(pub(crate) *mut std::ffi::c_void);

/// Where [`ChannelDriver::input`] puts what it read: Tcl's own buffer, so that a byte is copied once.
#[derive(Debug)]
pub struct InputBuffer<'a> {
    start: *mut u8,
    room: usize,
    filled: usize,
    scope: PhantomData<&'a mut [u8]>,
}

impl InputBuffer<'_> {
    /// # Safety
    /// `start` is the start of `room` writable bytes that nobody else uses for the buffer's lifetime. They need not
    /// be initialised.
    pub(crate) unsafe fn new(start: *mut u8, room: usize) -> Self {
        Self { start, room, filled: 0, scope: PhantomData }
    }

    /// How many more bytes fit.
    pub fn room(&self) -> usize {
        self.room - self.filled
    }

    /// How many bytes were put.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Appends bytes, as many as fit; tells how many that were.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        // SAFETY: `filled + count` is within the writable bytes that were promised; source and target are distinct,
        // for the target is borrowed exclusively.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(self.filled), count) }
        self.filled += count;
        count
    }
}

/// A channel of ours, counted: it may be gone for Tcl (see [`Channel::is_open`]) and its driver still be used.
pub struct Channel<D: ChannelDriver> {
    instance: Arc<Instance<D>>,
    /// Only the thread that owns the channel may hold one.
    not_send: PhantomData<*const ()>,
}

/// What Tcl's instance data points to.
pub(crate) struct Instance<D> {
    driver: D,
    raw: AtomicPtr<sys::Channel>,
    owner: AtomicU64,
    poison: OnceLock<String>,
}

impl<D: ChannelDriver> Channel<D> {
    /// Makes a channel, known to no interpreter yet. `mode`: the directions it is open for; none for a listener.
    ///
    /// Its name is `prefix` and a number.
    pub fn create(prefix: &str, mode: Events, driver: D) -> Self {
        let instance = Arc::new(Instance {
            driver,
            raw: AtomicPtr::new(std::ptr::null_mut()),
            owner: AtomicU64::new(ThreadToken::current().to_raw()),
            poison: OnceLock::new(),
        });
        let name = to_c_string(&unused_name(prefix));
        let data = Arc::into_raw(Arc::clone(&instance)).cast_mut();
        // SAFETY: the type is static; the instance data is a counted reference that `close` gives back.
        let raw = unsafe { sys::create_channel(channel_type::<D>(), name.as_ptr(), data.cast(), mode.to_raw()) };
        instance.raw.store(raw, Ordering::Release);
        Self { instance, not_send: PhantomData }
    }

    /// The channel of this kind that the interpreter knows under `name`.
    ///
    /// # Errors
    /// There is no channel of that name (Tcl's message). `Ok(None)`: there is one, of another kind.
    pub fn find(interp: &Interp<'_>, name: &str) -> Result<Option<Self>, Error> {
        let c_name = to_c_string(name);
        // SAFETY: the interpreter is live; a channel found is live, and its type pointer tells whether its instance
        // data is an `Instance<D>`.
        unsafe {
            let raw = sys::get_channel(interp.as_ptr(), c_name.as_ptr(), std::ptr::null_mut());
            if raw.is_null() {
                return Err(interp.take_error());
            }
            if !std::ptr::eq(sys::get_channel_type(raw), channel_type::<D>()) {
                return Ok(None);
            }
            let data = sys::get_channel_instance_data(raw).cast::<Instance<D>>();
            Ok((!data.is_null()).then(|| Self::from_data(data)))
        }
    }

    /// Makes the channel known to an interpreter, by its name.
    pub fn register(&self, interp: &Interp<'_>) {
        if let Some(raw) = self.raw() {
            // SAFETY: both are live.
            unsafe { sys::register_channel(interp.as_ptr(), raw) }
        }
    }

    /// Takes the channel from an interpreter; closes it if no other knows it, as `close` does.
    ///
    /// # Errors
    /// What closing raised.
    pub fn unregister(&self, interp: &Interp<'_>) -> Result<(), Error> {
        let Some(raw) = self.raw() else { return Ok(()) };
        // SAFETY: both are live; our own reference keeps the instance while Tcl closes the channel.
        let code = unsafe { sys::unregister_channel(interp.as_ptr(), raw) };
        if code == sys::OK { Ok(()) } else { Err(interp.take_error()) }
    }

    /// Closes the output side as `close CHAN write` does.
    ///
    /// # Errors
    /// What flushing or closing raised, or that it is closed already.
    pub fn close_output(&self, interp: &Interp<'_>) -> Result<(), Error> {
        let Some(raw) = self.raw() else { return Ok(()) };
        // SAFETY: both are live.
        let code = unsafe { sys::close_ex(interp.as_ptr(), raw, sys::CLOSE_WRITE) };
        if code == sys::OK { Ok(()) } else { Err(interp.take_error()) }
    }

    /// Sets any option, Tcl's own included.
    ///
    /// # Errors
    /// Tcl's message.
    pub fn configure(&self, interp: &Interp<'_>, name: &str, value: &str) -> Result<(), Error> {
        let Some(raw) = self.raw() else { return Ok(()) };
        let (name, value) = (to_c_string(name), to_c_string(value));
        // SAFETY: all are live for the call.
        let code = unsafe { sys::set_channel_option(interp.as_ptr(), raw, name.as_ptr(), value.as_ptr()) };
        if code == sys::OK { Ok(()) } else { Err(interp.take_error()) }
    }

    /// Tells Tcl that the channel is ready; Tcl calls the scripts that wait for it. They may close the channel, so
    /// this is the last thing that a function does with it.
    pub fn notify(self, events: Events) {
        if let Some(raw) = self.raw()
            && !events.is_empty()
        {
            // SAFETY: the channel is live, and Tcl preserves it while handlers run; the driver is not borrowed.
            unsafe { sys::notify_channel(raw, events.to_raw()) }
        }
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        &self.instance.driver
    }

    /// The channel's name.
    pub fn name(&self) -> String {
        self.raw().map_or_else(String::new, |raw| {
            // SAFETY: the channel is live; its name is copied at once.
            unsafe { from_tcl_text(CStr::from_ptr(sys::get_channel_name(raw)).to_bytes()) }
        })
    }

    /// False once Tcl has closed the channel.
    pub fn is_open(&self) -> bool {
        self.raw().is_some()
    }

    /// A reference that does not keep the instance, for handlers and timers.
    pub fn downgrade(&self) -> WeakChannel<D> {
        WeakChannel { instance: Arc::downgrade(&self.instance) }
    }

    /// The channel, while Tcl has it.
    pub(crate) fn raw(&self) -> Option<*mut sys::Channel> {
        let raw = self.instance.raw.load(Ordering::Acquire);
        (!raw.is_null()).then_some(raw)
    }

    /// What a panic said in an earlier call, after which the driver is not called any more.
    pub(crate) fn poison(&self) -> &OnceLock<String> {
        &self.instance.poison
    }

    pub(crate) fn take_ownership(&self) {
        self.instance.owner.store(ThreadToken::current().to_raw(), Ordering::Release);
    }

    /// Tcl has closed the channel: nobody reaches it by its pointer any more.
    pub(crate) fn forget_raw(&self) {
        self.instance.raw.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// # Safety
    /// `data` is the instance data of a channel of this type that Tcl has not closed yet, in its own thread.
    pub(crate) unsafe fn from_data(data: *const Instance<D>) -> Self {
        // SAFETY: the reference that `create` gave to Tcl is still counted, so one more can be.
        let instance = unsafe {
            Arc::increment_strong_count(data);
            Arc::from_raw(data)
        };
        Self { instance, not_send: PhantomData }
    }

    /// Takes over the reference that [`Channel::create`] gave to Tcl.
    ///
    /// # Safety
    /// As [`Channel::from_data`], and Tcl will not use the instance data again.
    pub(crate) unsafe fn from_last_data(data: *const Instance<D>) -> Self {
        // SAFETY: by contract the count given to Tcl is ours now.
        Self { instance: unsafe { Arc::from_raw(data) }, not_send: PhantomData }
    }
}

impl<D: ChannelDriver> Clone for Channel<D> {
    fn clone(&self) -> Self {
        Self { instance: Arc::clone(&self.instance), not_send: PhantomData }
    }
}

impl<D: ChannelDriver> std::fmt::Debug for Channel<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel<{}>", D::TYPE_NAME.to_string_lossy())
    }
}

/// Leads to a channel while it exists, and only in the thread that owns it.
pub struct WeakChannel<D: ChannelDriver> {
    instance: Weak<Instance<D>>,
}

// SAFETY: the driver is Send, and `upgrade` gives it to its owning thread alone. What another thread can do is to drop
// the last reference, which a Send type allows.
unsafe impl<D: ChannelDriver> Send for WeakChannel<D> {}
// SAFETY: as above; the reference itself has no state.
unsafe impl<D: ChannelDriver> Sync for WeakChannel<D> {}

impl<D: ChannelDriver> WeakChannel<D> {
    /// The channel, if Tcl still has it and it belongs to this thread.
    pub fn upgrade(&self) -> Option<Channel<D>> {
        let instance = self.instance.upgrade()?;
        let owner = ThreadToken::from_raw(instance.owner.load(Ordering::Acquire));
        let chan = Channel { instance, not_send: PhantomData };
        (owner == ThreadToken::current() && chan.is_open()).then_some(chan)
    }

    /// Runs a handler of the channel, for an event below or a timer, if [`WeakChannel::upgrade`] gives the channel. A
    /// panic in it becomes the channel's error, as one in a driver's procedure does, and whoever waits is woken.
    pub fn handle(&self, body: impl FnOnce(Channel<D>)) {
        let Some(chan) = self.upgrade() else { return };
        if chan.poison().get().is_some() {
            chan.notify(Events::BOTH);
        } else if let Err(panic) = panics::catch(|| body(chan)) {
            let Some(chan) = self.upgrade() else { return };
            let _ = chan.poison().set(panic.message().to_owned());
            chan.notify(Events::BOTH);
        }
    }
}

impl<D: ChannelDriver> Clone for WeakChannel<D> {
    fn clone(&self) -> Self {
        Self { instance: Weak::clone(&self.instance) }
    }
}

/// The one `Tcl_ChannelType` of a driver type; its address identifies the driver's channels.
fn channel_type<D: ChannelDriver>() -> *const sys::ChannelType {
    static TYPES: Mutex<Option<HashMap<TypeId, &'static sys::ChannelType>>> = Mutex::new(None);
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let types = types.get_or_insert_with(HashMap::new);
    let kind = *types.entry(TypeId::of::<D>()).or_insert_with(|| Box::leak(Box::new(trampolines::channel_type::<D>())));
    std::ptr::from_ref(kind)
}

fn unused_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loop {
        let name = format!("{prefix}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let c_name = to_c_string(&name);
        // SAFETY: asks whether this thread has a channel of that name.
        if unsafe { sys::is_channel_existing(c_name.as_ptr().cast::<c_char>()) } == 0 {
            return name;
        }
    }
}
