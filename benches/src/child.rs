//! A peer's process: lines to and from it, the CPU time and the memory it uses.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The descriptors that a process may have are raised as far as that goes: 5000 connections need them.
const RAISED: &str = "ulimit -n \"$(ulimit -H -n)\"; exec \"$@\"";

/// How long a process may take to end once it is told to.
const END: Duration = Duration::from_secs(20);

/// A process that is killed when this value goes.
pub(crate) struct Child {
    who: String,
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

/// Memory of a process, in KB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// The proportional set size: of what several processes share, its part.
    pub(crate) pss: f64,
    /// The resident set size.
    pub(crate) rss: f64,
}

impl Child {
    /// Starts a program; what it writes to standard error goes to the file `log`.
    pub(crate) fn spawn(who: &str, words: &[String], log: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let errors = File::create(log).map_err(Error::path("write", log))?;
        let mut command = Command::new("sh");
        command.args(["-c", RAISED, "sh"]).args(words);
        prepare(&mut command);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|source| Error::Io { doing: format!("start {who}"), source })?;
        let input = process.stdin.take();
        let (sender, lines) = mpsc::channel();
        if let Some(output) = process.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { who: who.to_owned(), process, input, lines, log: log.to_owned() })
    }

    /// Sends it a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let written = match &mut self.input {
            Some(input) => writeln!(input, "{line}").and_then(|()| input.flush()),
            None => return Ok(()),
        };
        written.map_err(|error| self.fault(format!("cannot be told `{line}`: {error}")))
    }

    /// Waits for a line whose first word is `word`, and returns the rest of it.
    pub(crate) fn expect(&mut self, word: &str, limit: Duration) -> Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => match line.split_once(' ').unwrap_or((&line, "")) {
                (first, rest) if first == word => Ok(rest.to_owned()),
                _ => Err(self.fault(format!("said `{line}` where `{word}` was expected"))),
            },
            Err(RecvTimeoutError::Timeout) => {
                Err(self.fault(format!("did not say `{word}` within {} s", limit.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.fault(format!("ended before it said `{word}`"))),
        }
    }

    /// The CPU time that its threads have used so far, user's and system's, in seconds. Threads that have ended do not
    /// count, so a peer ends none while it is measured.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.process.id()));
        let mut nanoseconds = 0.0;
        for task in fs::read_dir(&tasks).map_err(Error::path("read", &tasks))? {
            let file = task.map_err(Error::path("read", &tasks))?.path().join("schedstat");
            let text = fs::read_to_string(&file).map_err(Error::path("read", &file))?;
            let first = text.split_ascii_whitespace().next().and_then(|word| word.parse::<f64>().ok());
            nanoseconds += first.ok_or_else(|| self.fault(format!("unknown form of {}", file.display())))?;
        }
        Ok(nanoseconds / 1e9)
    }

    /// The memory that it uses now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let file = PathBuf::from(format!("/proc/{}/smaps_rollup", self.process.id()));
        let text = fs::read_to_string(&file).map_err(Error::path("read", &file))?;
        let field = |name| kilobytes(&text, name).ok_or_else(|| self.fault(format!("no {name} in {}", file.display())));
        Ok(Memory { pss: field("Pss:")?, rss: field("Rss:")? })
    }

    /// Ends its input, and waits until it has ended well.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.input.take());
        let end = Instant::now() + END;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.fault(status.to_string())),
                Ok(None) if Instant::now() >= end => return Err(self.fault("does not end".to_owned())),
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(self.fault(error.to_string())),
            }
        }
    }

    /// An error about this peer, with what it wrote last.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Error {
        let mut what = what.into();
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        for line in text.lines().filter(|line| !line.trim().is_empty()).take(8) {
            what.push_str("\n    | ");
            what.push_str(line);
        }
        Error::peer(&self.who, what)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The value of a line like `Pss:      1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_is_read() {
        let text = "5581-7ffc ---p 00000000 00:00 0   [rollup]\nRss:   5512 kB\nPss:    1337 kB\nPss_Anon: 4 kB\n";
        assert_eq!(kilobytes(text, "Pss:"), Some(1337.0));
        assert_eq!(kilobytes(text, "Swap:"), None);
    }

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let log = std::env::temp_dir().join(format!("tls-bench-child-{}", std::process::id()));
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done all; read x; exit 3";
        let words = ["sh", "-c", script].map(str::to_owned);
        let mut child = Child::spawn("sh", &words, &log, |_| ()).unwrap();
        assert_eq!(child.expect("done", Duration::from_secs(60)).unwrap(), "all");
        assert!(child.cpu().unwrap() > 0.001);
        assert!(child.memory().unwrap().rss > 100.0);
        assert!(child.finish().unwrap_err().to_string().contains("exit status: 3"));
        fs::remove_file(log).unwrap();
    }
}
