//! What to watch below and whether to wake up by oneself: a pure function of the channel's situation.

use tcl_stubs::Events;

/// How far the channel is, as far as events are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Connection or handshake are going on.
    Negotiating,
    /// A script is judging the peer: nothing may move.
    Judging,
    /// Data flows.
    Open,
    /// Broken: readable and writable at once, so that whoever waits hears of it.
    Failed,
}

/// All that decides what to watch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) progress: Progress,
    /// What Tcl wants to hear of this channel.
    pub(crate) wanted: Events,
    /// Ciphertext waits to be sent.
    pub(crate) unsent: bool,
    /// A read would give data, end of file or an error without looking below; once open, known only where reads are
    /// wanted. While negotiating: something to go on with is at hand.
    pub(crate) input_ready: bool,
}

/// What follows from a [`Situation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Events to watch on the channel below.
    pub(crate) below: Events,
    /// Events to deliver from the event loop, without any event below.
    pub(crate) wake: Events,
}

impl Situation {
    /// Nothing is on its way in or out: the moment to give memory back.
    pub(crate) fn is_quiet(self) -> bool {
        self.progress == Progress::Open && !self.unsent && !self.input_ready
    }

    /// What to watch, and what to deliver at once.
    pub(crate) fn interest(self) -> Interest {
        let reads = self.wanted.intersects(Events::READABLE);
        let writes = self.wanted.intersects(Events::WRITABLE);
        match self.progress {
            // The handshake is driven by our own handler, whatever the script waits for. Watching for WRITABLE
            // without anything to send would spin.
            Progress::Negotiating => Interest {
                below: Events::READABLE | Events::WRITABLE.when(self.unsent),
                wake: Events::READABLE.when(self.input_ready),
            },
            Progress::Judging => Interest { below: Events::NONE, wake: Events::NONE },
            Progress::Open => Interest {
                below: Events::READABLE.when(reads && !self.input_ready) | Events::WRITABLE.when(writes || self.unsent),
                wake: Events::READABLE.when(reads && self.input_ready),
            },
            Progress::Failed => Interest { below: Events::NONE, wake: self.wanted },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Events = Events::NONE;
    const R: Events = Events::READABLE;
    const W: Events = Events::WRITABLE;
    const RW: Events = Events::BOTH;

    #[test]
    fn the_whole_table() {
        use Progress::{Failed, Judging, Negotiating, Open};
        // progress, wanted, unsent, input ready => below, wake
        let table = [
            (Negotiating, NONE, false, false, R, NONE),
            (Negotiating, NONE, true, false, RW, NONE),
            (Negotiating, RW, false, false, R, NONE),
            (Negotiating, NONE, false, true, R, R),
            (Negotiating, RW, true, true, RW, R),
            (Judging, RW, true, true, NONE, NONE),
            (Judging, NONE, false, false, NONE, NONE),
            (Open, NONE, false, false, NONE, NONE),
            (Open, NONE, false, true, NONE, NONE),
            (Open, NONE, true, false, W, NONE),
            (Open, R, false, false, R, NONE),
            (Open, R, false, true, NONE, R),
            (Open, R, true, false, RW, NONE),
            (Open, R, true, true, W, R),
            (Open, W, false, false, W, NONE),
            (Open, W, true, true, W, NONE),
            (Open, RW, false, false, RW, NONE),
            (Open, RW, false, true, W, R),
            (Failed, NONE, false, false, NONE, NONE),
            (Failed, R, false, true, NONE, R),
            (Failed, RW, true, true, NONE, RW),
        ];
        for (progress, wanted, unsent, input_ready, below, wake) in table {
            let situation = Situation { progress, wanted, unsent, input_ready };
            assert_eq!(situation.interest(), Interest { below, wake }, "{situation:?}");
        }
    }
}
