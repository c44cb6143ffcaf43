//! What a session has to do with earlier and later ones.

use std::sync::Arc;

use rustls::NamedGroup;
use rustls::pki_types::{CertificateDer, ServerName};
use tls_certs::Identity;

use crate::resumption::first_expiry;
use crate::sessions::{Place, SessionStore, Terms, Ticket};
use crate::witness::Notes;

/// More tickets than this are not held for a verdict.
const MAX_HELD: usize = 4;

/// One session's share in resumption.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    /// What its tickets are kept apart by.
    partition: Option<Arc<str>>,
    /// Server: when no ticket of this session is good any more, seconds since 1970.
    bound: Option<u64>,
    /// Server: the group of the session that the client offered to continue.
    group: Option<NamedGroup>,
    client: Option<Box<Client>>,
}

#[derive(Debug)]
struct Client {
    /// When this session ends at the latest, and when it began: tickets may come long after what was verified then.
    begun: Option<(u64, u64)>,
    store: Arc<SessionStore>,
    place: Place,
    /// On what terms the session stood that was offered to the server.
    offered: Option<Terms>,
    /// On what terms this one stands.
    terms: Option<Terms>,
    /// What came before the owner's verdict.
    held: Vec<(Ticket, Terms, usize)>,
    /// Most bytes shown to rustls at once in the handshake: no ticket in it was longer.
    largest_message: usize,
}

/// What a step found, of what concerns earlier sessions.
pub(crate) struct Known {
    pub(crate) bound: Option<u64>,
    pub(crate) group: Option<NamedGroup>,
    pub(crate) offered: Option<Terms>,
}

/// What the session knows when tickets arrive.
pub(crate) struct Circumstances<'a> {
    pub(crate) resumed: bool,
    pub(crate) peer: &'a [CertificateDer<'static>],
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) group: Option<NamedGroup>,
    /// The owner's verdict is outstanding.
    pub(crate) unjudged: bool,
    /// Bytes that rustls was shown in this step.
    pub(crate) shown: usize,
}

impl Continuity {
    pub(crate) fn client(store: Option<&Arc<SessionStore>>, partition: &Arc<str>, server: ServerName<'static>) -> Self {
        let client = store.map(|store| {
            Box::new(Client {
                begun: store.end_of_new(),
                store: Arc::clone(store),
                place: Place { server, partition: Arc::clone(partition) },
                offered: None,
                terms: None,
                held: Vec::new(),
                largest_message: 0,
            })
        });
        Self { partition: Some(Arc::clone(partition)), client, ..Self::default() }
    }

    pub(crate) fn server(partition: &Arc<str>) -> Self {
        Self { partition: Some(Arc::clone(partition)), ..Self::default() }
    }

    /// What the callbacks of a step of the handshake must know; `group` is that of this session's own key exchange.
    pub(crate) fn notes(&self, group: Option<NamedGroup>) -> Notes {
        let group = group.or(self.group);
        Notes { partition: self.partition.clone(), bound: self.bound, group, ..Notes::default() }
    }

    /// Takes over what a step of the handshake found; `shown` bytes were before it.
    pub(crate) fn note(&mut self, notes: Known, shown: usize) {
        let Known { bound, group, offered } = notes;
        self.bound = bound;
        self.group = group;
        if let Some(client) = &mut self.client {
            client.offered = offered.or(client.offered.take());
            client.largest_message = client.largest_message.max(shown);
        }
    }

    /// The identity that was presented when the session began, which a resumed one does not present again.
    pub(crate) fn earlier_identity(&self) -> Option<&Identity> {
        self.client.as_ref()?.offered.as_ref()?.identity.as_deref()
    }

    /// The group of the key exchange that the session began with, where a resumed one has none (TLS 1.2).
    pub(crate) fn earlier_group(&self) -> Option<NamedGroup> {
        match &self.client {
            Some(client) => client.offered.as_ref()?.group,
            None => self.group,
        }
    }

    /// Keeps `tickets`, or holds them until the verdict.
    pub(crate) fn receive(&mut self, tickets: Vec<Ticket>, now: &Circumstances<'_>) {
        let Some(client) = &mut self.client else { return };
        let Some(terms) = client.terms(now) else { return };
        let chain: usize = now.peer.iter().map(|certificate| certificate.len()).sum();
        for ticket in tickets {
            let contents = match ticket {
                Ticket::Tls12(_) => client.largest_message,
                Ticket::Tls13(_) => now.shown,
            };
            let weight = contents + chain;
            if !now.unjudged {
                client.store.keep(&client.place, ticket, terms.clone(), weight);
            } else if client.held.len() < MAX_HELD {
                client.held.push((ticket, terms.clone(), weight));
            }
        }
    }

    /// The owner accepts the peer: what was held may be used.
    pub(crate) fn accept(&mut self) {
        if let Some(client) = &mut self.client {
            for (ticket, terms, weight) in std::mem::take(&mut client.held) {
                client.store.keep(&client.place, ticket, terms, weight);
            }
        }
    }

    /// The session could not be established: no other shall be tried with what this one was begun with (RFC 5246,
    /// section 7.2.2).
    pub(crate) fn reject(&mut self) {
        if let Some(client) = &mut self.client {
            client.held = Vec::new();
            client.store.forget(&client.place);
        }
    }
}

impl Client {
    /// A resumed session stands on the terms of the one that it continues.
    fn terms(&mut self, now: &Circumstances<'_>) -> Option<Terms> {
        if self.terms.is_none() {
            self.terms = match (now.resumed, &self.offered) {
                (true, Some(earlier)) => Some(earlier.clone()),
                (true, None) => None,
                (false, _) => {
                    let (end, time) = self.begun?;
                    let end = first_expiry(now.peer, time).map_or(end, |expiry| expiry.min(end));
                    Some(Terms { end, identity: now.identity.cloned().map(Arc::new), group: now.group })
                }
            };
        }
        self.terms.clone()
    }
}
