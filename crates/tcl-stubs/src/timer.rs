//! Timers of the event loop (`Tcl_CreateTimerHandler`).

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::thread::ThreadToken;
use crate::{panics, sys};

/// A one-shot timer of the thread that made it. Dropping it cancels it.
#[derive(Debug)]
pub struct Timer {
    token: *mut sys::TimerToken,
    data: *mut Armed,
    thread: ThreadToken,
}

struct Armed {
    action: Cell<Option<Box<dyn FnOnce() + Send>>>,
    state: AtomicU8,
}

/// Tcl will call back.
const WAITING: u8 = 0;
/// Tcl has called back and forgotten the timer; the data belongs to the [`Timer`].
const FIRED: u8 = 1;
/// The [`Timer`] is gone, in another thread; the data belongs to the callback.
const ORPHAN: u8 = 2;

// SAFETY: a timer may be moved to another thread with the channel it belongs to. There its data is either left to the
// callback or freed after the callback was through with it, as the atomic state tells; the action is Send.
unsafe impl Send for Timer {}

impl Timer {
    /// Calls `action` from the event loop once `delay` is over.
    pub fn after(delay: Duration, action: impl FnOnce() + Send + 'static) -> Self {
        let milliseconds = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        let data =
            Box::into_raw(Box::new(Armed { action: Cell::new(Some(Box::new(action))), state: AtomicU8::new(WAITING) }));
        // SAFETY: `data` lives until the callback or the cancellation, whichever comes last.
        let token = unsafe { sys::create_timer_handler(milliseconds, fire, data.cast()) };
        Self { token, data, thread: ThreadToken::current() }
    }

    /// True once the time was over and the action was begun.
    pub fn has_fired(&self) -> bool {
        // SAFETY: the data outlives this value.
        unsafe { (*self.data).state.load(Ordering::Acquire) == FIRED }
    }
}

/// Calls `action` from the event loop of this thread, soon; never, if the thread ends before.
pub fn later(action: impl FnOnce() + Send + 'static) {
    let action: Box<Box<dyn FnOnce() + Send>> = Box::new(Box::new(action));
    // SAFETY: the action is given back to `run`, once; if the thread ends before, it is leaked.
    unsafe { sys::create_timer_handler(0, run, Box::into_raw(action).cast()) };
}

unsafe extern "C" fn run(data: *mut c_void) {
    // SAFETY: the box made in `later`.
    let action = unsafe { Box::from_raw(data.cast::<Box<dyn FnOnce() + Send>>()) };
    let _ = panics::catch(action);
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the data outlives this value. In its own thread the handler can be deleted, after which nobody
        // else holds the data; in another it is the state that says whose the data is.
        unsafe {
            let state = &(*self.data).state;
            if self.thread == ThreadToken::current() {
                if state.load(Ordering::Acquire) == WAITING {
                    sys::delete_timer_handler(self.token);
                }
                drop(Box::from_raw(self.data));
            } else if state.compare_exchange(WAITING, ORPHAN, Ordering::AcqRel, Ordering::Acquire).is_err() {
                drop(Box::from_raw(self.data));
            }
        }
    }
}

unsafe extern "C" fn fire(data: *mut c_void) {
    let data = data.cast::<Armed>();
    // SAFETY: until the state leaves WAITING the data is live, and only this function touches the action. Once FIRED
    // is set it is not touched here any more: its owner may free it at any moment.
    let action = unsafe {
        let action = (*data).action.take();
        let swap = (*data).state.compare_exchange(WAITING, FIRED, Ordering::AcqRel, Ordering::Acquire);
        if swap.is_err() {
            drop(Box::from_raw(data));
            return;
        }
        action
    };
    let _ = panics::catch(|| {
        if let Some(action) = action {
            action();
        }
    });
}
