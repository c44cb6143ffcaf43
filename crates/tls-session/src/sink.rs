//! Where decrypted data goes.

/// Takes plaintext out of a [`Session`](crate::Session).
///
/// The session asks for the room first and never puts more than that.
pub trait PlaintextSink {
    /// How many bytes fit right now.
    fn room(&self) -> usize;
    /// Takes `bytes`, which are at most [`room`](Self::room) many and never empty.
    fn put(&mut self, bytes: &[u8]);
}

/// Fills a slice from its start.
#[derive(Debug)]
pub struct SliceSink<'a> {
    target: &'a mut [u8],
    filled: usize,
}

impl<'a> SliceSink<'a> {
    /// A sink with room for the whole of `target`.
    pub fn new(target: &'a mut [u8]) -> Self {
        Self { target, filled: 0 }
    }

    /// How many bytes at the start of the slice hold plaintext.
    pub fn filled(&self) -> usize {
        self.filled
    }
}

impl PlaintextSink for SliceSink<'_> {
    fn room(&self) -> usize {
        self.target.len() - self.filled
    }

    fn put(&mut self, bytes: &[u8]) {
        let free = self.target.get_mut(self.filled..).unwrap_or_default();
        let taken = bytes.len().min(free.len());
        if let (Some(to), Some(from)) = (free.get_mut(..taken), bytes.get(..taken)) {
            to.copy_from_slice(from);
            self.filled += taken;
        }
    }
}

/// What did not fit into the sink: at most the plaintext of what one record held.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    bytes: Vec<u8>,
    taken: usize,
}

impl Leftover {
    pub(crate) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Moves what fits, and says how many bytes those were.
    pub(crate) fn drain_into(&mut self, sink: &mut dyn PlaintextSink) -> usize {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let now = rest.get(..rest.len().min(sink.room())).unwrap_or_default();
        let moved = now.len();
        if moved > 0 {
            sink.put(now);
            self.taken += moved;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
        }
        moved
    }

    pub(crate) fn discard(&mut self) {
        *self = Self::default();
    }

    /// Gives the memory back when nothing is left over.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.discard();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn footprint(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_moves_only_what_fits() {
        let mut leftover = Leftover::default();
        leftover.keep(b"abcdef");
        let mut first = [0; 4];
        let mut sink = SliceSink::new(&mut first);
        assert_eq!(leftover.drain_into(&mut sink), 4);
        assert_eq!(sink.room(), 0);
        assert_eq!(leftover.drain_into(&mut sink), 0);
        assert_eq!(&first, b"abcd");
        let mut second = [0; 4];
        let mut sink = SliceSink::new(&mut second);
        assert_eq!(leftover.drain_into(&mut sink), 2);
        assert_eq!(sink.filled(), 2);
        assert!(leftover.is_empty());
    }
}
