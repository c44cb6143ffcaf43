//! The few things that are asked of the operating system about a channel's handle.

use std::time::Duration;

use crate::channel::OsHandle;
use crate::error::Errno;
use crate::events::Events;

pub use imp::has_foreign_rights;
pub(crate) use imp::{fits_select, next_fits_select, set_nodelay, wait};

#[cfg(unix)]
mod imp {
    use std::mem::ManuallyDrop;
    use std::net::TcpStream;
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};
    use std::time::Instant;

    use super::{Duration, Errno, Events, OsHandle};

    fn descriptor(handle: OsHandle) -> Option<RawFd> {
        RawFd::try_from(handle.0.addr()).ok()
    }

    /// True if this process has been given rights that its user does not have, by the setuid or setgid bit of its
    /// file or, on Linux, by the file's capabilities: then its environment must not be trusted.
    pub fn has_foreign_rights() -> bool {
        // SAFETY: none of these functions has a condition, and none fails.
        let differ = unsafe { libc::geteuid() != libc::getuid() || libc::getegid() != libc::getgid() };
        differ || was_started_with_more_rights()
    }

    #[cfg(target_os = "linux")]
    fn was_started_with_more_rights() -> bool {
        // SAFETY: reads what the kernel has left for the process.
        unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn was_started_with_more_rights() -> bool {
        false
    }

    /// True if `select` can watch the descriptor.
    pub(crate) fn fits_select(handle: OsHandle) -> bool {
        descriptor(handle).is_some_and(|fd| usize::try_from(fd).is_ok_and(|fd| fd < libc::FD_SETSIZE))
    }

    /// True if `select` could watch the descriptor that is opened next; also where none can be opened.
    pub(crate) fn next_fits_select() -> bool {
        let Ok(probe) = std::fs::File::open("/dev/null") else { return true };
        usize::try_from(probe.as_raw_fd()).is_ok_and(|fd| fd < libc::FD_SETSIZE)
    }

    /// Sets `TCP_NODELAY`; no effect on what is no TCP socket.
    pub(crate) fn set_nodelay(handle: OsHandle) {
        if let Some(fd) = descriptor(handle) {
            // SAFETY: the descriptor is open while the channel is; ManuallyDrop leaves it to the channel. On a
            // descriptor of another kind the one call made is refused by the system.
            let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) });
            let _ = stream.set_nodelay(true);
        }
    }

    /// Waits for readiness.
    pub(crate) fn wait(handle: OsHandle, events: Events, limit: Duration) -> Result<bool, Errno> {
        let fd = descriptor(handle).ok_or(Errno::INVALID)?;
        let deadline = Instant::now() + limit;
        let readable = if events.intersects(Events::READABLE) { libc::POLLIN } else { 0 };
        let writable = if events.intersects(Events::WRITABLE) { libc::POLLOUT } else { 0 };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let milliseconds = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
            let mut poll = libc::pollfd { fd, events: readable | writable, revents: 0 };
            // SAFETY: one structure is passed, and the count says so.
            match unsafe { libc::poll(&raw mut poll, 1, milliseconds) } {
                0 => return Ok(false),
                count if count > 0 => return Ok(true),
                _ => match std::io::Error::last_os_error().raw_os_error() {
                    Some(libc::EINTR) => {}
                    other => return Err(Errno(other.unwrap_or(libc::EIO))),
                },
            }
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::mem::ManuallyDrop;
    use std::net::TcpStream;
    use std::os::windows::io::{FromRawSocket, RawSocket};

    use super::{Duration, Errno, Events, OsHandle};

    /// Windows has no such files.
    pub fn has_foreign_rights() -> bool {
        false
    }

    /// Tcl on Windows waits for messages, which know no limit.
    pub(crate) fn fits_select(_handle: OsHandle) -> bool {
        true
    }

    /// As above.
    pub(crate) fn next_fits_select() -> bool {
        true
    }

    /// Sets `TCP_NODELAY`; no effect on what is no TCP socket.
    pub(crate) fn set_nodelay(handle: OsHandle) {
        // SAFETY: as on Unix; a handle that is no socket is refused by Winsock.
        let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_socket(handle.0.addr() as RawSocket) });
        let _ = stream.set_nodelay(true);
    }

    /// Not available: a handle may be of a kind that cannot be waited for.
    pub(crate) fn wait(_handle: OsHandle, _events: Events, _limit: Duration) -> Result<bool, Errno> {
        Err(Errno::INVALID)
    }
}
