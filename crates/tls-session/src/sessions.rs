//! The sessions that a client may resume.
//!
//! Each configuration has a store of its own, so nothing is shared between credentials or kinds of verification. Within
//! it, sessions are kept apart by the server's name and by the partition that the session's owner chose. rustls asks for
//! sessions by name alone: for whom it asks is in the notes of the step ([`witness`]). What it wants kept goes there
//! too, and the session decides when that may be used.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::time_provider::TimeProvider;
use tls_certs::Identity;

use crate::resumption::{Resumption, seconds};
use crate::witness;

/// How many servers are remembered.
const MAX_SERVERS: usize = 256;
/// How many tickets for each; a ticket of TLS 1.3 is used once (RFC 8446, appendix C.4).
const MAX_TICKETS: usize = 4;
/// How much memory all of it may take, in bytes, as far as it is known.
const MAX_BYTES: usize = 1024 * 1024;
/// What a ticket takes beside its contents and the certificates.
const OVERHEAD: usize = 512;

/// What a session can be continued with.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// Good for many times.
    Tls12(Tls12ClientSessionValue),
    /// Good for one.
    Tls13(Tls13ClientSessionValue),
}

/// What was settled by the full handshake that a session began with.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// When the session must not be resumed any more, seconds since 1970.
    pub(crate) end: u64,
    /// Of its key exchange.
    pub(crate) group: Option<NamedGroup>,
    /// What this side presented.
    pub(crate) identity: Option<Arc<Identity>>,
}

/// Whose sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) server: ServerName<'static>,
    pub(crate) partition: Arc<str>,
}

/// A bounded store.
pub(crate) struct SessionStore {
    lifespan: u64,
    clock: Arc<dyn TimeProvider>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    servers: HashMap<Place, Server>,
    bytes: usize,
    /// Counts the uses.
    uses: u64,
}

#[derive(Default)]
struct Server {
    tls12: Option<Entry<Tls12ClientSessionValue>>,
    /// Oldest first.
    tls13: VecDeque<Entry<Tls13ClientSessionValue>>,
    last_use: u64,
}

struct Entry<T> {
    value: T,
    terms: Terms,
    weight: usize,
}

impl SessionStore {
    pub(crate) fn new(resumption: &Resumption) -> Self {
        Self { lifespan: resumption.lifespan(), clock: resumption.clock(), kept: Mutex::default() }
    }

    /// When a session that begins now ends, if nothing ends it sooner; and now.
    pub(crate) fn end_of_new(&self) -> Option<(u64, u64)> {
        let now = seconds(&*self.clock)?;
        Some((now.saturating_add(self.lifespan), now))
    }

    /// Keeps a ticket, which takes about `weight` bytes, the certificates included.
    pub(crate) fn keep(&self, place: &Place, ticket: Ticket, terms: Terms, weight: usize) {
        if seconds(&*self.clock).is_none_or(|now| terms.end <= now) {
            return;
        }
        let weight = weight.saturating_add(OVERHEAD);
        let mut kept = self.kept();
        let mut server = kept.take_out(place);
        match ticket {
            Ticket::Tls12(value) => server.tls12 = Some(Entry { value, terms, weight }),
            Ticket::Tls13(value) => {
                server.tls13.push_back(Entry { value, terms, weight });
                if server.tls13.len() > MAX_TICKETS {
                    server.tls13.pop_front();
                }
            }
        }
        kept.put_in(place.clone(), server);
    }

    /// Forgets the sessions of `place`.
    pub(crate) fn forget(&self, place: &Place) {
        self.kept().take_out(place);
    }

    /// How many places, and how many bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.servers.len(), kept.bytes)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `take` finds among the sessions of the session at work with `server`; it is noted on what terms.
    fn find<T>(&self, server: &ServerName<'_>, take: impl FnOnce(&mut Server) -> Option<(T, Terms)>) -> Option<T> {
        let now = seconds(&*self.clock)?;
        let partition = witness::with(|notes| notes.partition.clone()).flatten()?;
        let place = Place { server: server.to_owned(), partition };
        let mut kept = self.kept();
        if !kept.servers.contains_key(&place) {
            return None;
        }
        let mut entry = kept.take_out(&place);
        entry.expire(now);
        let found = take(&mut entry);
        kept.put_in(place, entry);
        let (value, terms) = found?;
        witness::note(|notes| notes.offered = Some(terms));
        Some(value)
    }
}

impl ClientSessionStore for SessionStore {
    // A hint would stand in the way of the hybrid group once the server, or another of its name, offers it.
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        witness::note(|notes| notes.tickets.push(Ticket::Tls12(value)));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.find(server, |kept| kept.tls12.as_ref().map(|entry| (entry.value.clone(), entry.terms.clone())))
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.find(server, |kept| {
            kept.tls12 = None;
            None::<((), Terms)>
        });
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        witness::note(|notes| notes.tickets.push(Ticket::Tls13(value)));
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.find(server, |kept| kept.tls13.pop_back().map(|entry| (entry.value, entry.terms)))
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore").field("lifespan", &self.lifespan).finish_non_exhaustive()
    }
}

impl Kept {
    fn take_out(&mut self, place: &Place) -> Server {
        let server = self.servers.remove(place).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(server.weight());
        server
    }

    /// Enters what was taken out, and makes room: those go first that were not used for longest.
    fn put_in(&mut self, place: Place, mut server: Server) {
        if server.weight() == 0 {
            return;
        }
        self.uses += 1;
        server.last_use = self.uses;
        self.bytes = self.bytes.saturating_add(server.weight());
        self.servers.insert(place, server);
        while self.bytes > MAX_BYTES || self.servers.len() > MAX_SERVERS {
            let oldest = self.servers.iter().min_by_key(|(_, server)| server.last_use).map(|(place, _)| place.clone());
            match oldest {
                Some(oldest) => drop(self.take_out(&oldest)),
                None => break,
            }
        }
    }
}

impl Server {
    fn weight(&self) -> usize {
        let tls12 = self.tls12.as_ref().map_or(0, |entry| entry.weight);
        self.tls13.iter().map(|entry| entry.weight).fold(tls12, usize::saturating_add)
    }

    fn expire(&mut self, now: u64) {
        self.tls12 = self.tls12.take().filter(|entry| now < entry.terms.end);
        self.tls13.retain(|entry| now < entry.terms.end);
    }
}
