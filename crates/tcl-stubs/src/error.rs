//! Errors as Tcl programs see them: a message, an `errorCode`, perhaps an `errorInfo`.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use crate::sys;

/// An error for a script: what `catch` sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    message: String,
    code: Vec<String>,
    info: Option<String>,
}

impl Error {
    /// An error with `message` and the error code `NONE`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Vec::new(), info: None }
    }

    /// Sets the words of `errorCode`.
    #[must_use]
    pub fn with_code<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.code = words.into_iter().map(Into::into).collect();
        self
    }

    /// Sets `errorInfo`, the stack trace of a script's error.
    #[must_use]
    pub fn with_info(mut self, info: impl Into<String>) -> Self {
        self.info = Some(info.into());
        self
    }

    /// The usual complaint about the number of arguments, as `Tcl_WrongNumArgs` words it.
    pub fn wrong_args(usage: &str) -> Self {
        Self::new(format!("wrong # args: should be \"{usage}\"")).with_code(["TCL", "WRONGARGS"])
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The words of `errorCode`; none means `NONE`.
    pub fn code(&self) -> &[String] {
        &self.code
    }

    /// The stack trace, where the error came from a script.
    pub fn info(&self) -> Option<&str> {
        self.info.as_deref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The largest error number in use on any supported system.
const MAX_ERRNO: i32 = 145;

/// A system error number, in the C library's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Nothing can be done now; an event will tell when.
    pub const WOULD_BLOCK: Self = Self(libc::EAGAIN);
    /// A signal came first; the call may simply be made again.
    pub const INTERRUPTED: Self = Self(libc::EINTR);
    /// The operation does not fit the state of things.
    pub const INVALID: Self = Self(libc::EINVAL);
    /// Nobody reads the other end any more.
    pub const BROKEN_PIPE: Self = Self(libc::EPIPE);
    /// What a channel reports when its message says the rest; `chan copy` of Tcl knows the number alone.
    pub const PROTOCOL: Self = Self(libc::EPROTO);
    /// No descriptor that the notifier could hold is left.
    pub const TOO_MANY_FILES: Self = Self(libc::EMFILE);

    /// The number whose message is `message`, as Tcl words it (`Tcl_ErrnoMsg`).
    pub fn from_message(message: &str) -> Option<Self> {
        (1..=MAX_ERRNO).map(Self).find(|errno| {
            // SAFETY: Tcl has a static message for every number.
            let text = unsafe { CStr::from_ptr(sys::errno_msg(errno.0)) };
            text.to_bytes() == message.as_bytes()
        })
    }

    /// Tcl's words for it.
    pub fn message(self) -> String {
        // SAFETY: as above.
        from_tcl_text(unsafe { CStr::from_ptr(sys::errno_msg(self.0)) }.to_bytes())
    }

    /// True where a connection that stood before has broken.
    pub fn is_connection_lost(self) -> bool {
        [libc::ECONNRESET, libc::ECONNABORTED, libc::EPIPE].contains(&self.0)
    }

    /// True for "try again later" under either of its names.
    pub fn is_would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }
}

/// Why a channel operation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelError {
    /// A system error; Tcl words it (`error reading "sock3": connection reset by peer`).
    System(Errno),
    /// An error with words and an error code of its own.
    Message(Error),
}

impl ChannelError {
    /// Nothing can be done now; an event will tell when.
    pub const WOULD_BLOCK: Self = Self::System(Errno::WOULD_BLOCK);
}

impl From<Errno> for ChannelError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl From<Error> for ChannelError {
    fn from(error: Error) -> Self {
        Self::Message(error)
    }
}

/// Why a channel option could not be read or set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionError {
    /// There is no option of that name; these are the names (without their dash).
    Unknown(Vec<String>),
    /// The option exists, the request failed.
    Failed(Error),
}

impl From<Error> for OptionError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Tcl's internal text is UTF-8 but for NUL, which is two bytes, and lone surrogates.
pub(crate) fn from_tcl_text(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        text.to_owned()
    } else {
        let mut plain = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((&first, tail)) = rest.split_first() {
            if first == 0xC0 && tail.first() == Some(&0x80) {
                plain.push(0);
                rest = &tail[1..];
            } else {
                plain.push(first);
                rest = tail;
            }
        }
        String::from_utf8_lossy(&plain).into_owned()
    }
}

/// The reverse of [`from_tcl_text`].
pub(crate) fn to_tcl_text(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('\0') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len() + 8);
    for &byte in text.as_bytes() {
        match byte {
            0 => bytes.extend_from_slice(&[0xC0, 0x80]),
            other => bytes.push(other),
        }
    }
    Cow::Owned(bytes)
}

/// The same as a C string.
pub(crate) fn to_c_string(text: &str) -> CString {
    // Every NUL was replaced, so this cannot fail; an empty string is a safe answer if it did.
    CString::new(to_tcl_text(text).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_way_to_tcl_and_back() {
        for text in ["", "abc", "a\0b", "\u{e9}\u{20ac}\u{1f600}", "\0\0"] {
            assert_eq!(from_tcl_text(&to_tcl_text(text)), text);
            assert!(!to_tcl_text(text).contains(&0));
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        assert_eq!(from_tcl_text(b"a\xC0\x80b\xED\xA0\x80"), "a\0b\u{fffd}\u{fffd}\u{fffd}");
    }
}
