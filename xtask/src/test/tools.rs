//! What the suites use beside tclsh: peers to talk to, packages of Tcl.

use std::env;
use std::process::Command;

use crate::tcl::{Line, Tclsh};
use crate::{apt, process};

/// A program that a suite may need: how to see that it is there, and the Debian package that has it.
const PROGRAMS: [(&str, &str, &str); 11] = [
    ("openssl", "version", "openssl"),
    ("curl", "--version", "curl"),
    ("gnutls-cli", "--version", "gnutls-bin"),
    ("python3", "--version", "python3"),
    ("node", "--version", "nodejs"),
    ("javac", "--version", "default-jdk-headless"),
    ("chromium", "--version", "chromium"),
    ("certutil", "--build-flags", "libnss3-tools"),
    ("aiosmtpd", "--version", "python3-aiosmtpd"),
    ("man", "--version", "man-db"),
    ("tshark", "--version", "tshark"),
];

/// Installs what is missing; returns a remark for each thing that cannot be had, whose tests then skip themselves.
pub(super) fn ensure(shells: &[Tclsh]) -> Vec<String> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, option, _)| !process::succeeds(Command::new(program).arg(option)))
        .map(|(_, _, package)| *package)
        .collect();
    for tclsh in shells {
        let wanted: &[(&str, &str)] = match tclsh.line {
            Line::V8 => &[("Thread", "tcl-thread"), ("md5", "tcllib")],
            Line::V9 => &[("Thread", "tcl9.0-thread"), ("md5", "tcllib")],
        };
        // Only what is installed from the system's packages gets its packages from there too.
        let own = env::var_os(match tclsh.line {
            Line::V8 => "TCLSH8",
            Line::V9 => "TCLSH9",
        });
        for (package, debian) in wanted {
            let there = tclsh.eval(&format!("package require {package}")).is_ok();
            if !there && own.is_none() {
                missing.push(debian);
            }
        }
    }
    missing.dedup();
    if missing.is_empty() || apt::install(&missing).is_ok() {
        return Vec::new();
    }
    // One that does not exist must not keep the others from being installed.
    missing
        .iter()
        .filter_map(|package| Some((package, apt::install(&[package]).err()?)))
        .map(|(package, error)| format!("Tests that need {package} are skipped, as it is not installed:\n{error}"))
        .collect()
}
