//! `bench`: sees to what the benchmarks need, builds them, and hands over to tls-bench.

use std::process::Command;

use crate::apt;
use crate::error::Result;
use crate::package;
use crate::process;
use crate::tcl::{Line, Tclsh};
use crate::workspace::Workspace;

/// What the user wants other than usual; tls-bench knows what it means.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Which cases.
    pub(crate) cases: Option<String>,
    /// How many rounds.
    pub(crate) rounds: Option<String>,
    /// The factor for sizes and counts.
    pub(crate) scale: Option<String>,
}

/// Measures; fails if a measurement does.
pub(crate) fn run(workspace: &Workspace, wishes: &Wishes) -> Result<()> {
    let shells: Vec<Tclsh> = [Line::V8, Line::V9]
        .into_iter()
        .filter_map(|line| Tclsh::ensure(line, workspace).map_err(|error| println!("{error}\n")).ok())
        .collect();
    ensure(shells.iter().find(|tclsh| tclsh.line == Line::V8));
    package::build(workspace)?;
    // By itself: what the library is made of must not change with what is built beside it.
    process::run(workspace.cargo(&["build"]).args(["--release", "--package", "tls-bench"]))?;

    let programs = workspace.cargo_target().join("release");
    let mut command = Command::new(programs.join("tls-bench"));
    for tclsh in &shells {
        let option = if tclsh.line == Line::V8 { "--tcl8" } else { "--tcl9" };
        // Each word by itself, and one with a hyphen in front is no option.
        command.args(tclsh.command.iter().map(|word| format!("{option}={word}")));
    }
    let tcltls = shells.iter().any(|tclsh| tclsh.line == Line::V8 && has_tcltls(tclsh));
    command.args(["--tcltls", if tcltls { "yes" } else { "no" }]);
    command.arg("--package").arg(workspace.package_path());
    command.arg("--scripts").arg(workspace.source("benches/tcl"));
    command.arg("--programs").arg(programs);
    command.arg("--source").arg(workspace.source(""));
    command.arg("--target").arg(workspace.cargo_target());
    command.arg("--output").arg(workspace.target("bench"));
    for (option, wish) in [("cases", &wishes.cases), ("rounds", &wishes.rounds), ("scale", &wishes.scale)] {
        if let Some(wish) = wish {
            command.arg(format!("--{option}={wish}"));
        }
    }
    process::run(&mut command)
}

/// Installs what is missing and can be had; the benchmarks say what they leave out without it.
fn ensure(tclsh: Option<&Tclsh>) {
    let program = |name: &str| process::succeeds(Command::new(name).arg("--version"));
    let missing = [
        ("tcl-tls", tclsh.is_none_or(has_tcltls)),
        ("valgrind", program("valgrind")),
        ("openssl", process::succeeds(Command::new("openssl").arg("version"))),
        ("ca-certificates", std::path::Path::new("/etc/ssl/certs").is_dir()),
    ];
    for (package, _) in missing.iter().filter(|(_, there)| !there) {
        if let Err(error) = apt::install(&[package]) {
            println!("{error}\n");
        }
    }
}

fn has_tcltls(tclsh: &Tclsh) -> bool {
    tclsh.eval("package require tls").is_ok()
}
