//! What a measurement may fail with.

use std::fmt;
use std::io;
use std::path::Path;

/// The one error type.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line is wrong; the text says how.
    Usage(String),
    /// Something could not be done with a file or a process.
    Io { doing: String, source: io::Error },
    /// A peer did not do what it should.
    Peer { who: String, what: String },
    /// Certificates could not be made.
    Certificates(rcgen::Error),
}

/// The result of everything here.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: an I/O error of doing `what` with `path`.
    pub(crate) fn path(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{what} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    /// What is wrong with a peer.
    pub(crate) fn peer(who: &str, what: impl Into<String>) -> Self {
        Self::Peer { who: who.to_owned(), what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Peer { who, what } => write!(f, "{who}: {what}"),
            Self::Certificates(error) => write!(f, "cannot make certificates: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Certificates(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificates(error)
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
