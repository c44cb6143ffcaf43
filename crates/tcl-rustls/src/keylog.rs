//! `SSLKEYLOGFILE`: the file to which the secrets of connections are appended, for Wireshark and its like.
//!
//! The variable is looked at whenever a connection begins, so a script may set it, and unset it again. In a process
//! that runs with more rights than its user has (setuid, setgid, capabilities of the file) it is ignored: the
//! environment is the user's, the secrets are not.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use tls_session::{ClientConfig, KeyLog, ServerConfig};

const VARIABLE: &str = "SSLKEYLOGFILE";

/// The configuration of a client's next connection.
pub(crate) fn client(config: ClientConfig) -> ClientConfig {
    match file() {
        Some(file) => config.with_key_log(file),
        None => config,
    }
}

/// The configuration of a server's next connection.
pub(crate) fn server(config: ServerConfig) -> ServerConfig {
    match file() {
        Some(file) => config.with_key_log(file),
        None => config,
    }
}

fn file() -> Option<Arc<dyn KeyLog>> {
    let path = wanted(std::env::var_os(VARIABLE), tcl_stubs::has_foreign_rights)?;
    Some(Arc::new(KeyLogFile { path }))
}

fn wanted(value: Option<OsString>, has_foreign_rights: impl FnOnce() -> bool) -> Option<PathBuf> {
    value.filter(|path| !path.is_empty() && !has_foreign_rights()).map(PathBuf::from)
}

/// A file that is opened for each line: they are few, connections are many and may be of several processes, and the
/// file may be moved away at any time.
#[derive(Debug)]
struct KeyLogFile {
    path: PathBuf,
}

impl KeyLog for KeyLogFile {
    fn keep(&self, line: &str) -> Result<(), String> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        private(&mut options);
        // In one piece, as other processes append too.
        let written = options.open(&self.path).and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| format!("cannot write to \"{}\": {error}", self.path.display()))
    }
}

/// A file that is made is for its owner only.
#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

/// Elsewhere a new file has the rights that its folder hands down.
#[cfg(not(unix))]
fn private(_options: &mut OpenOptions) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_and_foreign_rights_count_as_unset() {
        let path = || Some(OsString::from("keys"));
        assert_eq!(wanted(path(), || false), Some(PathBuf::from("keys")));
        assert_eq!(wanted(path(), || true), None);
        assert_eq!(wanted(Some(OsString::new()), || false), None);
        assert_eq!(wanted(None, || false), None);
    }
}
