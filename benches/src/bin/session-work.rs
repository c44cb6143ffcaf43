//! Work of a known amount for `tls-session`, with nothing around it, to be counted in instructions.
//!
//! `session-work FOLDER WHAT COUNT`: FOLDER holds the certificates that tls-bench makes; WHAT is `handshake-ecdsa`,
//! `handshake-rsa`, `megabytes` or `exchanges` (1 KB there and back); COUNT is how many.
#![forbid(unsafe_code)]

#[path = "../../../crates/tls-session/benches/pair/mod.rs"]
#[allow(unreachable_pub)]
mod pair;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use pair::{Configs, Pair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tls_certs::{Certificate, Identity, PrivateKey};
use tls_session::Protocols;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, what, count] = arguments.as_slice() else {
        eprintln!("usage: session-work FOLDER WHAT COUNT");
        return ExitCode::FAILURE;
    };
    match work(folder.as_ref(), what, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session-work {what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work(folder: &Path, what: &str, count: &str) -> Result<(), Box<dyn Error>> {
    let count: usize = count.parse()?;
    let configs = configs(folder, if what == "handshake-rsa" { "rsa" } else { "ecdsa" })?;
    let mut pair = Pair::open(&configs)?;
    let block = vec![0x5a; 1 << 20];
    let kilobyte = block.get(..1024).unwrap_or_default();
    // The first of each fills what is made once.
    pair.send(&block)?;
    for _ in 0..count {
        match what {
            "handshake-ecdsa" | "handshake-rsa" => pair = Pair::open(&configs)?,
            "megabytes" => all(pair.send(&block)?, block.len())?,
            "exchanges" => {
                all(pair.send(kilobyte)?, 1024)?;
                all(pair.reply(kilobyte)?, 1024)?;
            }
            _ => return Err("no such work".into()),
        }
    }
    Ok(())
}

fn all(arrived: usize, sent: usize) -> Result<(), Box<dyn Error>> {
    if arrived == sent { Ok(()) } else { Err(format!("{arrived} bytes of {sent} arrived").into()) }
}

fn configs(folder: &Path, name: &str) -> Result<Configs, Box<dyn Error>> {
    let file = |suffix: &str| fs::read(folder.join(format!("{name}{suffix}")));
    let certificate = |suffix: &str| -> Result<Certificate, Box<dyn Error>> {
        Ok(Certificate::from_der(&CertificateDer::from_pem_slice(&file(suffix)?)?)?)
    };
    let key = PrivateKeyDer::from_pem_slice(&file(".key")?)?;
    let leaf = certificate(".crt")?.with_private_key(PrivateKey::from_der(key.secret_der())?)?;
    let identity = Identity::new(&leaf, &[])?;
    Ok(Configs::new(identity, &certificate("-ca.pem")?, Protocols::default())?)
}
