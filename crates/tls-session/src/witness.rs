//! What the callbacks of rustls learn during one step, and what they must know.
//!
//! rustls calls certificate resolvers, session stores and ticketers, which belong to a configuration that many
//! sessions share, without saying for which session. They find here what the session tells them, and note here what it
//! must know; the session collects it when the step returns, in the same thread.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::NamedGroup;
use tls_certs::Identity;

use crate::sessions::{Terms, Ticket};

/// The notes of one step.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What the session's tickets are kept apart by. Without it, none is opened or found.
    pub(crate) partition: Option<Arc<str>>,
    /// When the last ticket of this session expires at the latest, seconds since 1970.
    pub(crate) bound: Option<u64>,
    /// The group of the key exchange that this session, or the one that it continues, began with.
    pub(crate) group: Option<NamedGroup>,
    /// The certificate and key that this side chose to present.
    pub(crate) identity: Option<Identity>,
    /// The host name that the client asked for (RFC 6066, section 3).
    pub(crate) server_name: Option<String>,
    /// The OCSP response that the server sent with its certificate.
    pub(crate) ocsp: Option<Vec<u8>>,
    /// Whose certificates the server takes from a client, as DER; it asks for one.
    pub(crate) issuers: Option<Vec<Vec<u8>>>,
    /// The terms of the session that was found to be offered to the server.
    pub(crate) offered: Option<Terms>,
    /// What the server gave to continue this session with.
    pub(crate) tickets: Vec<Ticket>,
    /// Why a secret could not be logged.
    pub(crate) key_log_failure: Option<String>,
}

impl Notes {
    /// No ticket of this session shall be good at `end` any more.
    pub(crate) fn limit(&mut self, end: u64) {
        self.bound = Some(self.bound.map_or(end, |bound| bound.min(end)));
    }
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::new(Notes::default());
}

/// Runs one step with what its callbacks must know, and hands back its result together with the notes after it.
pub(crate) fn observe<T>(known: Notes, step: impl FnOnce() -> T) -> (T, Notes) {
    let _ = replace(known);
    let result = step();
    (result, replace(Notes::default()))
}

/// Adds to the notes of the step that runs.
pub(crate) fn note(add: impl FnOnce(&mut Notes)) {
    let _ = NOTES.try_with(|notes| notes.try_borrow_mut().map(|mut notes| add(&mut notes)));
}

/// Looks something up in the notes of the step that runs.
pub(crate) fn with<T>(look: impl FnOnce(&Notes) -> T) -> Option<T> {
    NOTES.try_with(|notes| notes.try_borrow().ok().map(|notes| look(&notes))).ok().flatten()
}

fn replace(notes: Notes) -> Notes {
    NOTES.try_with(|old| old.replace(notes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_belong_to_one_step() {
        note(|notes| notes.server_name = Some("stale".into()));
        let known = Notes { bound: Some(7), ..Notes::default() };
        let ((), notes) = observe(known, || note(|notes| notes.server_name = Some("a.example".into())));
        assert_eq!((notes.server_name.as_deref(), notes.bound), (Some("a.example"), Some(7)));
        let (seen, notes) = observe(Notes::default(), || with(|notes| notes.bound));
        assert_eq!((seen, notes.server_name), (Some(None), None));
    }

    #[test]
    fn the_lowest_bound_holds() {
        let mut notes = Notes::default();
        for (end, bound) in [(9, 9), (7, 7), (8, 7)] {
            notes.limit(end);
            assert_eq!(notes.bound, Some(bound));
        }
    }
}
