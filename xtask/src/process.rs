//! Running other programs.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fmt::Write as _, thread};

use crate::error::{Error, Result};

/// Runs a program that talks to the user itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().map_err(|source| not_started(command, source))?;
    check(command, status, "")
}

/// Runs a program with `input` and returns what it prints.
pub(crate) fn output(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| not_started(command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading it all has its reasons, and its exit status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|source| not_started(command, source))?;
    check(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program exists and ends successfully; nothing of it is seen.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program, shows all it prints as it comes, and returns it too.
pub(crate) fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| not_started(command, source))?;
    let text = Mutex::new(String::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(|| copy_lines(stdout, &text, &mut io::stdout()));
        scope.spawn(|| copy_lines(stderr, &text, &mut io::stderr()));
    });
    let status = child.wait().map_err(|source| not_started(command, source))?;
    let text = text.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((status, text))
}

/// Runs a program and returns all it prints; it is shown only if the program fails.
pub(crate) fn captured(command: &mut Command) -> Result<(ExitStatus, String)> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| not_started(command, source))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if !output.status.success() {
        println!("{text}");
    }
    Ok((output.status, text))
}

/// Waits for a child, but not for ever: `None` means that the time is over and it still runs.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        let status = child.try_wait().map_err(|source| Error::Io { doing: "wait for a program".to_owned(), source })?;
        if status.is_some() || Instant::now() >= end {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A program together with all that it starts: when this value goes, or xtask dies, every process of it is killed.
pub(crate) struct Group {
    /// The program itself.
    pub(crate) child: Child,
    guard: Option<ChildStdin>,
}

impl Group {
    /// Starts `program` with `arguments` in a process group of its own; `prepare` sets environment and output.
    ///
    /// Its standard input is empty. A shell in the same group reads a pipe that only xtask holds open, and kills the group
    /// at its end: this works however xtask ends, and leaves an interrupt at the terminal its meaning.
    pub(crate) fn spawn<A: AsRef<OsStr>>(
        program: &[String],
        arguments: &[A],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        const GUARDED: &str = "exec 3<&0 </dev/null
            { cat <&3; kill -s KILL 0; } >/dev/null 2>&1 &
            exec 3<&-
            exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", GUARDED, "sh"]).args(program);
        command.args(arguments);
        prepare(&mut command);
        command.stdin(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| not_started(&command, source))?;
        let guard = child.stdin.take();
        Ok(Self { child, guard })
    }

    /// Waits for the program itself; `None` means that it took longer than `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        wait(&mut self.child, limit)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.guard.take());
        let _ = self.child.wait();
    }
}

/// The text without the escape sequences that colour it.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

fn copy_lines(from: Option<impl io::Read>, text: &Mutex<String>, to: &mut impl Write) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(io::Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // Whether our own output can be written does not change what the program did.
        let _ = writeln!(to, "{line}");
        if let Ok(mut text) = text.lock() {
            let _ = writeln!(text, "{line}");
        }
    }
}

fn check(command: &Command, status: ExitStatus, said: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error::Program { command: shown(command), status, said: said.to_owned() })
}

fn not_started(command: &Command, source: io::Error) -> Error {
    Error::Io { doing: format!("run `{}`", shown(command)), source }
}

fn shown(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(shown, " {}", argument.to_string_lossy());
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(plain("\x1b[1;32m3 passed\x1b[0m, x"), "3 passed, x");
        assert_eq!(plain("ends in one \x1b"), "ends in one ");
    }

    #[test]
    fn a_group_ends_with_all_it_started() {
        let shell = ["sh".to_owned(), "-c".to_owned()];
        let mut group = Group::spawn(&shell, &["sleep 600 & echo $!; wait"], |command| {
            command.stdout(Stdio::piped());
        })
        .unwrap();
        let mut output = BufReader::new(group.child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(group.wait(Duration::ZERO).unwrap().is_none());
        drop(group);
        // The sleeping process held the pipe open: its end is the end of that process.
        line.clear();
        assert_eq!(output.read_line(&mut line).unwrap(), 0);
    }
}
