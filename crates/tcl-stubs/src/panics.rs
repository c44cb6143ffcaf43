//! The one boundary at which panics stop: every function that Tcl calls runs its body in [`catch`].

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic said.
#[derive(Debug)]
pub(crate) struct Panic {
    message: String,
}

impl Panic {
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

/// Runs `body`; a panic in it becomes a value instead of unwinding into C, which is undefined.
///
/// Asserting unwind safety is the callers' promise: after a panic a channel is poisoned and a command is over, so
/// nobody looks at half-changed state.
pub(crate) fn catch<R>(body: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        // A payload may panic when dropped; leaking it is the lesser evil.
        std::mem::forget(payload);
        Panic { message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        assert_eq!(catch(|| 7).ok(), Some(7));
        let panic = catch(|| panic!("number {}", 8)).err();
        assert_eq!(panic.map(|p| p.message().to_owned()).as_deref(), Some("number 8"));
    }
}
