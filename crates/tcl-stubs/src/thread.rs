//! Which thread is this, and what to do when it ends.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{panics, sys};

/// Names a thread for as long as the process lives; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadToken(u64);

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static TOKEN: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    static AT_EXIT: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

impl ThreadToken {
    /// No thread's.
    pub(crate) const NOBODY: Self = Self(0);

    pub(crate) fn current() -> Self {
        // A thread whose locals are gone owns nothing any more.
        Self(TOKEN.try_with(|token| *token).unwrap_or(u64::MAX))
    }

    pub(crate) fn to_raw(self) -> u64 {
        self.0
    }

    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// Runs `action` when this thread's Tcl is finalised, while channels can still be used (`Tcl_CreateThreadExitHandler`).
pub fn at_thread_exit(action: impl FnOnce() + 'static) {
    let first = AT_EXIT.with(|actions| {
        let mut actions = actions.borrow_mut();
        actions.push(Box::new(action));
        actions.len() == 1
    });
    if first {
        // SAFETY: the handler is a plain function that needs no data.
        unsafe { sys::create_thread_exit_handler(run_actions, std::ptr::null_mut()) }
    }
}

unsafe extern "C" fn run_actions(_data: *mut c_void) {
    let _ = panics::catch(|| {
        let actions = AT_EXIT.try_with(|actions| std::mem::take(&mut *actions.borrow_mut())).unwrap_or_default();
        for action in actions {
            action();
        }
    });
}
