//! TLS channels for Tcl: `tls_socket`, `starttls` and their companions, on rustls.
//!
//! A byte from the network comes in through [`tcl_stubs::Parent`], is decrypted by a [`tls_session::Session`] and
//! leaves through the channel driver; `pump.rs` moves it. No unsafe code here: that is the binding's.
#![forbid(unsafe_code)]

mod accept;
mod commands;
mod context;
mod credentials;
mod driver;
mod failure;
mod fault;
mod handles;
mod hint;
mod interest;
mod keylog;
mod linger;
mod listener;
mod negotiate;
mod open;
mod options;
mod package;
mod pump;
mod state;
mod stepper;
mod ticket_files;
mod trace;

/// Wipes what is freed where a library that does not do so itself handles private keys.
#[global_allocator]
static ALLOCATOR: tcl_stubs::WipingAllocator = tcl_stubs::WipingAllocator;

tcl_stubs::extension! {
    Twapi_crypto_Init => package::load,
    Twapi_crypto_SafeInit => package::refuse,
}
