//! The one error type of xtask.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

/// What a command of xtask may fail with.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line is wrong; the text says how.
    Usage(String),
    /// Something could not be done with a file or a process.
    Io { doing: String, source: io::Error },
    /// A program ended unsuccessfully.
    Program {
        command: String,
        status: ExitStatus,
        /// What it wrote to standard error, where that was captured.
        said: String,
    },
    /// Something that is needed is not there and could not be installed.
    Missing { what: String, remedy: String },
    /// A program did not say in time what was waited for.
    TimedOut { what: String },
    /// This many tests failed; which, has been printed.
    Tests { failed: usize },
    /// A step of the demo did not do what it says.
    Demo { step: String },
    /// The package was put in place, but this tclsh does not find it or cannot load it.
    NotLoadable { tclsh: String, said: String },
    /// The manual pages are not well-formed; what dtplite says.
    Pages { said: String },
    /// A crate comes without a text of its licence.
    NoLicence { name: String },
}

/// The result of everything here.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: an I/O error of doing `what` with `path`.
    pub(crate) fn path(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{what} {}", path.display());
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Program { command, status, said } => {
                write!(f, "`{command}` failed: {status}")?;
                if said.trim().is_empty() { Ok(()) } else { write!(f, "\n{}", said.trim()) }
            }
            Self::Missing { what, remedy } => write!(f, "{what}\n{remedy}"),
            Self::TimedOut { what } => write!(f, "waited in vain for {what}"),
            Self::Tests { failed: 1 } => f.write_str("1 test failed"),
            Self::Tests { failed } => write!(f, "{failed} tests failed"),
            Self::Demo { step } => write!(f, "the demo failed: {step}"),
            Self::Pages { said } => write!(f, "dtplite complains of the manual pages:\n{}", said.trim()),
            Self::NoLicence { name } => {
                write!(
                    f,
                    "{name} comes without a licence text, and does not offer the Apache licence (xtask/src/licences.rs)"
                )
            }
            Self::NotLoadable { tclsh, said } => {
                write!(f, "{tclsh} cannot load the package that was installed: {said}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
