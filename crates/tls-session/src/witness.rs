//! What the callbacks of rustls learn during one step.
//!
//! rustls calls certificate resolvers, which belong to a configuration that many
//! sessions share, without saying for which session. They note here what the session must know;
//! the session collects it when the step returns, in the same thread.

use std::cell::RefCell;

use tls_certs::Identity;

/// The notes of one step.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The certificate and key that this side chose to present.
    pub(crate) identity: Option<Identity>,
    /// The host name that the client asked for (RFC 6066, section 3).
    pub(crate) server_name: Option<String>,
    /// Why a secret could not be logged.
    pub(crate) key_log_failure: Option<String>,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::new(Notes::default());
}

/// Runs one step and hands back its result together with what was noted during it.
pub(crate) fn observe<T>(step: impl FnOnce() -> T) -> (T, Notes) {
    let _ = collect();
    let result = step();
    (result, collect())
}

/// Adds to the notes of the step that runs.
pub(crate) fn note(add: impl FnOnce(&mut Notes)) {
    let _ = NOTES.try_with(|notes| notes.try_borrow_mut().map(|mut notes| add(&mut notes)));
}

fn collect() -> Notes {
    NOTES.try_with(RefCell::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_belong_to_one_step() {
        note(|notes| notes.server_name = Some("stale".into()));
        let ((), notes) = observe(|| note(|notes| notes.server_name = Some("a.example".into())));
        assert_eq!(notes.server_name.as_deref(), Some("a.example"));
        let ((), notes) = observe(|| ());
        assert_eq!(notes.server_name, None);
    }
}
