//! The tcltest suites: each file of `tests/*.test` in a tclsh of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::{Counts, Selection};
use crate::error::{Error, Result};
use crate::process::Group;
use crate::tcl::{Line, Tclsh, library_path};
use crate::workspace::{Workspace, empty_folder};

/// No file takes this long unless it hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// The files that the selection names; all of them, where it names none, for then it names tests in them.
pub(super) fn files(workspace: &Workspace, selection: Selection<'_>) -> Result<Vec<PathBuf>> {
    let folder = workspace.source("tests");
    let read = fs::read_dir(&folder).map_err(Error::path("read", &folder))?;
    let mut files: Vec<PathBuf> = read
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    if files.iter().any(|file| selection.names(&stem(file))) {
        files.retain(|file| selection.names(&stem(file)));
    } else if selection.names("rust") {
        files.clear();
    } else if let Some(pattern) = selection.0 {
        // By tcltest's custom the names of tests begin with that of their file, which may have hyphens of its own.
        let suites: Vec<&str> = pattern.match_indices('-').map(|(end, _)| &pattern[..end]).collect();
        let named = |file: &PathBuf| suites.iter().any(|suite| Selection(Some(suite)).names(&stem(file)));
        if files.iter().any(named) {
            files.retain(named);
        }
    }
    Ok(files)
}

/// Runs the files in one Tcl, one line of output for each that is well; returns the counts, and what failed.
pub(super) fn run(
    workspace: &Workspace,
    tclsh: &Tclsh,
    files: &[PathBuf],
    selection: Selection<'_>,
) -> Result<(Counts, Vec<String>)> {
    let folder = workspace.target(match tclsh.line {
        Line::V8 => "test/tcl8",
        Line::V9 => "test/tcl9",
    });
    let scratch = folder.join("tmp");
    empty_folder(&folder)?;
    empty_folder(&scratch)?;
    println!("\n{tclsh}");
    let (mut total, mut failures) = (Counts::default(), Vec::new());
    for file in files {
        let name = stem(file);
        // The pattern is one for tests where it is not one for files.
        let pattern = selection.0.filter(|_| !selection.names(&name));
        let log = folder.join(format!("{name}.log"));
        if stdout().is_terminal() {
            print!("  {name} …");
            let _ = stdout().flush();
        }
        let start = Instant::now();
        let end = run_file(workspace, tclsh, file, pattern, &scratch, &log)?;
        let text = fs::read(&log).map_err(Error::path("read", &log))?;
        let report = judge(end, &String::from_utf8_lossy(&text), pattern.is_some());
        report.print(&name, start.elapsed(), &log);
        total += report.counts;
        let fault = report.fault.map(|fault| format!("{name}.test {fault}"));
        let failed = report.failures.into_iter().chain(fault);
        failures.extend(failed.map(|what| format!("Tcl {}: {what}", tclsh.version)));
    }
    println!("Tcl {}: {total}", tclsh.version);
    Ok((total, failures))
}

/// How the tclsh of a file ended; `None`: not in time.
fn run_file(
    workspace: &Workspace,
    tclsh: &Tclsh,
    file: &Path,
    pattern: Option<&str>,
    scratch: &Path,
    log: &Path,
) -> Result<Option<ExitStatus>> {
    let output = File::create(log).map_err(Error::path("write", log))?;
    let errors = output.try_clone().map_err(Error::path("write", log))?;
    let mut arguments = vec![file.to_string_lossy().into_owned()];
    if let Some(pattern) = pattern {
        arguments.extend(["-match".to_owned(), pattern.to_owned()]);
    }
    let mut group = Group::spawn(&tclsh.command, &arguments, |command| {
        command
            .current_dir(scratch)
            .env("TCLLIBPATH", library_path(&workspace.package_path()))
            .env("TCLSH_CMD", tclsh.command_list())
            .env("TEST_TMP", scratch)
            .stdout(output)
            .stderr(errors);
    })?;
    group.wait(LIMIT)
}

/// What came of one file.
#[derive(Debug, Default)]
struct Report {
    counts: Counts,
    /// Skipped tests by constraint.
    skipped: BTreeMap<String, usize>,
    /// What is wrong beside failed tests.
    fault: Option<String>,
    /// The names of the tests that failed.
    failures: BTreeSet<String>,
    /// Why a constraint is not met, where the file says so.
    reasons: BTreeMap<String, String>,
    /// What to show when something failed.
    text: String,
}

/// Reads tcltest's own summary; a file that has none, or ends badly, is itself a failure.
///
/// `some`: only some of its tests were asked for. Then tcltest counts the others as skipped, but we do not.
fn judge(end: Option<ExitStatus>, text: &str, some: bool) -> Report {
    let mut report = Report { text: text.to_owned(), ..Report::default() };
    let mut total = None;
    let mut constraints = false;
    for line in text.lines() {
        if let Some(counts) = summary(line) {
            *total.get_or_insert(0) += counts.passed + counts.failed + counts.skipped;
            report.counts += counts;
        }
        if constraints && let Some((number, constraint)) = constraint(line) {
            *report.skipped.entry(constraint.to_owned()).or_default() += number;
        } else {
            constraints = line.starts_with("Number of tests skipped for each constraint");
        }
        if let Some((name, "FAILED")) = line.strip_prefix("==== ").and_then(|line| line.split_once(' ')) {
            report.failures.insert(name.to_owned());
        }
        if let Some((constraint, reason)) = reason(line) {
            report.reasons.insert(constraint.to_owned(), reason.to_owned());
        }
    }
    if some {
        report.counts.skipped = report.skipped.values().sum();
    }
    report.fault = match (end, total) {
        (None, _) => Some(format!("was killed: it ran longer than {} s", LIMIT.as_secs())),
        (Some(status), _) if !status.success() && report.counts.failed == 0 => Some(format!("ended with {status}")),
        (Some(_), None) => Some("ended without tcltest's summary".to_owned()),
        (Some(_), Some(0)) => Some("has no test".to_owned()),
        _ => None,
    };
    if report.fault.is_some() {
        report.counts.failed += 1;
    }
    report
}

impl Report {
    fn print(&self, name: &str, time: Duration, log: &Path) {
        if stdout().is_terminal() {
            print!("\r");
        }
        let mark = if self.counts.failed == 0 { "ok  " } else { "FAIL" };
        let seconds = time.as_secs_f64();
        println!("  {mark} {name:<16} {:<40} {seconds:>7.1} s", self.counts);
        for (constraint, number) in &self.skipped {
            match self.reasons.get(constraint) {
                Some(reason) => println!("         {number} skipped: {reason} ({constraint})"),
                None => println!("         {number} skipped: {constraint}"),
            }
        }
        if self.counts.failed > 0 {
            for line in tail(&self.text, 400) {
                println!("       | {line}");
            }
            println!("       | (all of it: {})", log.display());
        }
        if let Some(fault) = &self.fault {
            println!("       {name}.test {fault}");
        }
    }
}

/// From `client.test: Total 4 Passed 2 Skipped 1 Failed 1`, with tabs between.
fn summary(line: &str) -> Option<Counts> {
    let (_, numbers) = line.split_once(":\tTotal\t")?;
    let fields: Vec<&str> = numbers.split('\t').map(str::trim).collect();
    let [_, "Passed", passed, "Skipped", skipped, "Failed", failed] = fields.as_slice() else {
        return None;
    };
    Some(Counts { passed: passed.parse().ok()?, failed: failed.parse().ok()?, skipped: skipped.parse().ok()? })
}

/// From a number and a name, each after a tab.
fn constraint(line: &str) -> Option<(usize, &str)> {
    let (number, name) = line.strip_prefix('\t')?.split_once('\t')?;
    Some((number.parse().ok()?, name))
}

/// From `constraint NAME not met: REASON`, which the suites print.
fn reason(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("constraint ")?.split_once(" not met: ")
}

fn tail(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let lines = text.lines().count();
    text.lines().skip(lines.saturating_sub(most))
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn ended(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code)
    }

    #[test]
    fn a_summary_is_read() {
        let text = "constraint gnutls not met: it is not installed\n\
                    a.test:\tTotal\t9\tPassed\t4\tSkipped\t5\tFailed\t0\n\
                    Number of tests skipped for each constraint:\n\
                    \t2\tgnutls\n";
        let report = judge(Some(ended(0)), text, true);
        let expected = Counts { passed: 4, failed: 0, skipped: 2 };
        assert_eq!(report.counts, expected);
        assert_eq!(report.skipped.get("gnutls"), Some(&2));
        assert_eq!(report.reasons.get("gnutls").map(String::as_str), Some("it is not installed"));
        assert_eq!(report.fault, None);
    }

    #[test]
    fn a_bad_end_is_a_failure() {
        let good = "a.test:\tTotal\t1\tPassed\t1\tSkipped\t0\tFailed\t0\n";
        for (end, text) in [
            (Some(ended(0)), "no summary"),
            (Some(ended(0)), "a.test:\tTotal\t0\tPassed\t0\tSkipped\t0\tFailed\t0\n"),
            (Some(ended(11)), good),
            (Some(ended(256)), good),
            (None, good),
        ] {
            let report = judge(end, text, false);
            assert_eq!(report.counts.failed, 1, "{report:?}");
            assert!(report.fault.is_some(), "{report:?}");
        }
    }
}
