//! `test`: the Rust tests, and the tcltest suites in Tcl 8.6 and Tcl 9.

mod rust;
mod suites;
mod tools;

use std::env;
use std::ops::AddAssign;

use crate::error::{Error, Result};
use crate::package;
use crate::tcl::{Tclsh, Wanted};
use crate::workspace::Workspace;

/// How tests went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// What of the tests the user wants to see run.
#[derive(Clone, Copy)]
struct Selection<'a>(Option<&'a str>);

/// Runs the tests; ends with one line that counts them all.
pub(crate) fn run(workspace: &Workspace, tcl: Wanted, pattern: Option<&str>) -> Result<()> {
    let selection = Selection(pattern);
    let rust = selection.names("rust");
    let files = suites::files(workspace, selection)?;
    let mut counts = Counts::default();
    let mut remarks = Vec::new();

    let mut shells = Vec::new();
    if !files.is_empty() {
        for line in tcl.lines() {
            match Tclsh::ensure(line, workspace) {
                Ok(tclsh) => shells.push(tclsh),
                Err(error) => remarks.push(format!("No suite ran in {line}: {error}")),
            }
        }
        // A run that leaves out a Tcl proves too little where nobody reads the remark.
        if env::var_os("CI").is_some() || shells.is_empty() {
            counts.failed += remarks.len();
        }
        remarks.extend(tools::ensure(&shells));
        if !shells.is_empty() {
            package::build(workspace)?;
        }
    }
    if rust {
        counts += rust::run(workspace)?;
    }
    let mut failures = Vec::new();
    for tclsh in &shells {
        let (in_this, failed) = suites::run(workspace, tclsh, &files, selection)?;
        counts += in_this;
        failures.extend(failed);
    }
    if counts == Counts::default()
        && let Some(pattern) = pattern
    {
        return Err(Error::Usage(format!("no test is called {pattern}")));
    }

    println!();
    for remark in remarks {
        println!("{remark}\n");
    }
    for failure in failures {
        println!("FAIL {failure}");
    }
    println!("{counts}");
    match counts.failed {
        0 => Ok(()),
        failed => Err(Error::Tests { failed }),
    }
}

impl Selection<'_> {
    /// Whether the suite of this name is wanted.
    fn names(self, suite: &str) -> bool {
        self.0.is_none_or(|pattern| glob(pattern, suite))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Whether `text` matches a pattern of `*`, `?` and plain characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| glob(rest.as_str(), text.get(at..).unwrap_or_default())),
        Some(wanted) => {
            let mut characters = text.chars();
            characters.next().is_some_and(|found| wanted == '?' || wanted == found)
                && glob(rest.as_str(), characters.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, matches) in [
            ("client", "client", true),
            ("client", "clients", false),
            ("cl*t", "client", true),
            ("*", "", true),
            ("?", "", false),
            ("*-1.?", "client-1.2", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
