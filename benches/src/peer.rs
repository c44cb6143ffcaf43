//! Whom we measure, and how they are started.

use std::fmt;
use std::path::PathBuf;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tcl's own sockets, without TLS.
    Plain,
    /// TclTLS, as Debian ships it.
    TclTls,
    /// This project.
    Ours,
    /// rustls without Tcl.
    Rust,
}

/// A kind in a line of Tcl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What moves the bytes.
    pub(crate) kind: Kind,
    /// Which Tcl, if any.
    pub(crate) tcl: Option<Tcl>,
}

/// The lines of Tcl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tcl {
    /// Tcl 8.6.
    V8,
    /// Tcl 9.
    V9,
}

pub(crate) const PLAIN8: Peer = Peer { kind: Kind::Plain, tcl: Some(Tcl::V8) };
pub(crate) const PLAIN9: Peer = Peer { kind: Kind::Plain, tcl: Some(Tcl::V9) };
pub(crate) const TCLTLS: Peer = Peer { kind: Kind::TclTls, tcl: Some(Tcl::V8) };
pub(crate) const OURS8: Peer = Peer { kind: Kind::Ours, tcl: Some(Tcl::V8) };
pub(crate) const OURS9: Peer = Peer { kind: Kind::Ours, tcl: Some(Tcl::V9) };
pub(crate) const RUST: Peer = Peer { kind: Kind::Rust, tcl: None };

/// All of them.
pub(crate) const ALL: [Peer; 6] = [PLAIN8, PLAIN9, TCLTLS, OURS8, OURS9, RUST];

impl Kind {
    /// As `peer.tcl` calls it, and the tables do.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::TclTls => "tcltls",
            Self::Ours => "ours",
            Self::Rust => "rust",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.tcl {
            Some(Tcl::V8) => f.write_str("-8.6"),
            Some(Tcl::V9) => f.write_str("-9"),
            None => Ok(()),
        }
    }
}

/// The programs on this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    /// The words that start tclsh 8.6; none: it is not there.
    pub(crate) tcl8: Vec<String>,
    /// The words that start tclsh 9.
    pub(crate) tcl9: Vec<String>,
    /// The folder for `TCLLIBPATH` that holds our package.
    pub(crate) package: PathBuf,
    /// The folder of the Tcl scripts.
    pub(crate) scripts: PathBuf,
    /// The folder of the programs made of Rust.
    pub(crate) rust: PathBuf,
    /// Whether Tcl 8.6 can load TclTLS.
    pub(crate) tcltls: bool,
}

impl Programs {
    /// The words that start a tclsh.
    pub(crate) fn tclsh(&self, tcl: Tcl) -> &[String] {
        match tcl {
            Tcl::V8 => &self.tcl8,
            Tcl::V9 => &self.tcl9,
        }
    }

    /// Why this peer cannot be measured here, if so.
    pub(crate) fn lacks(&self, peer: Peer) -> Option<&'static str> {
        match peer {
            Peer { tcl: Some(Tcl::V8), .. } if self.tcl8.is_empty() => Some("Tcl 8.6 is not on this machine"),
            Peer { tcl: Some(Tcl::V9), .. } if self.tcl9.is_empty() => Some("Tcl 9 is not on this machine"),
            Peer { kind: Kind::TclTls, .. } if !self.tcltls => {
                Some("TclTLS (Debian's package tcl-tls) is not on this machine")
            }
            _ => None,
        }
    }

    /// The words that start one side of a peer, to be followed by options.
    pub(crate) fn command(&self, peer: Peer, role: &str) -> Vec<String> {
        let Some(tcl) = peer.tcl else {
            return vec![self.rust.join("rust-peer").display().to_string(), role.to_owned()];
        };
        let mut words = self.tclsh(tcl).to_vec();
        let script = self.scripts.join("peer.tcl").display().to_string();
        words.extend([script, peer.kind.name().to_owned(), role.to_owned()]);
        words
    }
}
