//! Loading: from Tcl's `load` to a Rust function.

use std::ffi::{c_int, c_void};

use crate::error::Error;
use crate::interp::Interp;
use crate::{panics, sys};

/// Emits the functions that Tcl's `load` looks for, so that the extension itself needs no unsafe code.
///
/// `load` is called with the interpreter, `load_safe` in its place in a safe one; both are
/// `fn(&Interp<'_>) -> Result<(), Error>`.
///
/// ```ignore
/// tcl_stubs::extension! {
///     Hello_Init => hello::load,
///     Hello_SafeInit => hello::refuse,
/// }
/// ```
#[macro_export]
macro_rules! extension {
    ($($symbol:ident => $load:path),+ $(,)?) => {$(
        /// Called by Tcl's `load`.
        ///
        /// # Safety
        /// `interp` is a live interpreter: for Tcl to call only.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $symbol(interp: *mut ::std::ffi::c_void) -> ::std::ffi::c_int {
            // SAFETY: Tcl calls with a live interpreter.
            unsafe { $crate::load_extension(interp, $load) }
        }
    )+};
}

/// What the functions emitted by [`extension!`](crate::extension) do.
///
/// # Safety
/// `interp` is a live interpreter of this thread.
#[doc(hidden)]
pub unsafe fn load_extension(interp: *mut c_void, load: fn(&Interp<'_>) -> Result<(), Error>) -> c_int {
    let raw = interp.cast::<sys::Interp>();
    // SAFETY: live by contract. Without a stub table there is no way to set a message either.
    let interp = unsafe {
        match sys::initialise(raw) {
            Ok(()) => {}
            Err(sys::StubError::Unknown | sys::StubError::AnotherTcl) => return sys::ERROR,
        }
        Interp::from_raw(raw)
    };
    let Some(interp) = interp else { return sys::ERROR };
    let outcome = panics::catch(|| load(&interp)).unwrap_or_else(|panic| {
        Err(Error::new(format!("internal error: {}", panic.message())).with_code(["TCL", "PANIC"]))
    });
    match outcome {
        Ok(()) => sys::OK,
        Err(error) => {
            interp.set_error(&error);
            sys::ERROR
        }
    }
}
