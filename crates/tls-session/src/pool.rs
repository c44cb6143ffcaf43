//! Buffers of sessions that have nothing to do, kept for the next one of the same thread.

use std::cell::RefCell;

/// The sizes of buffers, in bytes: for a handshake or a connection with little to say; for one record of the largest
/// size (RFC 8446, section 5.2); for a 64 KiB handshake message or seven full records.
pub(crate) const SIZES: [usize; 3] = [4 * 1024, 32 * 1024, LARGE];
/// The largest of them.
pub(crate) const LARGE: usize = 128 * 1024;

/// How many buffers of each size a thread keeps at most.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<[Vec<Vec<u8>>; SIZES.len()]> = const { RefCell::new([const { Vec::new() }; SIZES.len()]) };
}

/// A zero-filled or formerly used buffer of exactly `size` bytes.
pub(crate) fn take(size: usize) -> Vec<u8> {
    with_free(size, Vec::pop).flatten().unwrap_or_else(|| vec![0; size])
}

/// Takes a buffer back: those of the usual sizes are kept, up to a limit, all others freed.
pub(crate) fn give(buffer: Vec<u8>) {
    with_free(buffer.len(), |free| {
        if free.len() < KEPT {
            free.push(buffer);
        }
    });
}

/// The free buffers of `size` bytes. None while the thread ends, and for sizes that are not kept.
fn with_free<R>(size: usize, body: impl FnOnce(&mut Vec<Vec<u8>>) -> R) -> Option<R> {
    let class = SIZES.iter().position(|&kept| kept == size)?;
    FREE.try_with(|free| Some(body(free.try_borrow_mut().ok()?.get_mut(class)?))).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_the_pool_is_bounded() {
        for size in SIZES {
            let held: Vec<_> = (0..KEPT + 3).map(|_| take(size)).collect();
            held.into_iter().for_each(give);
            give(vec![0; size + 1]);
            let kept = with_free(size, |free| free.iter().map(Vec::len).collect::<Vec<_>>());
            assert_eq!(kept, Some(vec![size; KEPT]));
        }
    }
}
