//! One TLS session: bytes in, bytes and events out.
//!
//! A [`Session`] knows no socket, no clock of its own and no script. The owner moves ciphertext
//! between it and a transport, asks it to [`process`](Session::process), and reacts to its
//! [`Event`]s:
//!
//! ```text
//!  transport ── receive_space, received ──▶ ┌─────────┐ ── process ──▶ plaintext (PlaintextSink)
//!                                           │ Session │ ── poll_event ──▶ events
//!  transport ◀── transmit, transmitted ──── └─────────┘ ◀── write, close_notify, verdict
//! ```
//!
//! Every buffer is bounded, the first error stays, and while the owner judges the peer's
//! certificate nothing that was made after the certificate became known leaves the session.
#![forbid(unsafe_code)]

mod bounding;
mod buffer;
mod config;
mod continuity;
mod engine;
mod error;
mod gate;
mod info;
mod key_log;
mod phase;
mod plain;
mod pool;
mod resolver;
mod resumption;
mod session;
mod sessions;
mod sink;
mod stapling;
mod strength;
mod ticket_keys;
mod tickets;
mod trace;
mod witness;

pub use config::{
    ClientCertificate, ClientConfig, ClientOptions, Protocols, ServerConfig, ServerOptions, ServerVerification,
};
pub use error::{Alert, Error};
pub use gate::Verdict;
pub use info::SessionInfo;
pub use key_log::KeyLog;
pub use phase::{Ending, Event, Phase, Progress};
pub use plain::Foreign;
pub use resumption::Resumption;
pub use session::{MAX_WRITE, Session};
pub use sink::{PlaintextSink, SliceSink};
pub use strength::CipherStrength;
pub use ticket_keys::{TicketKeyError, TicketKeySource, TicketKeys};
pub use trace::{Direction, Trace};
