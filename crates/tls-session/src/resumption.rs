//! Whether sessions are resumed, and for how long.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use tls_certs::Certificate;

use crate::ticket_keys::TicketKeySource;

/// What a session lasts where nobody says otherwise: ten hours, as with Schannel.
const LIFESPAN: u64 = 10 * 60 * 60;
/// RFC 8446, section 4.6.1: no ticket lasts longer than seven days.
const LONGEST: u64 = 7 * 24 * 60 * 60;

/// Whether and how long sessions are resumed (RFC 5077; RFC 5246, section 7.3; RFC 8446, section 2.2).
///
/// A session that was begun with a full handshake is continued until its lifespan is over or one of the certificates
/// that the peer presented expires, whatever comes first; resuming it does not prolong it.
#[derive(Clone)]
pub struct Resumption {
    lifespan: u64,
    ticket_keys: Option<Arc<dyn TicketKeySource>>,
    clock: Arc<dyn TimeProvider>,
}

impl Resumption {
    /// For `lifespan`, in whole seconds, at most seven days; less than a second: not at all.
    pub fn lasting(lifespan: Duration) -> Self {
        Self { lifespan: lifespan.as_secs().min(LONGEST), ..Self::default() }
    }

    /// Each session begins with a full handshake, and no session can be resumed.
    pub fn off() -> Self {
        Self { lifespan: 0, ..Self::default() }
    }

    /// The same, with a server's tickets sealed by keys that it shares with others, instead of its own that change by
    /// themselves. A client does not look at them.
    #[must_use]
    pub fn with_ticket_keys(self, source: Arc<dyn TicketKeySource>) -> Self {
        Self { ticket_keys: Some(source), ..self }
    }

    /// The same with another clock, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn TimeProvider>) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.lifespan > 0
    }

    /// Seconds.
    pub(crate) fn lifespan(&self) -> u64 {
        self.lifespan
    }

    pub(crate) fn ticket_keys(&self) -> Option<Arc<dyn TicketKeySource>> {
        self.ticket_keys.clone()
    }

    pub(crate) fn clock(&self) -> Arc<dyn TimeProvider> {
        Arc::clone(&self.clock)
    }
}

impl Default for Resumption {
    /// For ten hours.
    fn default() -> Self {
        Self { lifespan: LIFESPAN, ticket_keys: None, clock: Arc::new(DefaultTimeProvider) }
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption")
            .field("lifespan", &self.lifespan)
            .field("ticket_keys", &self.ticket_keys)
            .finish_non_exhaustive()
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(clock: &dyn TimeProvider) -> Option<u64> {
    clock.current_time().map(|now| now.as_secs())
}

/// When the first of the certificates expires that had not done so at `now`, in seconds since 1970; in its last second a
/// certificate is valid still. Those that had cannot be what the others were trusted for.
pub(crate) fn first_expiry<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'a>>, now: u64) -> Option<u64> {
    let certificates = chain.into_iter().filter_map(|der| Certificate::from_der(der).ok());
    let ends = certificates.filter_map(|certificate| u64::try_from(certificate.validity().not_after).ok());
    ends.filter(|&end| end >= now).min()
}
