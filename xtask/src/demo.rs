//! `demo`: HTTPS served by one tclsh and fetched by another, with throwaway certificates.

use std::io::{BufRead, BufReader, IsTerminal, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::package;
use crate::process::{self, Group};
use crate::tcl::{Tclsh, Wanted, library_path};
use crate::workspace::{Workspace, empty_folder};

/// How long a server may take to listen, a client to do all it does.
const STARTUP: Duration = Duration::from_secs(60);
const FETCH: Duration = Duration::from_secs(300);

/// Runs the demo in each Tcl that is wanted.
pub(crate) fn run(workspace: &Workspace, wanted: Wanted) -> Result<()> {
    let mut shells = Vec::new();
    let mut missing = Vec::new();
    for line in wanted.lines() {
        match Tclsh::ensure(line, workspace) {
            Ok(tclsh) => shells.push(tclsh),
            Err(error) => missing.push((line, error)),
        }
    }
    if shells.is_empty()
        && let Some((_, error)) = missing.pop()
    {
        return Err(error);
    }
    // In one build: what both need is compiled once.
    package::build_with(workspace, &["--package", "xtask", "--features", "xtask/certificates"])?;
    let folder = certificates(workspace)?;
    for tclsh in &shells {
        println!();
        show(workspace, tclsh, &folder)?;
    }
    println!();
    if let Some((line, error)) = missing.pop() {
        println!("{error}\n");
        return Err(Error::Demo { step: format!("no {line} to show it in (one Tcl is enough: make demo TCL=8.6)") });
    }
    println!("All steps did what they say.");
    println!("The scripts are examples/demo-server.tcl and examples/demo-client.tcl.");
    Ok(())
}

/// Makes the certificates anew; returns their folder.
fn certificates(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let folder = workspace.target("demo");
    empty_folder(&folder)?;
    let maker = workspace.cargo_target().join("release/demo-certificates");
    process::run(Command::new(maker).arg(&folder))?;
    Ok(folder)
}

fn show(workspace: &Workspace, tclsh: &Tclsh, folder: &Path) -> Result<()> {
    let authority = folder.join("ca.pem");
    let (server, port) = start_server(workspace, tclsh, folder)?;
    let url = format!("https://localhost:{port}/");
    let client = |what: &str, prepare: &dyn Fn(&mut Command)| {
        let mut command = script(workspace, tclsh, "examples/demo-client.tcl");
        command.arg(what).arg(&url).arg(terminal());
        prepare(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Error::Io { doing: format!("run {tclsh}"), source })?;
        let status = process::wait(&mut child, FETCH)?;
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Error::Demo { step: format!("client in {tclsh}, {what}: {status}") }),
            None => Err(Error::TimedOut { what: format!("the client in {tclsh}, {what}") }),
        }
    };
    client("fetch", &|command| {
        command.env("SSL_CERT_FILE", &authority);
        command.env_remove("SSL_CERT_DIR");
    })?;
    // With the roots that the machine itself trusts, where this authority is not.
    client("refuse", &|_| ())?;
    drop(server);
    Ok(())
}

/// Starts the server; returns it with the port that it prints.
fn start_server(workspace: &Workspace, tclsh: &Tclsh, folder: &Path) -> Result<(Group, u16)> {
    let arguments = [workspace.source("examples/demo-server.tcl"), folder.join("server.pem")];
    let mut server = Group::spawn(&tclsh.command, &arguments, |command| {
        command.env("TCLLIBPATH", library_path(&workspace.package_path())).stdout(Stdio::piped());
    })?;
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = server.child.stdout.take() {
        thread::spawn(move || {
            // All of it is read, or the server could one day not write any more.
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                let _ = sender.send(line);
            }
        });
    }
    match receiver.recv_timeout(STARTUP) {
        Ok(line) => match line.parse() {
            Ok(port) => Ok((server, port)),
            Err(_) => Err(Error::Demo { step: format!("the server in {tclsh} said `{line}` for its port") }),
        },
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::Demo { step: format!("the server in {tclsh} ended before it listened") })
        }
        Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut { what: format!("the port of the server in {tclsh}") }),
    }
}

fn script(workspace: &Workspace, tclsh: &Tclsh, file: &str) -> Command {
    let mut command = tclsh.command();
    command.arg(workspace.source(file)).env("TCLLIBPATH", library_path(&workspace.package_path()));
    command
}

/// For the client, how to draw its progress.
fn terminal() -> &'static str {
    if stdout().is_terminal() { "redraw" } else { "lines" }
}
