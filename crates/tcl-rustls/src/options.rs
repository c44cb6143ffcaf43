//! The options of `tls_socket` and `starttls`, parsed into typed settings before any channel exists.

use std::time::Duration;

use tcl_stubs::{InterpId, Obj};
use tls_certs::PeerName;

use crate::credentials::CredentialsHandle;
use crate::failure::Failure;
use crate::state::{Role, Settings, Verifier};

/// How long an accepted connection may negotiate, unless the script says otherwise.
const ACCEPT_LIMIT_MS: u64 = 30_000;

const SOCKET_USAGE: &str = "\"tls_socket ?options? host port\" or \"tls_socket -server command ?options? port\"";
const STARTTLS_USAGE: &str = "\"starttls chan ?-server? ?options?\"";

/// What both sides need.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) settings: Settings,
    /// Application protocols, best first.
    pub(crate) alpn: Vec<Vec<u8>>,
    /// How long the handshake may take; none: as long as it likes.
    pub(crate) limit: Option<Duration>,
}

/// `tls_socket HOST PORT`.
pub(crate) struct ClientSocket {
    pub(crate) common: Common,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) peer: PeerName,
    pub(crate) asynchronous: bool,
    /// Options for the command that makes the TCP socket.
    pub(crate) tcp: Vec<String>,
    pub(crate) socket_command: Option<String>,
}

/// `tls_socket -server CALLBACK PORT`.
pub(crate) struct ServerSocket {
    pub(crate) common: Common,
    pub(crate) callback: String,
    pub(crate) port: String,
    pub(crate) credentials: CredentialsHandle,
    pub(crate) request_client_certificate: bool,
    pub(crate) tcp: Vec<String>,
    pub(crate) socket_command: Option<String>,
}

/// Either form of `tls_socket`.
pub(crate) enum Socket {
    Client(ClientSocket),
    Server(ServerSocket),
}

/// `starttls`, without its channel.
pub(crate) struct Wrap {
    pub(crate) common: Common,
    pub(crate) side: WrapSide,
}

/// Which side of the connection `starttls` makes.
pub(crate) enum WrapSide {
    Client { peer: PeerName },
    Server { credentials: CredentialsHandle, request_client_certificate: bool },
}

/// The options as written.
#[derive(Default)]
struct Raw {
    server: Option<String>,
    is_server: bool,
    my_address: Option<String>,
    my_port: Option<i64>,
    asynchronous: bool,
    socket_command: Option<String>,
    peer_subject: Option<String>,
    request_client_certificate: bool,
    credentials: Option<String>,
    verifier: Option<String>,
    alpn: Vec<Vec<u8>>,
    limit_ms: Option<u64>,
}

const SOCKET_OPTIONS: [&str; 11] = [
    "-myaddr",
    "-myport",
    "-async",
    "-server",
    "-socketcmd",
    "-peersubject",
    "-requestclientcert",
    "-credentials",
    "-verifier",
    "-alpn",
    "-handshaketimeout",
];
const STARTTLS_OPTIONS: [&str; 7] =
    ["-server", "-peersubject", "-requestclientcert", "-credentials", "-verifier", "-alpn", "-handshaketimeout"];

/// Parses the words after `tls_socket`.
///
/// # Errors
/// [`Failure::BadArguments`] and its like; nothing was opened.
pub(crate) fn socket(interp: InterpId, words: &[Obj]) -> Result<Socket, Failure> {
    let words: Vec<String> = words.iter().map(Obj::to_text).collect();
    let (raw, positional) = Raw::parse(&words, &SOCKET_OPTIONS, true)?;
    if raw.is_server {
        return raw.server_socket(interp, positional).map(Socket::Server);
    }
    let [host, port] = positional else {
        return Err(Failure::WrongArguments(SOCKET_USAGE.to_owned()));
    };
    let mut tcp = raw.local_address();
    if let Some(port) = raw.my_port {
        tcp.extend(["-myport".to_owned(), port.to_string()]);
    }
    if raw.asynchronous {
        tcp.push("-async".to_owned());
    }
    let peer = PeerName::parse(raw.peer_subject.as_deref().filter(|name| !name.is_empty()).unwrap_or(host))?;
    Ok(Socket::Client(ClientSocket {
        common: raw.common(interp, Role::Client, None)?,
        host: host.clone(),
        port: port.clone(),
        peer,
        asynchronous: raw.asynchronous,
        tcp,
        socket_command: raw.socket_command,
    }))
}

/// Parses the words after `starttls CHAN`.
///
/// # Errors
/// As [`socket`].
pub(crate) fn starttls(interp: InterpId, words: &[Obj]) -> Result<Wrap, Failure> {
    let words: Vec<String> = words.iter().map(Obj::to_text).collect();
    let (raw, positional) = Raw::parse(&words, &STARTTLS_OPTIONS, false)?;
    if !positional.is_empty() {
        return Err(Failure::WrongArguments(STARTTLS_USAGE.to_owned()));
    }
    let role = if raw.is_server { Role::Server } else { Role::Client };
    let common = raw.common(interp, role, None)?;
    let side = if raw.is_server {
        if raw.peer_subject.is_some() {
            return Err(bad("Option -peersubject must not be specified with -server"));
        }
        let credentials = common.settings.credentials.clone();
        let credentials = credentials.ok_or_else(|| bad("Option -credentials must be specified for server sockets"))?;
        WrapSide::Server { credentials, request_client_certificate: raw.request_client_certificate }
    } else {
        let name = raw.peer_subject.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| bad("Option -peersubject must be specified for client connections"))?;
        WrapSide::Client { peer: PeerName::parse(&name)? }
    };
    Ok(Wrap { common, side })
}

impl Raw {
    /// Options come first, each a word that begins with a dash; the rest is positional. In `tls_socket` the option
    /// `-server` has a value, in `starttls` it has none.
    fn parse<'w>(words: &'w [String], known: &[&str], server_has_value: bool) -> Result<(Self, &'w [String]), Failure> {
        let mut raw = Self::default();
        let mut rest = words;
        while let Some((name, after)) = rest.split_first().filter(|(name, _)| name.starts_with('-')) {
            rest = after;
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(bad(format!("Invalid option '{name}'. Must be one of {known}.")));
            }
            match name.as_str() {
                "-async" => raw.asynchronous = true,
                "-requestclientcert" => raw.request_client_certificate = true,
                "-server" if !server_has_value => raw.is_server = true,
                _ => {
                    let Some((value, after)) = rest.split_first() else {
                        return Err(bad(format!("No value supplied for option '{name}'")));
                    };
                    rest = after;
                    raw.set(name, value)?;
                }
            }
        }
        Ok((raw, rest))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let text = Some(value.to_owned());
        match name {
            "-server" => (self.is_server, self.server) = (true, text),
            "-myaddr" => self.my_address = text,
            "-myport" => self.my_port = Some(integer(name, value)?),
            "-socketcmd" => self.socket_command = text,
            "-peersubject" => self.peer_subject = text,
            "-credentials" => self.credentials = text,
            "-verifier" => self.verifier = text,
            "-alpn" => self.alpn = protocols(value)?,
            "-handshaketimeout" => self.limit_ms = Some(milliseconds(name, value)?),
            _ => {}
        }
        Ok(())
    }

    fn server_socket(self, interp: InterpId, positional: &[String]) -> Result<ServerSocket, Failure> {
        let callback = self.server.clone().filter(|callback| !callback.is_empty());
        let callback = callback.ok_or_else(|| bad("Cannot specify an empty value for -server."))?;
        if self.asynchronous {
            return Err(bad("cannot set -async option for server sockets"));
        }
        if self.my_port.is_some() {
            return Err(bad("option -myport is not valid for servers"));
        }
        let [port] = positional else {
            return Err(Failure::WrongArguments(SOCKET_USAGE.to_owned()));
        };
        let common = self.common(interp, Role::Server, Some(ACCEPT_LIMIT_MS))?;
        let credentials = common.settings.credentials.clone();
        let credentials = credentials.ok_or_else(|| bad("Option -credentials must be specified for server sockets"))?;
        Ok(ServerSocket {
            callback,
            port: port.clone(),
            credentials,
            request_client_certificate: self.request_client_certificate,
            tcp: self.local_address(),
            socket_command: self.socket_command,
            common,
        })
    }

    fn local_address(&self) -> Vec<String> {
        self.my_address.as_ref().map(|address| vec!["-myaddr".to_owned(), address.clone()]).unwrap_or_default()
    }

    fn common(&self, interp: InterpId, role: Role, default_limit: Option<u64>) -> Result<Common, Failure> {
        let credentials = self.credentials.as_deref().filter(|handle| !handle.is_empty());
        let credentials = credentials.map(|handle| CredentialsHandle::look_up(handle, role)).transpose()?;
        let verifier = self.verifier.clone().filter(|command| !command.is_empty());
        if let Some(command) = &verifier {
            let is_prefix = Obj::text(command).elements().is_ok_and(|words| !words.is_empty());
            if !is_prefix {
                return Err(bad(format!(
                    "Value '{command}' specified for option '-verifier' is not a command prefix."
                )));
            }
        }
        let verifier = verifier.map(|command| Verifier { interp, command });
        let limit = self.limit_ms.or(default_limit).filter(|&limit| limit > 0).map(Duration::from_millis);
        Ok(Common { settings: Settings { credentials, verifier }, alpn: self.alpn.clone(), limit })
    }
}

/// RFC 7301, section 3.1: each name has 1 to 255 bytes.
pub(crate) fn protocols(value: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let malformed = || bad(format!("Value '{value}' specified for option '-alpn' is not a list of protocol names."));
    let names = Obj::text(value).elements().map_err(|_| malformed())?;
    names
        .iter()
        .map(|name| Some(name.to_text().into_bytes()).filter(|name| (1..=255).contains(&name.len())))
        .collect::<Option<_>>()
        .ok_or_else(malformed)
}

/// A span of time that an option gives.
///
/// # Errors
/// It is no number, or negative.
pub(crate) fn milliseconds(name: &str, value: &str) -> Result<u64, Failure> {
    u64::try_from(integer(name, value)?)
        .map_err(|_| bad(format!("Negative value '{value}' specified for option '{name}'.")))
}

fn integer(name: &str, value: &str) -> Result<i64, Failure> {
    Obj::text(value)
        .to_integer()
        .ok_or_else(|| bad(format!("Non-integer value '{value}' specified for option '{name}'.")))
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::BadArguments(message.into())
}
