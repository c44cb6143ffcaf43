//! One run: a server and a client in processes of their own, and what they did.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::error::Result;
use crate::peer::{Kind, Peer, Programs};
use crate::results::Values;
use crate::setup::Setup;

/// How long anything may take: far more than it does.
const LIMIT: Duration = Duration::from_secs(180);
/// How long a server may take to notice what the client did.
const SETTLE: Duration = Duration::from_secs(20);
/// What a transfer checks before it is timed, in bytes.
const CHECKED: u64 = 1_048_576;
/// Connections that are made before and after those that are timed.
const AROUND: u64 = 6;
/// Idle connections that are there before the others.
const FEW: u64 = 10;

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What it is called in the results.
    pub(crate) label: String,
    /// Who does it.
    pub(crate) peer: Peer,
    /// What is done.
    pub(crate) work: Work,
    /// Whom TclTLS trusts. All others trust the system's roots and our authorities.
    pub(crate) trust: Trust,
    /// The server's certificate, `ecdsa` or `rsa`.
    pub(crate) certificate: &'static str,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Moves bytes.
    Bulk { up: bool, copy: bool, buffer: Option<u32>, bytes: u64 },
    /// Makes connections one after the other: handshake and close, or with one short exchange between.
    Connect { count: u32, exchange: bool, resume: bool },
    /// Sends requests of 1 KB and waits for the responses.
    Requests { connections: u32, count: u32 },
    /// Opens connections and leaves them alone.
    Idle { count: u32 },
}

/// How TclTLS is told whom to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// `-cafile` with our authorities alone.
    Own,
    /// `-cafile` with the system's roots too.
    File,
    /// `-cadir` with the same, as its manual's example does.
    Folder,
    /// `-cafile` as before, where `SSL_CERT_FILE` names that file as well.
    FileAndEnvironment,
}

/// What a run told beside its values: protocol, cipher suite and group.
pub(crate) type About = String;

/// Does the job once. `resumes`: whether our sessions are resumed, which the peer made of Rust then does as well.
pub(crate) fn run(job: &Job, programs: &Programs, setup: &Setup, resumes: bool) -> Result<(Values, About)> {
    let start = |role: &str, more: &[(&str, String)]| {
        let mut words = programs.command(job.peer, role);
        for (name, value) in job.options(setup, resumes).iter().chain(more) {
            words.extend([format!("-{name}"), value.clone()]);
        }
        let scratch = setup.file(&format!("{role}.data")).display().to_string();
        words.extend(["-scratch".to_owned(), scratch]);
        let log = setup.file(&format!("{role}.log"));
        Child::spawn(&format!("{role} {}", job.peer), &words, &log, |command| job.environment(command, programs, setup))
    };
    let mut server = start("server", &[])?;
    let port = server.expect("port", LIMIT)?;
    let mut client = start("client", &[("port", port), ("from", next_address())])?;
    client.expect("ready", LIMIT)?;

    let (cpu, memory) = ([server.cpu()?, client.cpu()?], [server.memory()?, client.memory()?]);
    client.say("go")?;
    let told = client.expect("done", LIMIT)?;
    let cpu = [server.cpu()? - cpu[0], client.cpu()? - cpu[1]];
    let after = [server.memory()?, client.memory()?];
    let grown = [after[0].pss - memory[0].pss, after[1].pss - memory[1].pss];

    let facts = facts(&told);
    let number = |name: &str| facts.get(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or_default();
    let whole = |name: &str| count(&facts, name);
    let broken = settle(&mut server, |seen| job.is_complete(&whole, seen))?;
    client.finish()?;
    server.finish()?;

    let seconds = number("micros") / 1e6;
    let mut values = Values::from([
        ("seconds".to_owned(), seconds),
        ("server_rss_mb".to_owned(), after[0].rss / 1024.0),
        ("client_rss_mb".to_owned(), after[1].rss / 1024.0),
        #[allow(clippy::cast_precision_loss)] // as many as connections, at most
        ("broken".to_owned(), broken as f64),
        ("resumed".to_owned(), number("resumed")),
    ]);
    let mut put = |name: &str, value: f64| values.insert(name.to_owned(), value);
    let mut put_cpu = |unit: &str, each: f64| {
        put(&format!("cpu_{unit}"), (cpu[0] + cpu[1]) * each);
        put(&format!("server_cpu_{unit}"), cpu[0] * each);
        put(&format!("client_cpu_{unit}"), cpu[1] * each);
    };
    match job.work {
        Work::Bulk { .. } => {
            let bytes = number("bytes");
            put_cpu("s_per_gb", 1e9 / bytes);
            put("mb_per_s", bytes / 1e6 / seconds);
        }
        // One more than were timed lies within the measured CPU time: the one that was asked about.
        Work::Connect { count, .. } => {
            put_cpu("ms", 1e3 / f64::from(count + 1));
            put("per_s", f64::from(count) / seconds);
        }
        Work::Requests { .. } => {
            let count = number("requests");
            put_cpu("us", 1e6 / count);
            put("per_s", count / seconds);
            put("p50_us", number("p50"));
            put("p99_us", number("p99"));
        }
        Work::Idle { count } => {
            put_cpu("ms", 1e3 / f64::from(count));
            put("per_s", f64::from(count) / seconds);
            put("server_kb", grown[0] / f64::from(count));
            put("client_kb", grown[1] / f64::from(count));
        }
    }
    let about = ["protocol", "cipher", "group"].iter().filter_map(|name| facts.get(*name).cloned());
    Ok((values, about.collect::<Vec<_>>().join(", ")))
}

/// Waits until the server has seen all that the client did; returns how many connections it calls broken.
fn settle(server: &mut Child, is_complete: impl Fn(&dyn Fn(&str) -> u64) -> bool) -> Result<u64> {
    let end = Instant::now() + SETTLE;
    loop {
        server.say("report")?;
        let closed = server.expect("closed", LIMIT)?;
        let line = format!("closed {closed}");
        let facts = facts(&line);
        let seen = |name: &str| count(&facts, name);
        if is_complete(&seen) {
            return Ok(seen("broken"));
        }
        if Instant::now() > end {
            return Err(server.fault(format!("did not do its part: {line}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A loopback address for each client: see `peer.tcl`.
fn next_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}.{}", 1 + number / 62_500 % 250, number / 250 % 250, 1 + number % 250)
}

fn count(facts: &BTreeMap<String, String>, name: &str) -> u64 {
    facts.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// From `NAME VALUE NAME VALUE …`.
fn facts(line: &str) -> BTreeMap<String, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    words.chunks_exact(2).filter_map(|pair| Some((pair.first()?.to_string(), pair.last()?.to_string()))).collect()
}

impl Job {
    /// Whether both sides' counts say that all was done.
    fn is_complete(&self, client: &dyn Fn(&str) -> u64, server: &dyn Fn(&str) -> u64) -> bool {
        match self.work {
            Work::Bulk { bytes, .. } => client("bytes") == bytes && server("moved") == bytes + CHECKED,
            Work::Connect { count, exchange, .. } => {
                let connections = u64::from(count) + AROUND;
                let answered = if exchange { connections } else { 1 };
                client("connections") == connections
                    && server("closed") == connections
                    && server("answered") == answered
            }
            Work::Requests { connections, count } => {
                client("requests") == u64::from(count) && server("answered") == u64::from(count + connections)
            }
            Work::Idle { count } => {
                let connections = u64::from(count) + FEW;
                client("connections") == connections && server("answered") == connections
            }
        }
    }

    fn options(&self, setup: &Setup, resumes: bool) -> Vec<(&'static str, String)> {
        let path = |name: &str| setup.file(name).display().to_string();
        let flag = |set: bool| u8::from(set).to_string();
        let mut options = vec![
            ("cert", path(&format!("{}.crt", self.certificate))),
            ("key", path(&format!("{}.key", self.certificate))),
            ("payload", setup.payload.display().to_string()),
        ];
        if self.peer.kind == Kind::TclTls {
            options.push(match self.trust {
                Trust::Own => ("cafile", path("authorities.pem")),
                Trust::File | Trust::FileAndEnvironment => ("cafile", path("bundle.pem")),
                Trust::Folder => ("cadir", path("roots")),
            });
        }
        if self.peer.kind == Kind::Rust {
            options.push(("resume", flag(resumes)));
        }
        match self.work {
            Work::Bulk { up, copy, buffer, bytes } => options.extend([
                ("mode", "bulk".to_owned()),
                ("job", "bulk".to_owned()),
                ("direction", if up { "up" } else { "down" }.to_owned()),
                ("copy", flag(copy)),
                ("buffer", buffer.map_or("default".to_owned(), |size| size.to_string())),
                ("bytes", bytes.to_string()),
            ]),
            Work::Connect { count, exchange, resume } => options.extend([
                ("mode", "lines".to_owned()),
                ("job", if exchange { "exchange" } else { "connect_only" }.to_owned()),
                ("count", count.to_string()),
                ("names", if resume { "one" } else { "many" }.to_owned()),
            ]),
            Work::Requests { connections, count } => options.extend([
                ("mode", "echo".to_owned()),
                ("job", "requests".to_owned()),
                ("connections", connections.to_string()),
                ("threads", connections.to_string()),
                ("count", count.to_string()),
            ]),
            Work::Idle { count } => options.extend([
                ("mode", if self.peer.kind == Kind::Rust { "hold" } else { "lines" }.to_owned()),
                ("job", "idle".to_owned()),
                ("count", count.to_string()),
            ]),
        }
        options
    }

    fn environment(&self, command: &mut Command, programs: &Programs, setup: &Setup) {
        // What the machine exports must not decide what TclTLS reads for each of its connections.
        let file = match (self.peer.kind, self.trust) {
            (Kind::TclTls, Trust::FileAndEnvironment) | (Kind::Ours | Kind::Rust, _) => "bundle.pem",
            _ => "nobody.pem",
        };
        command
            .env("TCLLIBPATH", format!("{{{}}}", programs.package.display()))
            .env("SSL_CERT_FILE", setup.file(file))
            .env_remove("SSL_CERT_DIR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_pairs_of_words() {
        let facts = facts("micros 12 cipher TLS_AES_256_GCM_SHA384");
        assert_eq!(facts.get("micros").map(String::as_str), Some("12"));
        assert_eq!(facts.get("cipher").map(String::as_str), Some("TLS_AES_256_GCM_SHA384"));
        assert_eq!(facts.len(), 2);
    }
}
