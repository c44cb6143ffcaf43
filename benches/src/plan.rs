//! The cases: which peers do what, in which sizes.

use crate::job::{Job, Trust, Work};
use crate::peer::{OURS8, OURS9, PLAIN8, PLAIN9, Peer, RUST, TCLTLS};

/// The cases by name, in the order in which they run.
pub(crate) const CASES: [(&str, &str); 8] = [
    ("bulk", "moving much data, up and down, by puts/read and by chan copy, with default buffers and 64 KB"),
    ("connect", "new connections, verified as by default"),
    ("resume", "connections with one short exchange, new and resumed"),
    ("requests", "requests and responses of 1 KB on 1, 10, 100 and 1000 connections"),
    ("idle", "memory of idle connections: 1000, and 5000 in Tcl 9"),
    ("load", "the time that `package require` takes, the size of the library"),
    ("instructions", "instructions of handshakes and of data in tls-session, counted by callgrind"),
    ("session", "criterion's benchmarks of tls-session"),
];

/// The most rounds for what takes long and varies little.
const FEW: usize = 3;

/// Jobs that are compared with each other: they take turns.
pub(crate) struct Group {
    /// The case.
    pub(crate) case: &'static str,
    /// Which form of it.
    pub(crate) variant: String,
    /// What is done in a round.
    pub(crate) jobs: Vec<Job>,
    /// How many rounds at most.
    pub(crate) rounds: usize,
}

/// The bytes that a bulk transfer moves.
pub(crate) fn bulk_bytes(scale: f64) -> u64 {
    u64::from(scaled(256, scale)) << 20
}

/// The groups of a case; none if it consists of something else than jobs.
pub(crate) fn groups(case: &str, scale: f64) -> Vec<Group> {
    match case {
        "bulk" => bulk(scale),
        "connect" => connect(scale),
        "resume" => vec![resume(scale)],
        "requests" => [1, 10, 100, 1000].map(|connections| requests(connections, scale)).into(),
        "idle" => vec![idle(1000), idle(5000)],
        _ => Vec::new(),
    }
}

fn scaled(count: u32, scale: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
    let count = (f64::from(count) * scale).round() as u32;
    count.max(1)
}

fn job(peer: Peer, more: &str, work: Work) -> Job {
    let label = if more.is_empty() { peer.to_string() } else { format!("{peer} {more}") };
    Job { label, peer, work, trust: Trust::Own, certificate: "ecdsa" }
}

/// Tcl 9.0's `puts` of binary data is slow by itself, on any channel, so there it is `chan copy` alone.
fn bulk(scale: f64) -> Vec<Group> {
    let bytes = bulk_bytes(scale);
    let mut groups = Vec::new();
    for buffer in [None, Some(65536)] {
        for up in [false, true] {
            let mut jobs = Vec::new();
            for copy in [true, false] {
                let work = Work::Bulk { up, copy, buffer, bytes };
                let how = if copy { "copy" } else { "puts" };
                // With 4 KB for each turn of Tcl 8.6's event loop these take seconds for what others do in a moment.
                let slow = if copy && buffer.is_none() { bytes / 8 } else { bytes };
                let less = Work::Bulk { up, copy, buffer, bytes: slow };
                jobs.extend([job(PLAIN8, how, less), job(TCLTLS, how, less), job(OURS8, how, work)]);
                if copy {
                    jobs.extend([PLAIN9, OURS9].map(|peer| job(peer, how, work)));
                }
            }
            if buffer.is_some() {
                jobs.push(job(RUST, "", Work::Bulk { up, copy: true, buffer, bytes }));
            }
            let direction = if up { "up" } else { "down" };
            let size = if buffer.is_some() { "64 KB" } else { "default buffers" };
            groups.push(Group { case: "bulk", variant: format!("{direction}, {size}"), jobs, rounds: usize::MAX });
        }
    }
    groups
}

fn connect(scale: f64) -> Vec<Group> {
    let work = |count| Work::Connect { count: scaled(count, scale), exchange: false, resume: false };
    let group = |certificate: &'static str, jobs: Vec<Job>| Group {
        case: "connect",
        variant: certificate.to_owned(),
        jobs: jobs.into_iter().map(|job| Job { certificate, ..job }).collect(),
        rounds: usize::MAX,
    };
    let tcltls = |trust, count| {
        let more = match trust {
            Trust::Own => "own CA only",
            Trust::File => "-cafile",
            Trust::Folder => "-cadir",
            Trust::FileAndEnvironment => "-cafile, SSL_CERT_FILE",
        };
        Job { trust, ..job(TCLTLS, more, work(count)) }
    };
    let ecdsa = vec![
        job(PLAIN8, "", work(3000)),
        job(PLAIN9, "", work(3000)),
        tcltls(Trust::FileAndEnvironment, 30),
        tcltls(Trust::File, 60),
        tcltls(Trust::Folder, 200),
        tcltls(Trust::Own, 250),
        job(OURS8, "", work(800)),
        job(OURS9, "", work(800)),
        job(RUST, "", work(1000)),
    ];
    let rsa = vec![
        tcltls(Trust::File, 50),
        tcltls(Trust::Own, 200),
        job(OURS8, "", work(500)),
        job(OURS9, "", work(500)),
        job(RUST, "", work(600)),
    ];
    vec![group("ecdsa", ecdsa), group("rsa", rsa)]
}

fn resume(scale: f64) -> Group {
    let work = |count, resume| Work::Connect { count: scaled(count, scale), exchange: true, resume };
    let mut jobs = vec![
        job(PLAIN8, "", work(3000, false)),
        job(PLAIN9, "", work(3000, false)),
        // Each of its exchanges waits for the other side's delayed acknowledgement.
        job(TCLTLS, "", work(20, false)),
    ];
    for (peer, count) in [(OURS8, 600), (OURS9, 600), (RUST, 800)] {
        jobs.push(job(peer, "", work(count, false)));
        jobs.push(job(peer, "resumed", work(count, true)));
    }
    Group { case: "resume", variant: "ecdsa".to_owned(), jobs, rounds: usize::MAX }
}

fn requests(connections: u32, scale: f64) -> Group {
    let count = scaled(if connections == 1 { 10_000 } else { 25_000 }, scale).max(connections);
    let work = Work::Requests { connections, count };
    Group {
        case: "requests",
        variant: connections.to_string(),
        jobs: [PLAIN8, PLAIN9, TCLTLS, OURS8, OURS9, RUST].map(|peer| job(peer, "", work)).into(),
        rounds: if connections < 1000 { usize::MAX } else { FEW },
    }
}

/// Tcl 8.6 waits with `select`, which ends at descriptor 1024.
fn idle(count: u32) -> Group {
    let peers: &[Peer] = if count > 1000 { &[PLAIN9, OURS9] } else { &[PLAIN8, PLAIN9, TCLTLS, OURS8, OURS9, RUST] };
    Group {
        case: "idle",
        variant: count.to_string(),
        jobs: peers.iter().map(|peer| job(*peer, "", Work::Idle { count })).collect(),
        rounds: FEW,
    }
}

/// Whether these sessions shall be resumed ones.
pub(crate) fn wants_resumption(job: &Job) -> bool {
    matches!(job.work, Work::Connect { resume: true, .. })
}

/// What finds out whether our sessions are resumed at all.
pub(crate) fn probe(peer: Peer) -> Job {
    job(peer, "", Work::Connect { count: 2, exchange: true, resume: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Kind;

    #[test]
    fn every_group_belongs_to_a_case_and_names_its_jobs_apart() {
        for (case, _) in CASES {
            for group in groups(case, 0.001) {
                assert_eq!(group.case, case);
                let mut labels: Vec<&str> = group.jobs.iter().map(|job| job.label.as_str()).collect();
                let all = labels.len();
                labels.sort_unstable();
                labels.dedup();
                assert_eq!(labels.len(), all, "{case} {}", group.variant);
                assert!(group.jobs.iter().all(|job| job.peer.kind != Kind::TclTls || job.peer == TCLTLS));
            }
        }
    }
}
