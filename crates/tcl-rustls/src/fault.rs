//! Panics on demand, so that tests can show that one becomes a Tcl error and the process lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The procedure whose next call is to panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Input,
    Output,
    Watch,
    Close,
    /// The handler of an event below.
    Event,
}

impl Fault {
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("input", Self::Input),
        ("output", Self::Output),
        ("watch", Self::Watch),
        ("close", Self::Close),
        ("event", Self::Event),
    ];
}

/// The fault chosen for a channel, if any.
#[derive(Debug, Default)]
pub(crate) struct Injection(Mutex<Option<Fault>>);

impl Injection {
    /// Makes the next call of a procedure panic.
    pub(crate) fn arm(&self, fault: Fault) {
        *self.chosen() = Some(fault);
    }

    /// Panics if this procedure was chosen.
    pub(crate) fn trigger(&self, here: Fault) {
        let chosen = self.chosen().take_if(|chosen| *chosen == here);
        assert!(chosen.is_none(), "injected into {here:?}");
    }

    fn chosen(&self) -> MutexGuard<'_, Option<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
