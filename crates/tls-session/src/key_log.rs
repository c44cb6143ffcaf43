//! Where the secrets of a session go, for those who want to decrypt a recording of it.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::witness;

/// Takes the secrets of sessions, one line each in the format of NSS, which Wireshark and others read. Who has them
/// can read all that the session carries.
pub trait KeyLog: fmt::Debug + Send + Sync {
    /// Keeps a line, its newline included: label, the client's random number and a secret, the last two in
    /// hexadecimal digits.
    ///
    /// # Errors
    /// Why it could not be kept. The session goes on, and tells by
    /// [`Trace::KeyLogFailed`](crate::Trace::KeyLogFailed).
    fn keep(&self, line: &str) -> Result<(), String>;
}

/// A [`KeyLog`] as rustls calls it.
#[derive(Debug)]
pub(crate) struct Keeper(pub(crate) Arc<dyn KeyLog>);

impl rustls::KeyLog for Keeper {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if let Err(why) = self.0.keep(&line(label, client_random, secret)) {
            witness::note(|notes| notes.key_log_failure = Some(why));
        }
    }
}

fn line(label: &str, client_random: &[u8], secret: &[u8]) -> String {
    let mut line = String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 3);
    line.push_str(label);
    for bytes in [client_random, secret] {
        line.push(' ');
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(line, "{byte:02x}");
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_three_words() {
        assert_eq!(line("CLIENT_RANDOM", &[0, 0xab], &[0x0f]), "CLIENT_RANDOM 00ab 0f\n");
    }
}
