//! A safe view of Tcl for extensions written in Rust, through the stub table: one shared library serves Tcl 8.6 and 9.
//!
//! Neither Tcl's headers nor its libraries are needed to build. What an extension gets: [`Interp`] and [`Obj`],
//! commands ([`Command`]), channel drivers ([`ChannelDriver`]), the channel below a driver ([`Parent`]), timers
//! ([`Timer`]) and the [`extension!`] macro that makes the library loadable.
//!
//! All unsafe code of an extension lies in this crate. Three rules keep it sound:
//!
//! * Every function that Tcl calls runs its body behind one panic boundary.
//! * What must live as long as Tcl may call back is counted, and the count is given back where Tcl says it is over.
//! * Values and interpreters stay in their thread by type; what moves with a channel between threads is `Send`, and
//!   leads back to the channel only in the thread that owns it.
#![deny(unsafe_op_in_unsafe_fn)]

mod channel;
mod command;
mod error;
mod events;
mod interp;
mod load;
mod obj;
mod os;
mod panics;
mod parent;
mod sys;
mod thread;
mod timer;
mod trampolines;
mod wiping;

pub use channel::{Channel, ChannelDriver, Hold, InputBuffer, OsHandle, WeakChannel};
pub use command::Command;
pub use error::{ChannelError, Errno, Error, OptionError};
pub use events::Events;
pub use interp::{Interp, InterpId, error_options};
pub use load::load_extension;
pub use obj::Obj;
pub use os::has_foreign_rights;
pub use parent::Parent;
pub use thread::at_thread_exit;
pub use timer::{Timer, later};
pub use wiping::{WipingAllocator, wiping};
