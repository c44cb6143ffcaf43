//! Large buffers of sessions that have nothing to do, kept for the next one of the same thread.

use std::cell::RefCell;

/// The size of the large buffers, in bytes: room for a 64 KiB handshake message or for seven full
/// records (RFC 8446, section 5.2).
pub(crate) const LARGE: usize = 128 * 1024;

/// How many large buffers a thread keeps at most.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A zero-filled or formerly used buffer of exactly `size` bytes.
pub(crate) fn take(size: usize) -> Vec<u8> {
    if size == LARGE {
        let kept = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop());
        if let Ok(Some(buffer)) = kept {
            return buffer;
        }
    }
    vec![0; size]
}

/// Takes a buffer back: large ones are kept, up to a limit, all others freed.
pub(crate) fn give(buffer: Vec<u8>) {
    if buffer.len() == LARGE {
        // Fails only while the thread ends; the buffer is freed then.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_come_back_and_the_pool_is_bounded() {
        let held: Vec<_> = (0..KEPT + 3).map(|_| take(LARGE)).collect();
        held.into_iter().for_each(give);
        give(vec![0; 4096]);
        let kept = FREE.with(|free| free.borrow().iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(kept, vec![LARGE; KEPT]);
    }
}
