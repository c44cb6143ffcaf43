//! Channel drivers: Rust types behind Tcl channels (manual page `Tcl_CreateChannel`).

use std::any::TypeId;
use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::error::{ChannelError, Error, OptionError, from_tcl_text, to_c_string};
use crate::events::Events;
use crate::interp::Interp;
use crate::panics::Panic;
use crate::thread::ThreadToken;
use crate::timer::{self, Timer};
use crate::{panics, sys, trampolines};

/// What stands behind a channel: the procedures of `Tcl_ChannelType`.
///
/// All of them get the channel itself and a shared driver: a procedure may run a script, and the script may come back
/// into the driver, so what changes lies behind a lock that is held only where no script can run, and tried, never
/// waited for. A channel can be moved between threads, even by a script that the driver has called, hence `Sync`.
pub trait ChannelDriver: Send + Sync + Sized + 'static {
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
    fn options(chan: &Channel<Self>, interp: Option<&Interp<'_>>) -> Vec<(String, String)>;

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

    /// A panic has made the channel unusable: stop whatever would still call back.
    fn poisoned(chan: &Channel<Self>);
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
    /// Wakes those who wait for a poisoned channel.
    alarm: Mutex<Option<Timer>>,
    /// Tcl's list of channels is being put in order: the thread actions that come of it mean nothing.
    moving: AtomicBool,
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
            alarm: Mutex::new(None),
            moving: AtomicBool::new(false),
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

    /// False once Tcl has closed the channel, or it was moved to another thread.
    pub fn is_open(&self) -> bool {
        self.raw().is_some()
    }

    /// Keeps the channel from being closed, or moved to another thread, while a script runs that knows its name.
    pub fn hold(&self) -> Hold<D> {
        if let Some(raw) = self.raw() {
            // SAFETY: the channel is live; the reference is given back by `Hold`.
            unsafe { sys::register_channel(std::ptr::null_mut(), raw) }
        }
        Hold { chan: self.clone() }
    }

    /// A reference that does not keep the instance, for handlers and timers.
    pub fn downgrade(&self) -> WeakChannel<D> {
        WeakChannel { instance: Arc::downgrade(&self.instance) }
    }

    /// The channel, while Tcl has it, in the thread that owns it: nobody else may pass it to Tcl.
    pub(crate) fn raw(&self) -> Option<*mut sys::Channel> {
        let raw = self.instance.raw.load(Ordering::Acquire);
        let owner = ThreadToken::from_raw(self.instance.owner.load(Ordering::Acquire));
        (!raw.is_null() && owner == ThreadToken::current()).then_some(raw)
    }

    /// What a panic said in an earlier call, after which the driver is not called any more.
    pub(crate) fn poison(&self) -> Option<&str> {
        self.instance.poison.get().map(String::as_str)
    }

    /// A panic has happened in the driver: from now on the channel only tells of it.
    pub(crate) fn set_poison(&self, panic: &Panic) {
        if self.instance.poison.set(panic.message().to_owned()).is_ok() {
            // Best effort: the driver is in an unknown state, and its own panics stop here.
            let _ = panics::catch(|| D::poisoned(self));
        }
    }

    /// Delivers events of a poisoned channel, which is always ready: to tell of its error.
    pub(crate) fn alarm(&self, events: Events) {
        let alarm = (!events.is_empty()).then(|| {
            let weak = self.downgrade();
            Timer::after(Duration::ZERO, move || {
                if let Some(chan) = weak.upgrade() {
                    chan.notify(events);
                }
            })
        });
        *self.instance.alarm.lock().unwrap_or_else(PoisonError::into_inner) = alarm;
    }

    /// The channel now belongs to this thread, or to none.
    pub(crate) fn set_owned(&self, owned: bool) {
        let owner = if owned { ThreadToken::current() } else { ThreadToken::NOBODY };
        self.instance.owner.store(owner.to_raw(), Ordering::Release);
    }

    /// Puts the channel in front of all others in its thread's list, where Tcl begins when it closes what is left at
    /// exit: it must come before the channel below it, as it does when both are made in one thread.
    pub(crate) fn put_first(&self) {
        if let Some(raw) = self.raw() {
            self.instance.moving.store(true, Ordering::Release);
            // SAFETY: the channel is live and in this thread's list.
            unsafe {
                sys::cut_channel(raw);
                sys::splice_channel(raw);
            }
            self.instance.moving.store(false, Ordering::Release);
        }
    }

    pub(crate) fn is_moving(&self) -> bool {
        self.instance.moving.load(Ordering::Acquire)
    }

    /// False while the channel is being created.
    pub(crate) fn exists(&self) -> bool {
        !self.instance.raw.load(Ordering::Acquire).is_null()
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

/// Keeps a channel open for the time of a script, see [`Channel::hold`]. Dropping it lets go, and closes the channel if
/// the script has closed it.
#[derive(Debug)]
pub struct Hold<D: ChannelDriver> {
    chan: Channel<D>,
}

impl<D: ChannelDriver> Hold<D> {
    /// True if no interpreter knows the channel any more: the script has closed it.
    pub fn is_last(&self) -> bool {
        // SAFETY: the channel is live: we hold it.
        self.chan.raw().is_none_or(|raw| unsafe { sys::is_channel_shared(raw) == 0 })
    }

    /// Lets go from the event loop. Needed within a driver's procedure: Tcl still uses the channel when that returns.
    pub fn let_go_later(self) {
        let weak = self.chan.downgrade();
        std::mem::forget(self);
        timer::later(move || {
            if let Some(chan) = weak.upgrade() {
                drop(Hold { chan });
            }
        });
    }
}

impl<D: ChannelDriver> Drop for Hold<D> {
    fn drop(&mut self) {
        if let Some(raw) = self.chan.raw() {
            // SAFETY: gives back the reference taken by `hold`. Held channels are shared ones, which are never moved
            // to another thread.
            unsafe { sys::unregister_channel(std::ptr::null_mut(), raw) };
        }
    }
}

/// Leads to a channel while it exists, and only in the thread that owns it.
pub struct WeakChannel<D: ChannelDriver> {
    instance: Weak<Instance<D>>,
}

impl<D: ChannelDriver> WeakChannel<D> {
    /// The channel, if Tcl still has it and it belongs to this thread.
    pub fn upgrade(&self) -> Option<Channel<D>> {
        let chan = Channel { instance: self.instance.upgrade()?, not_send: PhantomData };
        chan.is_open().then_some(chan)
    }

    /// Runs a handler of the channel, for an event below or a timer, if [`WeakChannel::upgrade`] gives the channel. A
    /// panic in it becomes the channel's error, as one in a driver's procedure does, and whoever waits is woken.
    pub fn handle(&self, body: impl FnOnce(Channel<D>)) {
        let Some(chan) = self.upgrade().filter(|chan| chan.poison().is_none()) else { return };
        if let Err(panic) = panics::catch(|| body(chan)) {
            let Some(chan) = self.upgrade() else { return };
            chan.set_poison(&panic);
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
