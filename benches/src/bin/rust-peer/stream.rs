//! A blocking TLS stream over a TCP socket, on the unbuffered API of rustls: its buffered one reads 4 KB at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};

/// What is read from the socket at once, at most.
const INCOMING: usize = 256 * 1024;
/// Room for a record: nothing is read into less.
const RECORD: usize = 17 * 1024;
/// What TLS adds to 64 KB of plaintext, and more.
const OVERHEAD: usize = 1024;

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// A TLS stream.
pub(crate) struct Stream {
    socket: TcpStream,
    connection: Connection,
    incoming: Vec<u8>,
    /// The ciphertext in `incoming` that is not processed yet.
    unread: std::ops::Range<usize>,
    outgoing: Vec<u8>,
    /// Plaintext that came with what was wanted.
    pending: Vec<u8>,
    open: bool,
    ended: bool,
}

/// What takes plaintext.
type Take<'a> = dyn FnMut(&[u8]) + 'a;

/// How far one look at the incoming bytes got.
enum Step {
    Advanced,
    Waits,
    Open,
    Ended,
}

impl Stream {
    /// Connects and shakes hands.
    pub(crate) fn connect(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
        Self::open(socket, Connection::Client(Box::new(connection)))
    }

    /// Shakes hands with a client.
    pub(crate) fn accept(socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Self::open(socket, Connection::Server(Box::new(connection)))
    }

    fn open(socket: TcpStream, connection: Connection) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let mut stream = Self {
            socket,
            connection,
            incoming: vec![0; RECORD],
            unread: 0..0,
            outgoing: Vec::new(),
            pending: Vec::new(),
            open: false,
            ended: false,
        };
        while !stream.open {
            // A client may end its side in the same breath as it completes the handshake.
            if !stream.advance(None)? && stream.state().is_handshaking() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.open |= stream.ended;
        }
        Ok(stream)
    }

    /// What was negotiated.
    pub(crate) fn state(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }

    /// Whether the session is a resumed one.
    pub(crate) fn is_resumed(&self) -> bool {
        self.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Hands the plaintext that comes next to `take`; false at the end.
    pub(crate) fn read_with(&mut self, take: &mut Take<'_>) -> io::Result<bool> {
        if !self.pending.is_empty() {
            take(&self.pending);
            self.pending.clear();
            return Ok(true);
        }
        self.advance(Some(take))
    }

    /// Exactly `count` bytes; `None` if the stream ends before the first.
    pub(crate) fn read_exactly(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        while self.pending.len() < count {
            if !self.advance(None)? {
                return if self.pending.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        let rest = self.pending.split_off(count);
        Ok(Some(std::mem::replace(&mut self.pending, rest)))
    }

    /// A line without its end; `None` at the end of the stream.
    pub(crate) fn read_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return String::from_utf8(line).map(Some).map_err(io::Error::other);
            }
            if !self.advance(None)? {
                return Ok(None);
            }
        }
    }

    /// Encrypts and sends all of `data`, 64 KB at a time.
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        for part in data.chunks(64 * 1024) {
            self.send(Some(part))?;
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.send(None)?;
        self.socket.shutdown(std::net::Shutdown::Write)
    }

    /// One look at what is here, and one read if that is not enough. Plaintext goes to `take`, or is kept.
    fn advance(&mut self, mut take: Option<&mut Take<'_>>) -> io::Result<bool> {
        let mut delivered = 0;
        loop {
            let pending = &mut self.pending;
            let mut deliver = |bytes: &[u8]| {
                delivered += bytes.len();
                match &mut take {
                    Some(take) => take(bytes),
                    None => pending.extend_from_slice(bytes),
                }
            };
            let window = self.incoming.get_mut(self.unread.clone()).unwrap_or_default();
            let (used, step) = match &mut self.connection {
                Connection::Client(connection) => {
                    step(connection.process_tls_records(window), &mut self.outgoing, &mut self.socket, &mut deliver)
                }
                Connection::Server(connection) => {
                    step(connection.process_tls_records(window), &mut self.outgoing, &mut self.socket, &mut deliver)
                }
            };
            self.unread.start += used;
            match step? {
                Step::Advanced => continue,
                Step::Waits => {}
                Step::Open => {
                    let was_open = std::mem::replace(&mut self.open, true);
                    if !was_open || delivered > 0 {
                        return Ok(true);
                    }
                }
                Step::Ended => self.ended = true,
            }
            if delivered > 0 {
                return Ok(true);
            }
            if self.ended || !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads once from the socket; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        if self.incoming.len() - self.unread.end < RECORD {
            self.incoming.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let space = self.incoming.get_mut(self.unread.end..).unwrap_or_default();
        let room = space.len();
        let count = self.socket.read(space)?;
        self.unread.end += count;
        // Much comes at once: then more is taken at once.
        if count == room && self.incoming.len() < INCOMING {
            self.incoming.resize(INCOMING, 0);
        }
        Ok(count > 0)
    }

    /// Sends `data`, or `close_notify`.
    fn send(&mut self, data: Option<&[u8]>) -> io::Result<()> {
        loop {
            let mut deliver = |bytes: &[u8]| self.pending.extend_from_slice(bytes);
            let window = self.incoming.get_mut(self.unread.clone()).unwrap_or_default();
            let (used, step) = match &mut self.connection {
                Connection::Client(connection) => {
                    let status = connection.process_tls_records(window);
                    emit(status, data, &mut self.outgoing, &mut self.socket, &mut deliver)
                }
                Connection::Server(connection) => {
                    let status = connection.process_tls_records(window);
                    emit(status, data, &mut self.outgoing, &mut self.socket, &mut deliver)
                }
            };
            self.unread.start += used;
            match step? {
                Step::Advanced => {}
                Step::Open => return Ok(()),
                // The peer has ended its side, and rustls then shows no way to write any more.
                Step::Ended | Step::Waits => {
                    self.ended = true;
                    return if data.is_none() { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) };
                }
            }
        }
    }
}

/// One step without data to send.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    socket: &mut TcpStream,
    deliver: &mut Take<'_>,
) -> (usize, io::Result<Step>) {
    act(status, outgoing, socket, deliver, |_, _, _| Ok(Step::Open))
}

/// One step that sends once the connection may.
fn emit<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    data: Option<&[u8]>,
    outgoing: &mut Vec<u8>,
    socket: &mut TcpStream,
    deliver: &mut Take<'_>,
) -> (usize, io::Result<Step>) {
    act(status, outgoing, socket, deliver, |mut traffic, outgoing, socket| {
        let mut room = data.map_or(0, <[u8]>::len) + OVERHEAD;
        let count = loop {
            if outgoing.len() < room {
                outgoing.resize(room, 0);
            }
            let attempt = match data {
                Some(data) => traffic.encrypt(data, outgoing),
                None => traffic.queue_close_notify(outgoing),
            };
            match attempt {
                Ok(count) => break count,
                Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
                Err(error) => return Err(io::Error::other(error)),
            }
        };
        socket.write_all(outgoing.get(..count).unwrap_or_default())?;
        Ok(Step::Open)
    })
}

fn act<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    socket: &mut TcpStream,
    deliver: &mut Take<'_>,
    when_open: impl FnOnce(WriteTraffic<'_, Data>, &mut Vec<u8>, &mut TcpStream) -> io::Result<Step>,
) -> (usize, io::Result<Step>) {
    let mut discard = status.discard;
    let step = status.state.map_err(io::Error::other).and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(io::Error::other)?;
                discard += record.discard;
                deliver(record.payload);
            }
            Ok(Step::Advanced)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let mut room = OVERHEAD;
            let count = loop {
                if outgoing.len() < room {
                    outgoing.resize(room, 0);
                }
                match data.encode(outgoing) {
                    Ok(count) => break count,
                    Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
                    Err(error) => return Err(io::Error::other(error)),
                }
            };
            socket.write_all(outgoing.get(..count).unwrap_or_default())?;
            Ok(Step::Advanced)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Advanced)
        }
        ConnectionState::BlockedHandshake => Ok(Step::Waits),
        ConnectionState::WriteTraffic(traffic) => when_open(traffic, outgoing, socket),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Step::Ended),
        other => Err(io::Error::other(format!("unforeseen state {other:?}"))),
    });
    (discard, step)
}
