//! Commands: Rust functions that scripts call.

use std::ffi::{c_int, c_void};
use std::rc::Rc;

use crate::error::{Error, to_c_string};
use crate::interp::Interp;
use crate::obj::Obj;
use crate::{panics, sys};

/// A command. Any `Fn(&Interp, &[Obj]) -> Result<Obj, Error>` is one; the first word is the command's name.
pub trait Command: 'static {
    /// Runs the command with its words.
    ///
    /// # Errors
    /// What the script shall see.
    fn call(&self, interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Error>;
}

impl<F> Command for F
where
    F: Fn(&Interp<'_>, &[Obj]) -> Result<Obj, Error> + 'static,
{
    fn call(&self, interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Error> {
        self(interp, words)
    }
}

type Entry = Rc<dyn Command>;

pub(crate) fn create(interp: &Interp<'_>, name: &str, command: impl Command) {
    let name = to_c_string(name);
    let entry: Box<Entry> = Box::new(Rc::new(command));
    // SAFETY: the entry is given back to `delete`, which Tcl calls once, in the interpreter's own thread.
    unsafe {
        sys::create_obj_command(interp.as_ptr(), name.as_ptr(), run, Box::into_raw(entry).cast(), delete);
    }
}

unsafe extern "C" fn run(
    data: *mut c_void,
    interp: *mut sys::Interp,
    count: c_int,
    words: *const *mut sys::Obj,
) -> c_int {
    // SAFETY: Tcl gives the live interpreter that the command was called in.
    let Some(interp) = (unsafe { Interp::from_raw(interp) }) else { return sys::ERROR };
    let outcome = panics::catch(|| {
        // SAFETY: `data` is the entry made in `create`; counted, it survives the command's own deletion.
        let command = unsafe { Rc::clone(&*data.cast::<Entry>()) };
        let words: Vec<Obj> = (0..usize::try_from(count).unwrap_or(0))
            // SAFETY: Tcl passes `count` live values.
            .map(|index| unsafe { Obj::from_raw(*words.add(index)) })
            .collect();
        command.call(&interp, &words)
    });
    let error = match outcome {
        Ok(Ok(result)) => {
            interp.set_result(&result);
            return sys::OK;
        }
        Ok(Err(error)) => error,
        Err(panic) => Error::new(format!("internal error: {}", panic.message())).with_code(["TCL", "PANIC"]),
    };
    interp.set_error(&error);
    sys::ERROR
}

unsafe extern "C" fn delete(data: *mut c_void) {
    // SAFETY: the box made in `create`, given back once.
    let entry = unsafe { Box::from_raw(data.cast::<Entry>()) };
    let _ = panics::catch(|| drop(entry));
}
