//! Interpreters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::command::{self, Command};
use crate::error::{Errno, Error, from_tcl_text, to_c_string};
use crate::obj::{Obj, length, raw_words};
use crate::{panics, sys};

/// An interpreter, for the time of a call into it or out of it.
pub struct Interp<'a> {
    raw: NonNull<sys::Interp>,
    scope: PhantomData<&'a ()>,
}

impl Interp<'_> {
    /// Evaluates a script at global level.
    ///
    /// # Errors
    /// What the script raised. `break`, `continue` and other codes count as errors here.
    pub fn eval(&self, script: &str) -> Result<Obj, Error> {
        let script = Obj::text(script);
        // SAFETY: the interpreter is live and preserved over the evaluation.
        self.evaluate(|raw| unsafe { sys::eval_obj_ex(raw, script.as_ptr(), sys::EVAL_GLOBAL) })
    }

    /// Calls a command, given as its words, at global level.
    ///
    /// # Errors
    /// As [`Interp::eval`].
    pub fn call(&self, words: &[Obj]) -> Result<Obj, Error> {
        let raw_words = raw_words(words);
        // SAFETY: the words are live until the call is over; the interpreter is preserved.
        self.evaluate(|raw| unsafe {
            sys::eval_objv(raw, length(raw_words.len()), raw_words.as_ptr(), sys::EVAL_GLOBAL)
        })
    }

    /// Calls a command prefix (`{*}$prefix $arguments`) at global level.
    ///
    /// # Errors
    /// As [`Interp::eval`]; also when the prefix is no list or empty.
    pub fn call_prefix(&self, prefix: &str, arguments: impl IntoIterator<Item = Obj>) -> Result<Obj, Error> {
        let mut words = Obj::text(prefix).elements()?;
        words.extend(arguments);
        self.call(&words)
    }

    /// Runs `body` and leaves the interpreter's result and error state as they were: for scripts that are called
    /// from inside a channel driver, in the middle of another command.
    pub fn aside<R>(&self, body: impl FnOnce(&Self) -> R) -> R {
        // SAFETY: the interpreter is live, preserved, and the state is given back exactly once.
        unsafe {
            let raw = self.as_ptr();
            sys::preserve(raw.cast());
            let state = sys::save_interp_state(raw, sys::OK);
            let result = body(self);
            sys::restore_interp_state(raw, state);
            sys::release(raw.cast());
            result
        }
    }

    /// Reports an error through the interpreter's background error handler (`interp bgerror`).
    pub fn background_error(&self, error: &Error) {
        self.aside(|interp| {
            interp.set_error(error);
            // SAFETY: result and options were just set.
            unsafe { sys::background_exception(interp.as_ptr(), sys::ERROR) }
        });
    }

    /// Defines a command. One of the same name is replaced.
    pub fn create_command(&self, name: &str, command: impl Command) {
        command::create(self, name, command);
    }

    /// True if the (fully qualified) command exists.
    pub fn has_command(&self, name: &str) -> bool {
        let name = to_c_string(name);
        // SAFETY: a null namespace is the global one.
        unsafe { !sys::find_command(self.as_ptr(), name.as_ptr(), std::ptr::null_mut(), sys::GLOBAL_ONLY).is_null() }
    }

    /// `package provide NAME VERSION`.
    ///
    /// # Errors
    /// Another version is already provided.
    pub fn provide_package(&self, name: &str, version: &str) -> Result<(), Error> {
        let (name, version) = (to_c_string(name), to_c_string(version));
        // SAFETY: both strings outlive the call; Tcl copies them.
        let code = unsafe { sys::pkg_provide_ex(self.as_ptr(), name.as_ptr(), version.as_ptr(), std::ptr::null()) };
        if code == sys::OK { Ok(()) } else { Err(self.take_error()) }
    }

    /// True in a safe interpreter.
    pub fn is_safe(&self) -> bool {
        // SAFETY: the interpreter is live.
        unsafe { sys::is_safe(self.as_ptr()) != 0 }
    }

    /// A global or fully qualified variable's value.
    pub fn variable(&self, name: &str) -> Option<Obj> {
        let name = to_c_string(name);
        // SAFETY: a null index asks for a scalar; a value found is live and gets a reference of our own.
        unsafe {
            let value = sys::get_var2_ex(self.as_ptr(), name.as_ptr(), std::ptr::null(), sys::GLOBAL_ONLY);
            (!value.is_null()).then(|| Obj::from_raw(value))
        }
    }

    /// Sets a global or fully qualified variable.
    ///
    /// # Errors
    /// It cannot be set: no such namespace, an array, or a trace that refuses.
    pub fn set_variable(&self, name: &str, value: &Obj) -> Result<(), Error> {
        let c_name = to_c_string(name);
        // SAFETY: as above; Tcl takes its own reference.
        let set = unsafe {
            sys::set_var2_ex(self.as_ptr(), c_name.as_ptr(), std::ptr::null(), value.as_ptr(), sys::GLOBAL_ONLY)
        };
        if set.is_null() { Err(Error::new(format!("can't set \"{name}\""))) } else { Ok(()) }
    }

    /// A name for this interpreter that can be kept beyond the call.
    pub fn id(&self) -> InterpId {
        register(self.as_ptr())
    }

    /// The error that Tcl words for a system error: message and `POSIX …` error code.
    pub fn system_error(&self, errno: Errno) -> Error {
        self.aside(|interp| {
            // SAFETY: Tcl_PosixError reads the number just set, gives a static message and leaves the error code where
            // the return options are made from.
            unsafe {
                sys::set_errno(errno.0);
                let message = from_tcl_text(CStr::from_ptr(sys::posix_error(interp.as_ptr())).to_bytes());
                let options = Obj::from_raw(sys::get_return_options(interp.as_ptr(), sys::ERROR));
                let code = options.dict_get("-errorcode").and_then(|code| code.elements().ok()).unwrap_or_default();
                Error::new(message).with_code(code.iter().map(Obj::to_text))
            }
        })
    }

    /// # Safety
    /// `raw` is a live interpreter of this thread for the lifetime `'a`.
    pub(crate) unsafe fn from_raw<'a>(raw: *mut sys::Interp) -> Option<Interp<'a>> {
        NonNull::new(raw).map(|raw| Interp { raw, scope: PhantomData })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::Interp {
        self.raw.as_ptr()
    }

    pub(crate) fn set_result(&self, result: &Obj) {
        // SAFETY: both are live.
        unsafe { sys::set_obj_result(self.as_ptr(), result.as_ptr()) }
    }

    /// Makes `error` the interpreter's result and error state.
    pub(crate) fn set_error(&self, error: &Error) {
        let options = error_options(error);
        // SAFETY: all values are live; the interpreter takes its own references.
        unsafe {
            sys::reset_result(self.as_ptr());
            sys::set_return_options(self.as_ptr(), options.as_ptr());
        }
        self.set_result(&Obj::text(error.message()));
    }

    /// The interpreter's result and error state as an error; the result is reset.
    pub(crate) fn take_error(&self) -> Error {
        // SAFETY: the options are a fresh value; the result belongs to the interpreter and gets a reference.
        unsafe {
            let options = Obj::from_raw(sys::get_return_options(self.as_ptr(), sys::ERROR));
            let message = Obj::from_raw(sys::get_obj_result(self.as_ptr())).to_text();
            sys::reset_result(self.as_ptr());
            let mut error = Error::new(message);
            if let Some(words) = options.dict_get("-errorcode").and_then(|code| code.elements().ok()) {
                error = error.with_code(words.iter().map(Obj::to_text));
            }
            if let Some(info) = options.dict_get("-errorinfo") {
                error = error.with_info(info.to_text());
            }
            error
        }
    }

    fn evaluate(&self, run: impl FnOnce(*mut sys::Interp) -> c_int) -> Result<Obj, Error> {
        let raw = self.as_ptr();
        // SAFETY: the interpreter is live now, and preserved it stays allocated even if the script deletes it.
        unsafe {
            sys::preserve(raw.cast());
            let outcome = if sys::interp_deleted(raw) != 0 {
                Err(Error::new("the interpreter was deleted"))
            } else if run(raw) == sys::OK {
                let result = Obj::from_raw(sys::get_obj_result(raw));
                sys::reset_result(raw);
                Ok(result)
            } else {
                Err(self.take_error())
            };
            sys::release(raw.cast());
            outcome
        }
    }
}

impl std::fmt::Debug for Interp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interp")
    }
}

/// The return options (see `return`'s manual page) of an error.
pub fn error_options(error: &Error) -> Obj {
    let code = if error.code().is_empty() { Obj::text("NONE") } else { Obj::words(error.code()) };
    let mut entries = vec![("-code", Obj::integer(1)), ("-level", Obj::integer(0)), ("-errorcode", code)];
    if let Some(info) = error.info() {
        entries.push(("-errorinfo", Obj::text(info)));
    }
    Obj::dict(entries)
}

/// Names an interpreter beyond the time of a call: it may be kept anywhere, and leads back to the interpreter only
/// while that lives, and only in its own thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterpId(u64);

impl InterpId {
    /// Runs `body` with the interpreter, if it is still there and belongs to this thread.
    pub fn with<R>(self, body: impl FnOnce(&Interp<'_>) -> R) -> Option<R> {
        let raw = INTERPS.try_with(|interps| interps.borrow().get(&self.0).copied()).ok().flatten()?;
        // SAFETY: an interpreter leaves the registry when it is deleted, so a registered one is live.
        let interp = unsafe { Interp::from_raw(raw)? };
        // SAFETY: preserved, it stays allocated even if `body` deletes it.
        unsafe { sys::preserve(raw.cast()) };
        let result = body(&interp);
        // SAFETY: matches the line above.
        unsafe { sys::release(raw.cast()) };
        Some(result)
    }
}

thread_local! {
    static INTERPS: RefCell<HashMap<u64, *mut sys::Interp>> = RefCell::new(HashMap::new());
}
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
const ASSOC_KEY: &CStr = c"::tcl-stubs::id";

fn register(raw: *mut sys::Interp) -> InterpId {
    // SAFETY: the interpreter is live; what we store as client data is a number, never followed.
    unsafe {
        let known = sys::get_assoc_data(raw, ASSOC_KEY.as_ptr(), std::ptr::null_mut());
        if !known.is_null() {
            return InterpId(known.addr() as u64);
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        // A 32-bit address holds four thousand million interpreters.
        #[allow(clippy::cast_possible_truncation)]
        let data = std::ptr::without_provenance_mut::<c_void>(id as usize);
        sys::set_assoc_data(raw, ASSOC_KEY.as_ptr(), forget, data);
        let _ = INTERPS.try_with(|interps| interps.borrow_mut().insert(id, raw));
        InterpId(id)
    }
}

unsafe extern "C" fn forget(data: *mut c_void, _interp: *mut sys::Interp) {
    let _ = panics::catch(|| {
        let id = data.addr() as u64;
        let _ = INTERPS.try_with(|interps| interps.borrow_mut().remove(&id));
    });
}
