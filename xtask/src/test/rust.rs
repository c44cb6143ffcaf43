//! The Rust tests of the workspace: by nextest where it is installed, else by cargo itself.

use std::io::IsTerminal;
use std::process::{Command, ExitStatus};

use super::Counts;
use crate::error::Result;
use crate::process;
use crate::workspace::Workspace;

/// Runs unit, integration and documentation tests.
pub(super) fn run(workspace: &Workspace) -> Result<Counts> {
    println!("\nRust");
    let mut counts = Counts::default();
    if process::succeeds(workspace.cargo_plain().args(["nextest", "--version"])) {
        let mut command = workspace.cargo(&["nextest", "run"]);
        command.args([
            "--workspace",
            "--no-fail-fast",
            "--no-tests=pass",
            "--status-level=fail",
            "--final-status-level=fail",
        ]);
        counts += judge(process::tee(coloured(&mut command))?, count_nextest);
        // The documentation's examples, which nextest leaves to cargo. Mostly there are none, in many lines of output.
        let mut command = workspace.cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]);
        counts += judge(process::captured(&mut command)?, count_cargo);
    } else {
        let mut command = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
        counts += judge(process::tee(coloured(&mut command))?, count_cargo);
    }
    println!("Rust: {counts}");
    Ok(counts)
}

fn coloured(command: &mut Command) -> &mut Command {
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command
}

/// Counts what the program said. A run that failed without a failed test (it does not compile, it crashed) counts as one.
fn judge((status, text): (ExitStatus, String), count: fn(&str) -> Counts) -> Counts {
    let mut counts = count(&process::plain(&text));
    if !status.success() && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

/// From lines like `Summary [   0.5s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`.
fn count_nextest(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        let Some((head, tail)) = line.split_once(" run: ") else {
            continue;
        };
        if !head.trim_start().starts_with("Summary") {
            continue;
        }
        for part in tail.split(", ") {
            let (number, what) = numbered(part);
            if what.starts_with("passed") {
                counts.passed += number;
            } else if what.starts_with("skipped") {
                counts.skipped += number;
            } else {
                // Failed, timed out, could not be run.
                counts.failed += number;
            }
        }
    }
    counts
}

/// From lines like `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
fn count_cargo(text: &str) -> Counts {
    let mut counts = Counts::default();
    let results = text.lines().filter_map(|line| line.trim_start().strip_prefix("test result: "));
    for part in results.flat_map(|line| line.split([';', '.'])) {
        let (number, what) = numbered(part.trim());
        match what {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

fn numbered(part: &str) -> (usize, &str) {
    let (number, what) = part.split_once(' ').unwrap_or_default();
    (number.parse().unwrap_or_default(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_understood() {
        let text = "    Starting 3 tests\n     Summary [   0.512s] 14 tests run: 11 passed (1 slow), 2 failed, 1 timed \
                    out, 4 skipped\n";
        let expected = Counts { passed: 11, failed: 3, skipped: 4 };
        assert_eq!(count_nextest(text), expected);
    }

    #[test]
    fn cargo_is_understood() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s\n";
        let expected = Counts { passed: 4, failed: 2, skipped: 1 };
        assert_eq!(count_cargo(text), expected);
    }
}
