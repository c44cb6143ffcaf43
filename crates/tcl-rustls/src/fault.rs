//! Panics on demand, so that tests can show that one becomes a Tcl error and the process lives.

use std::cell::Cell;

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

/// Panics if this procedure was chosen.
pub(crate) fn trigger(chosen: &Cell<Option<Fault>>, here: Fault) {
    if chosen.get() == Some(here) {
        chosen.set(None);
        panic!("injected into {here:?}");
    }
}
