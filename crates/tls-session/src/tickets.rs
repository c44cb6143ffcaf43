//! Tickets of a server: the state of a session, sealed, so that the client keeps it (RFC 5077; RFC 8446, section 4.6.1).
//!
//! ```text
//!  name of the key, 16 | salt, 32 | AES-256-GCM of (end of life, 8; group, 2; state of the session) | tag, 16
//! ```
//! Each ticket has a key of its own, derived from its salt, so that no number of tickets is too many for a key. What a
//! server asks of its clients goes into the derivation of its keys, and the partition of the session into what is
//! authenticated: a ticket that was made under other terms cannot be opened.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac, rand};
use rustls::server::ProducesTickets;
use rustls::time_provider::TimeProvider;
use zeroize::Zeroizing;

use crate::resumption::{Resumption, seconds};
use crate::ticket_keys::{TicketKeySource, TicketKeys};
use crate::witness;

const NAME: usize = 16;
const SALT: usize = 32;
const TAG: usize = 16;
const END: usize = 8;
const GROUP: usize = 2;
const LONGER: usize = NAME + SALT + END + GROUP + TAG;
/// Longer ones, of clients with very long chains of certificates, would not be worth their transport.
const MAX_TICKET: usize = 16 * 1024;

/// Seals and opens the tickets of one server.
pub(crate) struct Ticketer {
    lifespan: u64,
    clock: Arc<dyn TimeProvider>,
    terms: Terms,
    source: Option<Arc<dyn TicketKeySource>>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    /// The first seals; all open.
    ready: Vec<Arc<Key>>,
    /// What shared keys were derived from.
    origin: Option<Arc<TicketKeys>>,
}

/// What goes into the derivation of keys: servers open each other's tickets only if all of it is the same.
#[derive(Clone, Copy)]
struct Terms {
    /// What the server asks of its clients.
    policy: [u8; 32],
    lifespan: [u8; 8],
}

struct Key {
    name: [u8; NAME],
    master: hmac::Key,
    /// When it began to seal, seconds since 1970.
    since: u64,
}

impl Ticketer {
    pub(crate) fn new(resumption: &Resumption, policy: [u8; 32]) -> Self {
        Self {
            lifespan: resumption.lifespan(),
            clock: resumption.clock(),
            terms: Terms { policy, lifespan: resumption.lifespan().to_be_bytes() },
            source: resumption.ticket_keys(),
            keys: Mutex::default(),
        }
    }

    /// The end of life of a ticket made now: the lifespan, unless the session it is for ends sooner.
    fn end(&self, now: u64) -> u64 {
        let end = now.saturating_add(self.lifespan);
        witness::with(|notes| notes.bound).flatten().map_or(end, |bound| bound.min(end))
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let now = seconds(&*self.clock)?;
        let end = self.end(now);
        let partition = witness::with(|notes| notes.partition.clone()).flatten()?;
        if end <= now || LONGER + plain.len() > MAX_TICKET {
            return None;
        }
        let key = self.keys(now).into_iter().next()?;
        let mut ticket = Vec::with_capacity(LONGER + plain.len());
        ticket.extend_from_slice(&key.name);
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        ticket.extend_from_slice(&salt);
        let mut sealed = Zeroizing::new(Vec::with_capacity(LONGER + plain.len()));
        sealed.extend_from_slice(&end.to_be_bytes());
        let group = witness::with(|notes| notes.group).flatten().map_or(0, u16::from);
        sealed.extend_from_slice(&group.to_be_bytes());
        sealed.extend_from_slice(plain);
        let (cipher, nonce) = key.for_ticket(&salt)?;
        cipher.seal_in_place_append_tag(nonce, Aad::from(partition.as_bytes()), &mut *sealed).ok()?;
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        let now = seconds(&*self.clock)?;
        let key = self.keys(now).into_iter().find(|key| key.name == name)?;
        let partition = witness::with(|notes| notes.partition.clone()).flatten()?;
        let (cipher, nonce) = key.for_ticket(salt)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plain = cipher.open_in_place(nonce, Aad::from(partition.as_bytes()), &mut sealed).ok()?;
        let (end, rest) = plain.split_at_checked(END)?;
        let (group, state) = rest.split_at_checked(GROUP)?;
        let group = u16::from_be_bytes(group.try_into().ok()?);
        let end = u64::from_be_bytes(end.try_into().ok()?);
        if end <= now {
            return None;
        }
        witness::note(|notes| {
            notes.limit(end);
            notes.group = (group != 0).then(|| group.into());
        });
        Some(state.to_vec())
    }

    /// The keys of now, the one that seals first.
    fn keys(&self, now: u64) -> Vec<Arc<Key>> {
        // Where they come from is not asked while others wait.
        let shared = self.source.as_ref().map(|source| source.current());
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match shared {
            Some(shared) => keys.follow(shared, &self.terms),
            None => keys.rotate(now, self.lifespan, &self.terms),
        }
        keys.ready.clone()
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let left = seconds(&*self.clock).map_or(0, |now| self.end(now).saturating_sub(now));
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher)
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketer")
            .field("lifespan", &self.lifespan)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Keys of our own: a new one after half a lifespan, and none any more that seals nothing that is still good.
    fn rotate(&mut self, now: u64, lifespan: u64, terms: &Terms) {
        let period = (lifespan / 2).max(1);
        let due = self.ready.first().is_none_or(|key| now >= key.since.saturating_add(period));
        if due {
            let mut secret = Zeroizing::new([0; 32]);
            if rand::fill(&mut *secret).is_ok()
                && let Some(key) = Key::derive(&*secret, terms, now)
            {
                self.ready.insert(0, Arc::new(key));
            }
        }
        self.ready.retain(|key| now < key.since.saturating_add(period).saturating_add(lifespan));
        self.ready.truncate(4);
    }

    /// The keys that others have too.
    fn follow(&mut self, shared: Arc<TicketKeys>, terms: &Terms) {
        if self.origin.as_ref().is_some_and(|origin| Arc::ptr_eq(origin, &shared)) {
            return;
        }
        self.ready = shared.secrets().filter_map(|secret| Key::derive(secret, terms, 0)).map(Arc::new).collect();
        self.origin = Some(shared);
    }
}

impl Key {
    fn derive(secret: &[u8], terms: &Terms, since: u64) -> Option<Self> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tcl-rustls tickets 1").extract(secret);
        let mut name = [0; NAME];
        let mut master = Zeroizing::new([0; 32]);
        prk.expand(&[b"name", &terms.policy, &terms.lifespan], Length(NAME)).ok()?.fill(&mut name).ok()?;
        prk.expand(&[b"seal", &terms.policy, &terms.lifespan], Length(32)).ok()?.fill(&mut *master).ok()?;
        Some(Self { name, master: hmac::Key::new(hmac::HMAC_SHA256, &*master), since })
    }

    /// The key of one ticket; it seals nothing else, so the nonce may be what it likes.
    fn for_ticket(&self, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        let key = hmac::sign(&self.master, salt);
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?;
        Some((LessSafeKey::new(key), Nonce::assume_unique_for_key([0; NONCE_LEN])))
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::witness::Notes;

    fn ticketer() -> Ticketer {
        Ticketer::new(&Resumption::default(), [7; 32])
    }

    /// Runs `step` as a session of `partition` would, and gives the bound that it left.
    fn within<T>(partition: &str, bound: Option<u64>, step: impl FnOnce() -> T) -> (T, Option<u64>) {
        let notes = Notes { partition: Some(partition.into()), bound, ..Notes::default() };
        let (result, notes) = witness::observe(notes, step);
        (result, notes.bound)
    }

    fn seal(ticketer: &Ticketer, plain: &[u8]) -> Option<Vec<u8>> {
        within("a", None, || ticketer.encrypt(plain)).0
    }

    fn open(ticketer: &Ticketer, ticket: &[u8]) -> Option<Vec<u8>> {
        within("a", None, || ticketer.decrypt(ticket)).0
    }

    #[test]
    fn only_the_very_ticket_is_opened() {
        let ticketer = ticketer();
        let ticket = seal(&ticketer, b"state of a session").unwrap();
        assert_eq!(open(&ticketer, &ticket).as_deref(), Some(&b"state of a session"[..]));
        for position in 0..ticket.len() {
            for bit in 0..8 {
                let mut altered = ticket.clone();
                altered[position] ^= 1 << bit;
                assert_eq!(open(&ticketer, &altered), None, "{position}");
            }
            assert_eq!(open(&ticketer, &ticket[..position]), None);
        }
        let longer = [&ticket[..], &[0]].concat();
        assert_eq!(open(&ticketer, &longer), None);
        assert_eq!(open(&super::tests::ticketer(), &ticket), None);
    }

    #[test]
    fn a_ticket_belongs_to_a_partition() {
        let ticketer = ticketer();
        let ticket = seal(&ticketer, b"state").unwrap();
        assert_eq!(within("b", None, || ticketer.decrypt(&ticket)).0, None);
        // Outside of a session's step there is nothing to go by.
        assert_eq!((ticketer.encrypt(b"state"), ticketer.decrypt(&ticket)), (None, None));
    }

    #[test]
    fn the_bound_of_a_session_is_handed_on() {
        let ticketer = ticketer();
        let now = seconds(&*ticketer.clock).unwrap();
        let (ticket, _) = within("a", Some(now + 100), || (ticketer.encrypt(b"state").unwrap(), ticketer.lifetime()));
        assert!((1..=100).contains(&ticket.1), "{}", ticket.1);
        assert_eq!(within("a", None, || ticketer.decrypt(&ticket.0)).1, Some(now + 100));
        assert_eq!(within("a", Some(now), || ticketer.encrypt(b"state")).0, None);
    }

    #[test]
    fn tickets_have_a_greatest_length() {
        let ticketer = ticketer();
        let most = MAX_TICKET - LONGER;
        let ticket = seal(&ticketer, &vec![1; most]).unwrap();
        assert_eq!(ticket.len(), MAX_TICKET);
        assert_eq!(open(&ticketer, &ticket), Some(vec![1; most]));
        assert_eq!(seal(&ticketer, &vec![1; most + 1]), None);
    }

    #[test]
    fn old_keys_are_erased() {
        let terms = Terms { policy: [7; 32], lifespan: [0; 8] };
        let mut keys = Keys::default();
        for now in (0..100).chain(100_000..100_010) {
            keys.rotate(now, 10, &terms);
            let since: Vec<u64> = keys.ready.iter().map(|key| key.since).collect();
            assert!(now - since[0] < 5, "{now} {since:?}");
            assert!(since.iter().all(|since| now < since + 15), "{now} {since:?}");
            assert!(since.len() <= 3 && (since.len() == 3 || !(10..100_000).contains(&now)), "{now} {since:?}");
        }
    }

    #[test]
    fn each_ticket_is_another() {
        let ticketer = Ticketer::new(&Resumption::lasting(Duration::from_secs(60)), [7; 32]);
        let (one, two) = (seal(&ticketer, b"state").unwrap(), seal(&ticketer, b"state").unwrap());
        assert_eq!(one[..NAME], two[..NAME]);
        assert_ne!(one[NAME..NAME + SALT], two[NAME..NAME + SALT]);
        assert_ne!(one[NAME + SALT..], two[NAME + SALT..]);
    }
}
