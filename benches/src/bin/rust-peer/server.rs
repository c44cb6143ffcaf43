//! The server: threads that accept and serve, one connection at a time each.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::ServerConfig;

use crate::options::Options;
use crate::stream::Stream;
use crate::{hear, say};

#[derive(Default)]
struct Done {
    closed: AtomicUsize,
    answered: AtomicUsize,
    moved: AtomicUsize,
    broken: AtomicUsize,
}

struct Server {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    mode: String,
    block: Vec<u8>,
    done: Done,
}

/// Serves until standard input ends.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let server = Arc::new(Server {
        listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
        config: options.server()?,
        mode: options.text("mode").to_owned(),
        block: options.block()?,
        done: Done::default(),
    });
    let port = server.listener.local_addr()?.port();
    for _ in 0..options.number("threads")?.max(2) {
        let server = Arc::clone(&server);
        thread::Builder::new().stack_size(256 * 1024).spawn(move || server.work())?;
    }
    say(&format!("port {port}"))?;
    while let Some(line) = hear()? {
        if line == "report" {
            let Done { closed, answered, moved, broken } = &server.done;
            let [closed, answered, moved, broken] =
                [closed, answered, moved, broken].map(|count| count.load(Ordering::SeqCst));
            say(&format!("closed {closed} answered {answered} moved {moved} broken {broken}"))?;
        }
    }
    Ok(())
}

impl Server {
    fn work(&self) {
        let mut held = Vec::new();
        loop {
            let outcome = self.listener.accept().and_then(|(socket, _)| {
                let stream = Stream::accept(socket, &self.config)?;
                match self.mode.as_str() {
                    "bulk" => self.bulk(stream),
                    "lines" => self.lines(stream),
                    "echo" => self.echo(stream),
                    "hold" => self.answer(stream).map(|stream| held.extend(stream)),
                    other => Err(io::Error::other(format!("no such mode: {other}"))),
                }
            });
            match outcome {
                Ok(()) => self.done.closed.fetch_add(1, Ordering::SeqCst),
                Err(error) => {
                    // A client that goes away with data unread resets the connection: that is its end too.
                    if error.kind() == io::ErrorKind::ConnectionReset {
                        self.done.closed.fetch_add(1, Ordering::SeqCst);
                    } else {
                        eprintln!("rust-peer: {error}");
                    }
                    self.done.broken.fetch_add(1, Ordering::SeqCst)
                }
            };
        }
    }

    fn bulk(&self, mut stream: Stream) -> io::Result<()> {
        while let Some(line) = stream.read_line()? {
            let mut words = line.split(' ');
            let direction = words.next().unwrap_or_default();
            let bytes = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            if direction == "down" {
                send(&mut stream, &self.block, bytes)?;
            } else {
                let sum = receive(&mut stream, bytes, words.next() == Some("1"))?;
                stream.write(format!("{sum}\n").as_bytes())?;
            }
            self.done.moved.fetch_add(bytes, Ordering::SeqCst);
        }
        Ok(())
    }

    fn lines(&self, stream: Stream) -> io::Result<()> {
        let mut next = Some(stream);
        while let Some(stream) = next {
            next = self.answer(stream)?;
        }
        Ok(())
    }

    /// One line; `None` at the end.
    fn answer(&self, mut stream: Stream) -> io::Result<Option<Stream>> {
        let Some(line) = stream.read_line()? else { return Ok(None) };
        stream.write(format!("reply {line}\n").as_bytes())?;
        self.done.answered.fetch_add(1, Ordering::SeqCst);
        Ok(Some(stream))
    }

    fn echo(&self, mut stream: Stream) -> io::Result<()> {
        while let Some(data) = stream.read_exactly(1024)? {
            stream.write(&data)?;
            self.done.answered.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Sends that many bytes.
pub(crate) fn send(stream: &mut Stream, block: &[u8], mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        let part = block.get(..bytes).unwrap_or(block);
        stream.write(part)?;
        bytes -= part.len();
    }
    Ok(())
}

/// Receives that many bytes; the CRC-32 of them if they are to be checked, else 0.
pub(crate) fn receive(stream: &mut Stream, bytes: usize, check: bool) -> io::Result<u32> {
    let (mut left, mut sum) = (bytes, Crc::new());
    while left > 0 {
        let mut count = 0;
        let more = stream.read_with(&mut |data| {
            count += data.len();
            if check {
                sum.add(data);
            }
        })?;
        if !more || count > left {
            return Err(io::Error::other(format!("{left} bytes were to come, and {count} came")));
        }
        left -= count;
    }
    Ok(if check { sum.value() } else { 0 })
}

/// The CRC-32 of zlib (RFC 1952, section 8), for what is checked beside the measurement.
pub(crate) struct Crc(u32);

impl Crc {
    /// Of nothing.
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    /// Goes on with `data`.
    pub(crate) fn add(&mut self, data: &[u8]) {
        for byte in data {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                self.0 = (self.0 >> 1) ^ (0xedb8_8320 & (self.0 & 1).wrapping_neg());
            }
        }
    }

    /// Of all that was added.
    pub(crate) fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32() {
        let mut crc = Crc::new();
        crc.add(b"1234");
        crc.add(b"56789");
        assert_eq!(crc.value(), 0xcbf4_3926);
    }
}
