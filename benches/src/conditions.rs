//! Under which conditions a run was made.

use std::fs;
use std::process::Command;

use time::OffsetDateTime;

use crate::Options;
use crate::peer::Tcl;
use crate::setup::Setup;

/// What can be said before the first case runs.
pub(crate) fn describe(options: &Options, setup: &Setup) -> Vec<(String, String)> {
    let now = OffsetDateTime::now_utc();
    let mut all = vec![
        ("date".to_owned(), format!("{} {:02}:{:02} UTC", now.date(), now.hour(), now.minute())),
        ("processor".to_owned(), processor()),
        ("kernel".to_owned(), said(&["uname", "-sr"], "")),
        ("load at the start".to_owned(), load()),
        (
            "commit".to_owned(),
            said(&["git", "-C", &options.source.display().to_string(), "describe", "--always", "--dirty"], ""),
        ),
        ("rounds".to_owned(), options.rounds.to_string()),
        ("scale".to_owned(), options.scale.to_string()),
        ("roots of the system".to_owned(), setup.roots.to_string()),
    ];
    for (name, tcl) in [("Tcl 8.6", Tcl::V8), ("Tcl 9", Tcl::V9)] {
        let words: Vec<&str> = options.programs.tclsh(tcl).iter().map(String::as_str).collect();
        if !words.is_empty() {
            all.push((name.to_owned(), said(&words, "puts [info patchlevel]")));
        }
    }
    if options.programs.tcltls {
        let words: Vec<&str> = options.programs.tcl8.iter().map(String::as_str).collect();
        let version = said(&words, "package require tls; puts \"[package provide tls], built for [tls::version]\"");
        all.push(("TclTLS".to_owned(), format!("{version}, running with {}", said(&["openssl", "version"], ""))));
    }
    all
}

/// The load of the machine: above 0 before the start somebody else is at work.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} × {}", model.trim_start_matches([' ', '\t', ':']))
}

/// What a program says on one line; a script is given to it as its input.
fn said(words: &[&str], script: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else { return "unknown".to_owned() };
    if let Some(mut input) = child.stdin.take() {
        let _ = writeln!(input, "{script}");
    }
    let output = child.wait_with_output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "unknown".to_owned())
}
