//! The client's jobs.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::options::Options;
use crate::server::{Crc, receive, send};
use crate::stream::Stream;
use crate::{hear, say};

struct Client {
    config: Arc<ClientConfig>,
    port: u16,
    one_name: bool,
}

/// Does the job that `-job` names.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let client = Client {
        config: options.client()?,
        port: u16::try_from(options.number("port")?).map_err(io::Error::other)?,
        one_name: options.text("names") == "one",
    };
    match options.text("job") {
        "bulk" => client.bulk(options),
        "connect_only" => {
            client.times(options, |client, name| client.connect(name).and_then(|mut stream| stream.finish()))
        }
        "exchange" => {
            client.times(options, |client, name| client.exchange(name).and_then(|mut stream| stream.finish()))
        }
        "idle" => client.idle(options),
        "requests" => client.requests(options),
        other => Err(io::Error::other(format!("no such job: {other}"))),
    }
}

impl Client {
    fn connect(&self, number: &str) -> io::Result<Stream> {
        let name = if self.one_name { "localhost".to_owned() } else { format!("c{number}.bench.test") };
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        Stream::connect(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?, &self.config, &name)
    }

    fn exchange(&self, number: &str) -> io::Result<Stream> {
        let mut stream = self.connect(number)?;
        stream.write(b"hello\n")?;
        match stream.read_line()?.as_deref() {
            Some("reply hello") => Ok(stream),
            other => Err(io::Error::other(format!("answered: {other:?}"))),
        }
    }

    fn bulk(&self, options: &Options) -> io::Result<()> {
        const CHECK: usize = 1 << 20;
        let (block, bytes) = (options.block()?, options.number("bytes")?);
        let mut stream = self.connect("0")?;
        let mut transfer = |bytes, check| {
            let down = options.text("direction") == "down";
            let job = format!("{} {bytes} {}\n", if down { "down" } else { "up" }, u8::from(check));
            stream.write(job.as_bytes())?;
            if down {
                return receive(&mut stream, bytes, check);
            }
            send(&mut stream, &block, bytes)?;
            let sum = stream.read_line()?.unwrap_or_default();
            sum.parse().map_err(|_| io::Error::other(format!("answered: {sum}")))
        };
        let mut expected = Crc::new();
        (0..CHECK / block.len()).for_each(|_| expected.add(&block));
        let sum = transfer(CHECK, true)?;
        if sum != expected.value() {
            return Err(io::Error::other(format!("the sum of what arrived is wrong: {sum}")));
        }
        if !ready()? {
            return Ok(());
        }
        let start = Instant::now();
        transfer(bytes, false)?;
        let micros = start.elapsed().as_micros();
        let about = about(&stream);
        stream.finish()?;
        done(&format!("micros {micros} bytes {bytes} {about}"))
    }

    fn times(&self, options: &Options, once: impl Fn(&Self, &str) -> io::Result<()>) -> io::Result<()> {
        let count = options.number("count")?;
        for number in 1..=5 {
            once(self, &format!("-{number}"))?;
        }
        if !ready()? {
            return Ok(());
        }
        let start = Instant::now();
        for number in 1..=count {
            once(self, &number.to_string())?;
        }
        let micros = start.elapsed().as_micros();
        let mut stream = self.exchange(&(count + 2).to_string())?;
        let about = about(&stream);
        stream.finish()?;
        drop(stream);
        done(&format!("micros {micros} connections {} {about}", count + 6))
    }

    fn idle(&self, options: &Options) -> io::Result<()> {
        let open = |count, prefix: &str| {
            (1..=count).map(|number| self.exchange(&format!("{prefix}{number}"))).collect::<io::Result<Vec<_>>>()
        };
        let few = open(10, "-")?;
        if !ready()? {
            return Ok(());
        }
        let start = Instant::now();
        let many = open(options.number("count")?, "")?;
        let micros = start.elapsed().as_micros();
        let about = few.first().map(about).unwrap_or_default();
        done(&format!("micros {micros} connections {} {about}", few.len() + many.len()))
    }

    /// A thread for each connection. They stay until the end: of threads that are gone the time is not known any more.
    fn requests(&self, options: &Options) -> io::Result<()> {
        let (connections, count) = (options.number("connections")?.max(1), options.number("count")?);
        let request = options.block()?.get(..1024).unwrap_or_default().to_vec();
        let barrier = Arc::new(Barrier::new(connections + 1));
        let (sender, receiver) = mpsc::channel();
        let mut description = String::new();
        for number in 0..connections {
            let mut stream = self.connect("0")?;
            ask(&mut stream, &request)?;
            description = about(&stream);
            let own = count / connections + usize::from(number < count % connections);
            let (request, barrier, sender) = (request.clone(), Arc::clone(&barrier), sender.clone());
            thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                barrier.wait();
                let times = (0..own).map(|_| ask(&mut stream, &request)).collect::<io::Result<Vec<u128>>>();
                // The receiver is there until all have sent.
                let _ = sender.send(times);
                loop {
                    thread::park();
                }
            })?;
        }
        if !ready()? {
            return Ok(());
        }
        let start = Instant::now();
        barrier.wait();
        let mut times = Vec::with_capacity(count);
        for _ in 0..connections {
            times.extend(receiver.recv().map_err(io::Error::other)??);
        }
        let micros = start.elapsed().as_micros();
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        done(&format!("micros {micros} requests {} p50 {} p99 {} {description}", times.len(), at(50), at(99)))
    }
}

/// One request and its response; how long that took, in microseconds.
fn ask(stream: &mut Stream, request: &[u8]) -> io::Result<u128> {
    let start = Instant::now();
    stream.write(request)?;
    match stream.read_exactly(request.len())? {
        Some(response) if response == request => Ok(start.elapsed().as_micros()),
        _ => Err(io::Error::other("another answer")),
    }
}

fn about(stream: &Stream) -> String {
    let state = stream.state();
    let protocol = match state.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    };
    let cipher = state
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .map_or_else(|| "unknown".to_owned(), |name| name.replace("TLS13_", "TLS_"));
    let group =
        state.negotiated_key_exchange_group().map_or_else(|| "none".to_owned(), |group| format!("{:?}", group.name()));
    format!("resumed {} protocol {protocol} cipher {cipher} group {group}", u8::from(stream.is_resumed()))
}

/// Says that all is prepared; false if it shall not go on.
fn ready() -> io::Result<bool> {
    say("ready")?;
    Ok(hear()?.as_deref() == Some("go"))
}

/// Says what came of it, and stays until it was measured.
fn done(facts: &str) -> io::Result<()> {
    say(&format!("done {facts}"))?;
    hear().map(|_| ())
}
