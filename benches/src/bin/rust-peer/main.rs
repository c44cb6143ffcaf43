//! The limit that the others are measured against: a client and a server on rustls without Tcl, with blocking sockets and
//! threads.
//!
//! `rust-peer server|client -OPTION VALUE …` does what `peer.tcl` does, and talks in the same way to who measures.
#![forbid(unsafe_code)]

mod client;
mod options;
mod server;
mod stream;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let outcome = Options::parse(words).and_then(|options| match role.as_str() {
        "server" => server::run(&options),
        "client" => client::run(&options),
        _ => Err(io::Error::other("usage: rust-peer server|client -OPTION VALUE …")),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-peer {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A line to who measures.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A line from there; `None`: the end.
fn hear() -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = io::stdin().lock().read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end().to_owned()))
}
