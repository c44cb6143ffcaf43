//! The procedures that Tcl calls, generic over the driver: each finds the channel, runs the driver behind the panic
//! boundary and turns its answer into what C expects. There is no other way from Tcl into a driver.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::channel::{Channel, ChannelDriver, InputBuffer, Instance};
use crate::error::{ChannelError, Errno, Error, OptionError, from_tcl_text, to_c_string};
use crate::events::Events;
use crate::interp::{Interp, error_options};
use crate::obj::{Obj, length};
use crate::{panics, sys};

/// The table of procedures of a driver.
pub(crate) fn channel_type<D: ChannelDriver>() -> sys::ChannelType {
    sys::ChannelType {
        type_name: D::TYPE_NAME.as_ptr(),
        version: std::ptr::without_provenance(sys::CHANNEL_VERSION_5),
        close: std::ptr::without_provenance(sys::CLOSE2PROC),
        input: input::<D>,
        output: output::<D>,
        seek: std::ptr::null(),
        set_option: set_option::<D>,
        get_option: get_option::<D>,
        watch: watch::<D>,
        get_handle: get_handle::<D>,
        close2: close2::<D>,
        block_mode: block_mode::<D>,
        flush: std::ptr::null(),
        handler: std::ptr::null(),
        wide_seek: std::ptr::null(),
        thread_action: thread_action::<D>,
        truncate: std::ptr::null(),
    }
}

/// Runs a driver's procedure behind the panic boundary. A panic poisons the channel: it becomes the error of this
/// call and of every later one.
fn guarded<D: ChannelDriver, R>(
    chan: &Channel<D>,
    body: impl FnOnce(&Channel<D>) -> Result<R, ChannelError>,
) -> Result<R, ChannelError> {
    if let Some(message) = chan.poison() {
        return Err(panic_error::<D>(message).into());
    }
    panics::catch(|| body(chan)).unwrap_or_else(|panic| {
        chan.set_poison(&panic);
        Err(panic_error::<D>(panic.message()).into())
    })
}

fn panic_error<D: ChannelDriver>(message: &str) -> Error {
    let kind = D::TYPE_NAME.to_string_lossy();
    Error::new(format!("internal error in {kind} channel: {message}")).with_code(["TCL", "PANIC"])
}

/// # Safety
/// `data` is what [`Channel::create`] gave to Tcl for this driver, and Tcl has not closed the channel; or null, as Tcl
/// leaves it in a channel that it has closed at exit.
unsafe fn channel<D: ChannelDriver>(data: *mut c_void) -> Option<Channel<D>> {
    // SAFETY: by contract.
    (!data.is_null()).then(|| unsafe { Channel::from_data(data.cast::<Instance<D>>()) })
}

/// The error number for Tcl; words of our own go to the channel first.
fn report<D: ChannelDriver>(chan: &Channel<D>, error: &ChannelError) -> c_int {
    match error {
        ChannelError::System(errno) => errno.0,
        ChannelError::Message(error) => {
            if let Some(raw) = chan.raw() {
                let message = channel_message(error);
                // SAFETY: the channel is live; Tcl takes its own reference to the message.
                unsafe { sys::set_channel_error(raw, message.as_ptr()) }
            }
            Errno::PROTOCOL.0
        }
    }
}

/// As manual page `Tcl_SetChannelError` wants it: return options, then the message.
fn channel_message(error: &Error) -> Obj {
    let code = if error.code().is_empty() { Obj::text("NONE") } else { Obj::words(error.code()) };
    Obj::list([Obj::text("-code"), Obj::integer(1), Obj::text("-errorcode"), code, Obj::text(error.message())])
}

unsafe extern "C" fn input<D: ChannelDriver>(
    data: *mut c_void,
    into: *mut c_char,
    room: c_int,
    errno: *mut c_int,
) -> c_int {
    // SAFETY: Tcl calls with our instance data and a buffer of `room` bytes that is its alone.
    let (chan, mut buffer) =
        unsafe { (channel::<D>(data), InputBuffer::new(into.cast(), usize::try_from(room).unwrap_or(0))) };
    let Some(chan) = chan else { return 0 };
    match guarded(&chan, |chan| D::input(chan, &mut buffer)) {
        Ok(()) => c_int::try_from(buffer.filled()).unwrap_or(c_int::MAX),
        Err(error) => {
            // SAFETY: Tcl gives a place for the number.
            unsafe { *errno = report(&chan, &error) }
            -1
        }
    }
}

unsafe extern "C" fn output<D: ChannelDriver>(
    data: *mut c_void,
    from: *const c_char,
    count: c_int,
    errno: *mut c_int,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 {
        return 0;
    }
    // SAFETY: Tcl calls with our instance data and `count` bytes that do not change during the call.
    let (chan, bytes) = unsafe { (channel::<D>(data), std::slice::from_raw_parts(from.cast::<u8>(), count)) };
    let Some(chan) = chan else { return 0 };
    match guarded(&chan, |chan| D::output(chan, bytes)) {
        Ok(taken) => c_int::try_from(taken.min(count)).unwrap_or(c_int::MAX),
        Err(error) => {
            // SAFETY: as in `input`.
            unsafe { *errno = report(&chan, &error) }
            -1
        }
    }
}

unsafe extern "C" fn watch<D: ChannelDriver>(data: *mut c_void, mask: c_int) {
    // SAFETY: Tcl calls with our instance data.
    let Some(chan) = (unsafe { channel::<D>(data) }) else { return };
    let events = Events::from_raw(mask);
    let watched = guarded(&chan, |chan| {
        D::watch(chan, events);
        Ok(())
    });
    if watched.is_err() {
        chan.alarm(events);
    }
}

unsafe extern "C" fn block_mode<D: ChannelDriver>(data: *mut c_void, mode: c_int) -> c_int {
    // SAFETY: Tcl calls with our instance data.
    let Some(chan) = (unsafe { channel::<D>(data) }) else { return 0 };
    match guarded(&chan, |chan| D::set_blocking(chan, mode == sys::MODE_BLOCKING)) {
        Ok(()) => 0,
        Err(error) => report(&chan, &error),
    }
}

unsafe extern "C" fn close2<D: ChannelDriver>(data: *mut c_void, interp: *mut sys::Interp, flags: c_int) -> c_int {
    match flags & (sys::CLOSE_READ | sys::CLOSE_WRITE) {
        0 => {
            // SAFETY: this is Tcl's last use of the instance data; the interpreter is null or live.
            let (chan, interp) =
                unsafe { (Channel::<D>::from_last_data(data.cast::<Instance<D>>()), Interp::from_raw(interp)) };
            let poisoned = chan.poison().is_some();
            let result = panics::catch(|| D::close(&chan, interp.as_ref()))
                .unwrap_or_else(|panic| Err(panic_error::<D>(panic.message()).into()));
            chan.forget_raw();
            match result {
                Ok(()) => 0,
                // The panic itself was reported where it happened.
                Err(_) if poisoned => 0,
                Err(ChannelError::System(errno)) => errno.0,
                Err(ChannelError::Message(error)) => {
                    if let Some(interp) = interp {
                        let message = channel_message(&error);
                        // SAFETY: the interpreter is live and takes its own reference.
                        unsafe { sys::set_channel_error_interp(interp.as_ptr(), message.as_ptr()) }
                    }
                    Errno::PROTOCOL.0
                }
            }
        }
        sys::CLOSE_WRITE => {
            // SAFETY: Tcl calls with our instance data.
            let Some(chan) = (unsafe { channel::<D>(data) }) else { return 0 };
            match guarded(&chan, D::close_output) {
                Ok(()) => 0,
                Err(error) => report(&chan, &error),
            }
        }
        // Tcl closes the read side ahead of a full close; there is nothing to do for it alone.
        _ => 0,
    }
}

unsafe extern "C" fn thread_action<D: ChannelDriver>(data: *mut c_void, action: c_int) {
    // SAFETY: Tcl calls with our instance data.
    let Some(chan) = (unsafe { channel::<D>(data) }) else { return };
    // While it is being created the channel has no name yet and belongs nowhere else.
    if chan.is_moving() || !chan.exists() {
        return;
    }
    // A poisoned channel moves as well: what lies below it must not stay behind.
    if action == sys::THREAD_INSERT {
        chan.set_owned(true);
        let _ = panics::catch(|| D::attach(&chan));
        chan.put_first();
    } else {
        chan.alarm(Events::NONE);
        let _ = panics::catch(|| D::detach(&chan));
        chan.set_owned(false);
    }
}

unsafe extern "C" fn get_handle<D: ChannelDriver>(
    data: *mut c_void,
    direction: c_int,
    handle: *mut *mut c_void,
) -> c_int {
    // SAFETY: Tcl calls with our instance data.
    let Some(chan) = (unsafe { channel::<D>(data) }) else { return sys::ERROR };
    match guarded(&chan, |chan| Ok(D::handle(chan, Events::from_raw(direction)))) {
        Ok(Some(found)) => {
            // SAFETY: Tcl gives a place for the handle.
            unsafe { *handle = found.0 }
            sys::OK
        }
        _ => sys::ERROR,
    }
}

unsafe extern "C" fn get_option<D: ChannelDriver>(
    data: *mut c_void,
    interp: *mut sys::Interp,
    name: *const c_char,
    into: *mut sys::DString,
) -> c_int {
    // SAFETY: Tcl calls with our instance data and a null or live interpreter.
    let (chan, interp) = unsafe { (channel::<D>(data), Interp::from_raw(interp)) };
    let Some(chan) = chan else { return sys::ERROR };
    if name.is_null() {
        let Ok(options) = guarded(&chan, |chan| Ok(D::options(chan, interp.as_ref()))) else { return sys::OK };
        for word in options.iter().flat_map(|(name, value)| [name, value]) {
            let word = to_c_string(word);
            // SAFETY: the dynamic string is live and copies the element.
            unsafe { sys::dstring_append_element(into, word.as_ptr()) };
        }
        return sys::OK;
    }
    // SAFETY: an option's name is a C string.
    let (name_text, c_name) = unsafe { (from_tcl_text(CStr::from_ptr(name).to_bytes()), name) };
    let mut answer = Ok(String::new());
    let outcome = guarded(&chan, |chan| {
        answer = D::option(chan, interp.as_ref(), &name_text);
        Ok(())
    });
    match (outcome, answer) {
        (Ok(()), Ok(value)) => {
            let value = to_c_string(&value);
            // SAFETY: as above.
            unsafe { sys::dstring_append(into, value.as_ptr(), length(value.as_bytes().len())) };
            sys::OK
        }
        (Ok(()), Err(error)) => option_failed(interp, c_name, &error),
        (Err(error), _) => option_failed(interp, c_name, &plain(error)),
    }
}

unsafe extern "C" fn set_option<D: ChannelDriver>(
    data: *mut c_void,
    interp: *mut sys::Interp,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: Tcl calls with our instance data, a null or live interpreter and C strings.
    let (chan, interp, name_text, value_text) = unsafe {
        let text = |raw| from_tcl_text(CStr::from_ptr(raw).to_bytes());
        (channel::<D>(data), Interp::from_raw(interp), text(name), text(value))
    };
    let Some(chan) = chan else { return sys::ERROR };
    let mut answer = Ok(());
    let outcome = guarded(&chan, |chan| {
        answer = D::set_option(chan, interp.as_ref(), &name_text, &value_text);
        Ok(())
    });
    match (outcome, answer) {
        (Ok(()), Ok(())) => sys::OK,
        (Ok(()), Err(error)) => option_failed(interp, name, &error),
        (Err(error), _) => option_failed(interp, name, &plain(error)),
    }
}

fn plain(error: ChannelError) -> OptionError {
    OptionError::Failed(match error {
        ChannelError::Message(error) => error,
        ChannelError::System(errno) => Error::new(format!("system error {}", errno.0)),
    })
}

fn option_failed(interp: Option<Interp<'_>>, name: *const c_char, error: &OptionError) -> c_int {
    match (error, interp) {
        (OptionError::Unknown(known), interp) => {
            let known = to_c_string(&known.join(" "));
            let interp = interp.map_or(std::ptr::null_mut(), |interp| interp.as_ptr());
            // SAFETY: both strings are live; Tcl allows a null interpreter here.
            unsafe { sys::bad_channel_option(interp, name, known.as_ptr()) }
        }
        (OptionError::Failed(error), Some(interp)) => {
            let options = error_options(error);
            // SAFETY: the interpreter is live; it takes its own references.
            unsafe { sys::set_return_options(interp.as_ptr(), options.as_ptr()) };
            interp.set_result(&Obj::text(error.message()));
            sys::ERROR
        }
        (OptionError::Failed(_), None) => sys::ERROR,
    }
}
