//! The end of a connection: what is still on its way must arrive.
//!
//! A TCP socket that is closed while the peer's bytes are unread, or still come, answers them with a reset, and a
//! reset destroys what the peer has not read yet. So a socket whose TLS channel is closed stays for a while, its
//! sending direction ended, and drops what comes, until the peer ends as well or the time is over.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use tcl_stubs::{ChannelError, Errno, Events, Parent, Timer, at_thread_exit};

use crate::pump::Pump;

/// How long a peer may take to end its side.
const LIMIT: Duration = Duration::from_secs(10);
/// How many sockets linger at once in a thread; beyond, the oldest is given up.
const MOST: usize = 256;
/// How much is read from one socket before others get their turn, in buffers of [`CHUNK`] bytes.
const ROUNDS: usize = 16;
const CHUNK: usize = 16 * 1024;

struct Lingering {
    id: u64,
    parent: Parent,
    _limit: Timer,
}

/// How long the sockets of a thread that exits may take together: nobody will look after them later.
const EXIT_LIMIT: Duration = Duration::from_millis(500);

thread_local! {
    /// Never dropped with the thread: by then Tcl is gone, and the exit handler has emptied it.
    static LINGERING: ManuallyDrop<RefCell<VecDeque<Lingering>>> =
        const { ManuallyDrop::new(RefCell::new(VecDeque::new())) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static PREPARED: Cell<bool> = const { Cell::new(false) };
    /// Set once the thread exits: until when sockets may be waited for.
    static EXIT_DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes sure that this thread's exit does not forget those that linger. To be called before the first channel.
pub(crate) fn prepare() {
    if PREPARED.replace(true) {
        return;
    }
    at_thread_exit(|| {
        let deadline = Instant::now() + EXIT_LIMIT;
        EXIT_DEADLINE.set(Some(deadline));
        for entry in LINGERING.with(|list| std::mem::take(&mut *list.borrow_mut())) {
            wait_for_end(&entry.parent, deadline);
        }
    });
}

/// Gives up the channel below a TLS channel that is closed, at once or when it is time.
pub(crate) fn release(pump: Pump, blocking: bool) {
    let ended = pump.is_below_ended() || pump.session.ending().is_some();
    let parent = pump.into_parent();
    // Only sockets are reset by what they have not read; a pipe's close may have to wait for a process.
    if parent.kind() != "tcp" || parent.set_blocking(false).is_err() {
        return;
    }
    if drained(&parent) || ended {
        restore(&parent, blocking);
        return;
    }
    if let Some(deadline) = EXIT_DEADLINE.get() {
        wait_for_end(&parent, deadline);
        restore(&parent, blocking);
        return;
    }
    let id = NEXT.replace(NEXT.get() + 1);
    parent.on_event(move |_| drain(id));
    if parent.watch(Events::READABLE).is_err() {
        return;
    }
    let limit = Timer::after(LIMIT, move || drop(take(id)));
    let surplus = LINGERING.with(|list| {
        let mut list = list.borrow_mut();
        list.push_back(Lingering { id, parent, _limit: limit });
        if list.len() > MOST { list.pop_front() } else { None }
    });
    drop(surplus);
}

/// Tcl flushes a blocking channel whatever happens, a non-blocking one in the background, and not at all at exit.
fn restore(parent: &Parent, blocking: bool) {
    if blocking {
        let _ = parent.set_blocking(true);
    }
}

/// Drops what comes until the peer ends or the time is over.
fn wait_for_end(parent: &Parent, deadline: Instant) {
    while !drained(parent) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || parent.wait(Events::READABLE, left) != Ok(true) {
            return;
        }
    }
}

/// Looks after the sockets that linger, in programs that never enter the event loop.
pub(crate) fn sweep() {
    let ids: Vec<u64> = LINGERING.with(|list| list.borrow().iter().map(|entry| entry.id).collect());
    for id in ids {
        drain(id);
    }
}

/// Something came, or the peer has ended.
fn drain(id: u64) {
    let done = LINGERING
        .try_with(|list| {
            let list = list.try_borrow().ok()?;
            list.iter().find(|entry| entry.id == id).map(|entry| drained(&entry.parent))
        })
        .ok()
        .flatten();
    if done == Some(true) {
        drop(take(id));
    }
}

/// Reads what is there; true at the end.
fn drained(parent: &Parent) -> bool {
    let mut buffer = [0; CHUNK];
    for _ in 0..ROUNDS {
        match parent.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(ChannelError::System(Errno::WOULD_BLOCK)) => return false,
            Err(_) => return true,
        }
    }
    false
}

/// Out of the list first: closing a channel may run what comes back here.
fn take(id: u64) -> Option<Lingering> {
    LINGERING
        .try_with(|list| {
            let mut list = list.try_borrow_mut().ok()?;
            let index = list.iter().position(|entry| entry.id == id)?;
            list.remove(index)
        })
        .ok()
        .flatten()
}
