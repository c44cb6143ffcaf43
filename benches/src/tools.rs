//! The cases that other tools measure: `instructions` (callgrind) and `session` (criterion).

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::peer::Programs;
use crate::results::{Results, Values};
use crate::setup::Setup;

/// What is counted: its name for session-work, how many, and the same for reading.
const WORKS: [(&str, u32, &str); 4] = [
    ("handshake-ecdsa", 20, "handshake, ECDSA"),
    ("handshake-rsa", 20, "handshake, RSA"),
    ("megabytes", 64, "1 GB"),
    ("exchanges", 2000, "exchange of 1 KB"),
];

/// The data that a gigabyte stands for, in the blocks of session-work.
const BLOCKS_PER_GB: f64 = 1e9 / 1_048_576.0;

/// Counts the instructions of N and of 2 N operations: the difference is free of start and end.
pub(crate) fn instructions(results: &mut Results, programs: &Programs, setup: &Setup, scale: f64) -> Result<()> {
    let there = Command::new("valgrind").arg("--version").output();
    let Ok(version) = there else {
        results.skip("instructions: valgrind is not on this machine");
        return Ok(());
    };
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    results.conditions.push(("instructions".to_owned(), format!("{version}, which shows no AVX-512 to the program")));
    for (work, count, name) in WORKS {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small and positive
        let count = ((f64::from(count) * scale).ceil() as u32).clamp(2, count);
        let once = callgrind(programs, setup, work, count)?;
        let twice = callgrind(programs, setup, work, 2 * count)?;
        let each = (twice - once) / f64::from(count) * if work == "megabytes" { BLOCKS_PER_GB } else { 1.0 };
        println!("  instructions  {name}: {:.3} million", each / 1e6);
        let values =
            Values::from([("million_instructions".to_owned(), each / 1e6), ("counted".to_owned(), f64::from(count))]);
        results.enter("instructions", name, "tls-session", 0, values);
    }
    Ok(())
}

/// The instructions of a whole run.
fn callgrind(programs: &Programs, setup: &Setup, work: &str, count: u32) -> Result<f64> {
    let output = setup.file("callgrind.out");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", output.display()));
    command.arg(programs.rust.join("session-work")).arg(&setup.folder).arg(work).arg(count.to_string());
    let ran = command.output().map_err(|source| Error::Io { doing: "run valgrind".to_owned(), source })?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if !ran.status.success() {
        return Err(Error::peer("session-work in valgrind", said));
    }
    let text = fs::read_to_string(&output).map_err(Error::path("read", &output))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let number = total.and_then(|number| number.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Error::peer("callgrind", format!("no total in {}", output.display())))
}

/// Runs criterion's benchmarks, and takes over what it found.
pub(crate) fn session(results: &mut Results, setup: &Setup, source: &Path, target: &Path, short: bool) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let home = setup.file("criterion");
    let _ = fs::remove_dir_all(&home);
    let mut command = Command::new(cargo);
    command.current_dir(source).args(["bench", "--quiet", "--package", "tls-session", "--bench", "session"]);
    command.arg("--target-dir").arg(target).env("CRITERION_HOME", &home).arg("--");
    if short {
        command.args(["--sample-size", "10", "--measurement-time", "0.2", "--warm-up-time", "0.1"]);
    }
    let status = command.status().map_err(|source| Error::Io { doing: "run cargo bench".to_owned(), source })?;
    if !status.success() {
        return Err(Error::peer("cargo bench", status.to_string()));
    }
    let mut found = 0;
    for group in folders(&home)? {
        for benchmark in folders(&home.join(&group))? {
            let file = home.join(&group).join(&benchmark).join("new/estimates.json");
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let median = serde_json::from_str::<serde_json::Value>(&text)
                .ok()
                .and_then(|value| value.pointer("/median/point_estimate")?.as_f64())
                .ok_or_else(|| Error::peer("criterion", format!("no median in {}", file.display())))?;
            let mut values = Values::from([("us".to_owned(), median / 1e3)]);
            if let Some(kilobytes) = benchmark.strip_suffix("-kb").and_then(|size| size.parse::<f64>().ok()) {
                values.insert("mb_per_s".to_owned(), kilobytes * 1024.0 / median * 1e3);
            }
            results.enter("session", &format!("{group} {benchmark}"), "tls-session", 0, values);
            found += 1;
        }
    }
    if found == 0 {
        return Err(Error::peer("criterion", format!("left no estimates in {}", home.display())));
    }
    Ok(())
}

fn folders(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(Error::path("read", folder))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}
