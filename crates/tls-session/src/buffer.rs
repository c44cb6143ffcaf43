//! Ciphertext on its way in and out: zero-filled once, walked with cursors, bounded.

use crate::pool::{self, SIZES};

/// Length of a record's header (RFC 8446, section 5.1).
const HEADER: usize = 5;

/// Ciphertext from the transport.
///
/// ```text
///  0        head             boundary   shown        tail         store.len()
///  | free   | kept by rustls | partial  | not shown  | free       |
/// ```
/// rustls is shown one more record only when it is done with the earlier ones. So no more than one
/// record is ever decrypted ahead, and data can be encrypted whatever lies unread behind `shown`.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    store: Vec<u8>,
    head: usize,
    /// End of the last whole record shown.
    boundary: usize,
    shown: usize,
    tail: usize,
    /// Index into `SIZES` of the size to take next.
    size: usize,
    /// Most bytes that arrived at once since the last release.
    largest_read: usize,
}

impl Incoming {
    /// The largest size, and so the limit of what one handshake message may take.
    pub(crate) const LIMIT: usize = pool::LARGE;

    /// Free space; empty only when the buffer has its largest size and is full.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.head == self.tail {
            self.rewind();
        }
        let size = self.store.len();
        let wanted = SIZES.get(self.size).copied().unwrap_or(Self::LIMIT);
        let free = size - self.tail;
        if size < wanted && (free == 0 || self.tail == 0) {
            replace(&mut self.store, self.head..self.tail, wanted);
            self.shift();
        } else if free == 0 || (free < size / 4 && self.head >= size / 4) {
            self.store.copy_within(self.head..self.tail, 0);
            self.shift();
        }
        self.store.get_mut(self.tail..).unwrap_or_default()
    }

    /// `count` bytes were put at the start of [`space`](Self::space).
    pub(crate) fn filled(&mut self, count: usize) {
        let count = count.min(self.store.len() - self.tail);
        self.tail += count;
        self.largest_read = self.largest_read.max(count);
        if self.tail == self.store.len() {
            self.size = (self.size + 1).min(SIZES.len() - 1);
        }
    }

    /// What rustls may see.
    pub(crate) fn window(&mut self) -> &mut [u8] {
        self.store.get_mut(self.head..self.shown).unwrap_or_default()
    }

    /// Lets rustls see one more whole record, or what there is of one. False: there is nothing new.
    pub(crate) fn show_more(&mut self) -> bool {
        let unseen = self.store.get(self.boundary..self.tail).unwrap_or_default();
        let record = match unseen {
            [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([*high, *low])),
            _ => usize::MAX,
        };
        let before = self.shown;
        if record <= unseen.len() {
            self.boundary += record;
            self.shown = self.boundary;
        } else {
            self.shown = self.tail;
        }
        self.shown > before
    }

    /// Whether there are bytes that rustls was not shown.
    pub(crate) fn unseen(&self) -> bool {
        self.shown < self.tail
    }

    pub(crate) fn window_is_empty(&self) -> bool {
        self.shown == self.head
    }

    /// rustls is done with the first `count` bytes of the window.
    pub(crate) fn discard(&mut self, count: usize) {
        self.head = (self.head + count).min(self.shown);
        self.boundary = self.boundary.max(self.head);
    }

    /// Whether no byte more can be taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.head == 0 && self.tail == Self::LIMIT
    }

    /// Forgets what rustls was not shown.
    pub(crate) fn drop_unseen(&mut self) {
        self.tail = self.shown;
    }

    /// Forgets everything that is in it.
    pub(crate) fn clear(&mut self) {
        self.head = self.tail;
        self.rewind();
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.head == self.tail {
            self.rewind();
            pool::give(std::mem::take(&mut self.store));
            let fitting = SIZES.iter().position(|size| self.largest_read < *size);
            self.size = self.size.min(fitting.unwrap_or(SIZES.len() - 1));
            self.largest_read = 0;
        }
    }

    /// Bytes of memory held.
    pub(crate) fn footprint(&self) -> usize {
        self.store.len()
    }

    fn rewind(&mut self) {
        (self.head, self.boundary, self.shown, self.tail) = (0, 0, 0, 0);
    }

    /// The content was moved to the start of the store.
    fn shift(&mut self) {
        self.boundary -= self.head;
        self.shown -= self.head;
        self.tail -= self.head;
        self.head = 0;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.store));
    }
}

/// Ciphertext for the transport. What lies behind the hold point must not leave yet.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    store: Vec<u8>,
    head: usize,
    tail: usize,
    hold: Option<usize>,
}

impl Outgoing {
    /// What may leave now.
    pub(crate) fn sendable(&self) -> &[u8] {
        let end = self.hold.unwrap_or(self.tail);
        self.store.get(self.head..end).unwrap_or_default()
    }

    /// The first `count` bytes of [`sendable`](Self::sendable) have left.
    pub(crate) fn sent(&mut self, count: usize) {
        self.head += count.min(self.sendable().len());
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
            self.hold = self.hold.map(|_| 0);
        }
    }

    /// How many bytes wait, held back or not.
    pub(crate) fn pending(&self) -> usize {
        self.tail - self.head
    }

    /// At least `room` free bytes at the end.
    pub(crate) fn reserve(&mut self, room: usize) -> &mut [u8] {
        if self.store.len() - self.tail < room {
            let used = self.tail - self.head;
            if self.store.len() < used + room {
                let size = SIZES.iter().copied().find(|size| *size >= used + room);
                let size = size.unwrap_or(used + room);
                replace(&mut self.store, self.head..self.tail, size);
            } else {
                self.store.copy_within(self.head..self.tail, 0);
            }
            self.hold = self.hold.map(|hold| hold.saturating_sub(self.head));
            (self.head, self.tail) = (0, used);
        }
        self.store.get_mut(self.tail..).unwrap_or_default()
    }

    /// `count` bytes were put at the start of [`reserve`](Self::reserve)'s slice.
    pub(crate) fn produced(&mut self, count: usize) {
        self.tail += count.min(self.store.len() - self.tail);
    }

    /// Holds back everything but the first `passing` bytes that wait.
    pub(crate) fn hold_after(&mut self, passing: usize) {
        self.hold = Some((self.head + passing).min(self.tail));
    }

    /// Lets everything leave.
    pub(crate) fn let_go(&mut self) {
        self.hold = None;
    }

    /// Drops what is held back.
    pub(crate) fn drop_held(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.tail = hold;
        }
    }

    /// Drops everything that has not left.
    pub(crate) fn clear(&mut self) {
        (self.head, self.tail, self.hold) = (0, 0, None);
    }

    /// Gives the memory back if nothing waits.
    pub(crate) fn release(&mut self) {
        if self.head == self.tail {
            pool::give(std::mem::take(&mut self.store));
            (self.head, self.tail) = (0, 0);
            self.hold = self.hold.map(|_| 0);
        }
    }

    /// Bytes of memory held.
    pub(crate) fn footprint(&self) -> usize {
        self.store.len()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.store));
    }
}

/// Moves `used` of `store` to the start of a buffer of `size` bytes that takes its place.
fn replace(store: &mut Vec<u8>, used: std::ops::Range<usize>, size: usize) {
    let mut larger = pool::take(size);
    let from = store.get(used).unwrap_or_default();
    if let Some(to) = larger.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
    pool::give(std::mem::replace(store, larger));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    const SMALL: usize = SIZES[0];

    fn put(incoming: &mut Incoming, bytes: &[u8]) -> usize {
        let space = incoming.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        incoming.filled(count);
        count
    }

    fn record(payload: usize) -> Vec<u8> {
        let mut record = vec![0x17, 3, 3];
        record.extend_from_slice(&u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes());
        record.resize(HEADER + payload, 7);
        record
    }

    #[test]
    fn one_record_is_shown_at_a_time() {
        let mut incoming = Incoming::default();
        let two = [record(10), record(20)].concat();
        put(&mut incoming, &two[..18]);
        assert!(incoming.show_more());
        assert_eq!(incoming.window().len(), 15);
        assert!(incoming.show_more(), "the part of the second one");
        assert_eq!(incoming.window().len(), 18);
        assert!(!incoming.show_more());
        put(&mut incoming, &two[18..]);
        assert!(incoming.show_more());
        assert_eq!(incoming.window().len(), 40);
        incoming.discard(15);
        assert_eq!(incoming.window(), &two[15..]);
        incoming.discard(25);
        assert!(incoming.window_is_empty() && !incoming.unseen());
    }

    #[test]
    fn incoming_grows_to_its_limit_and_shrinks_when_released() {
        let mut incoming = Incoming::default();
        let bytes = vec![1; 3 * Incoming::LIMIT];
        let mut taken = 0;
        loop {
            match put(&mut incoming, &bytes[taken..]) {
                0 => break,
                count => taken += count,
            }
        }
        assert_eq!(taken, Incoming::LIMIT);
        assert!(incoming.is_full());
        while incoming.show_more() {
            let seen = incoming.window().len();
            incoming.discard(seen);
        }
        assert!(!incoming.space().is_empty());
        incoming.clear();
        incoming.release();
        assert_eq!(incoming.footprint(), 0);
        put(&mut incoming, b"x");
        incoming.clear();
        incoming.release();
        assert_eq!(incoming.space().len(), SMALL, "a quiet connection takes little again");
    }

    #[test]
    fn held_bytes_survive_moves_and_leave_when_let_go() {
        let mut outgoing = Outgoing::default();
        let put = |outgoing: &mut Outgoing, bytes: &[u8]| {
            outgoing.reserve(bytes.len())[..bytes.len()].copy_from_slice(bytes);
            outgoing.produced(bytes.len());
        };
        put(&mut outgoing, b"before");
        outgoing.hold_after(6);
        put(&mut outgoing, b"after");
        outgoing.sent(2);
        assert_eq!(outgoing.sendable(), b"fore");
        put(&mut outgoing, &vec![b'x'; SMALL]);
        assert_eq!(outgoing.sendable(), b"fore");
        outgoing.sent(100);
        assert_eq!(outgoing.sendable(), b"");
        assert_eq!(outgoing.pending(), 5 + SMALL);
        outgoing.let_go();
        assert!(outgoing.sendable().starts_with(b"afterxxx"));
    }
}
