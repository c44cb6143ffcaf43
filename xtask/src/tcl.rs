//! The Tcl interpreters of this machine: finding them, installing them, asking them.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use crate::{apt, process, tcl9};

/// One of the two lines of Tcl that the library is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Tcl 8.6, and 8.7 should it come.
    V8,
    /// Tcl 9.
    V9,
}

/// Which lines a command is to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted(Option<Line>);

/// A tclsh that runs.
#[derive(Clone, Debug)]
pub(crate) struct Tclsh {
    /// Its line.
    pub(crate) line: Line,
    /// The command that starts it.
    pub(crate) command: Vec<String>,
    /// Its version, `8.6.13`.
    pub(crate) version: String,
}

impl Line {
    /// The environment variable that names the tclsh to use.
    fn variable(self) -> &'static str {
        match self {
            Self::V8 => "TCLSH8",
            Self::V9 => "TCLSH9",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::V8 => &["tclsh8.6", "tclsh86", "tclsh8.7", "tclsh"],
            Self::V9 => &["tclsh9.0", "tclsh90", "tclsh9.1", "tclsh9", "tclsh"],
        }
    }

    fn debian(self) -> &'static str {
        match self {
            Self::V8 => "tcl8.6",
            Self::V9 => "tcl9.0",
        }
    }

    fn of(version: &str) -> Option<Self> {
        if version.starts_with("8.6.") || version.starts_with("8.7") {
            Some(Self::V8)
        } else if version.starts_with("9.") {
            Some(Self::V9)
        } else {
            None
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V8 => "Tcl 8.6",
            Self::V9 => "Tcl 9",
        })
    }
}

impl Wanted {
    /// From what the user gave: `8.6`, `8`, `9`, `9.0`, or nothing for both.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None => Ok(Self(None)),
            Some("8" | "8.6") => Ok(Self(Some(Line::V8))),
            Some("9" | "9.0") => Ok(Self(Some(Line::V9))),
            Some(other) => Err(Error::Usage(format!("no such Tcl: `{other}` (8.6 or 9)"))),
        }
    }

    /// The lines, the older one first.
    pub(crate) fn lines(self) -> impl Iterator<Item = Line> {
        [Line::V8, Line::V9].into_iter().filter(move |line| self.0.is_none_or(|wanted| wanted == *line))
    }
}

impl Tclsh {
    /// The tclsh of this line that is on this machine, if any.
    ///
    /// One named in the environment is the only one looked at: if it is of no use, that is an error.
    pub(crate) fn find(line: Line) -> Result<Option<Self>> {
        let variable = line.variable();
        if let Some(named) = env::var(variable).ok().filter(|named| !named.is_empty()) {
            return match Self::probe(&words(&named)) {
                Some(tclsh) if tclsh.line == line => Ok(Some(tclsh)),
                Some(other) => Err(Error::Missing {
                    what: format!("{variable}={named} is Tcl {}, not {line}", other.version),
                    remedy: format!("Set {variable} to another tclsh, or unset it."),
                }),
                None => Err(Error::Missing {
                    what: format!("{variable}={named} is no tclsh that runs"),
                    remedy: format!("Set {variable} to another tclsh, or unset it."),
                }),
            };
        }
        Ok(line.names().iter().filter_map(|name| Self::probe(&[(*name).to_owned()])).find(|tclsh| tclsh.line == line))
    }

    /// The tclsh of this line; where there is none it is installed.
    pub(crate) fn ensure(line: Line, workspace: &Workspace) -> Result<Self> {
        if let Some(tclsh) = Self::find(line)? {
            return Ok(tclsh);
        }
        let why = match line {
            Line::V8 => apt::install(&[line.debian()]).err(),
            Line::V9 => match tcl9::unpacked(workspace) {
                Some(tclsh) => return Ok(tclsh),
                None if apt::offers(line.debian()) => apt::install(&[line.debian()]).err(),
                None => match tcl9::unpack(workspace) {
                    Ok(tclsh) => return Ok(tclsh),
                    Err(error) => Some(error),
                },
            },
        };
        Self::find(line)?.ok_or_else(|| {
            let because = why.map_or_else(String::new, |error| format!("{error}\n"));
            Error::Missing {
                what: format!("{line} is not on this machine"),
                remedy: format!(
                    "{because}{}\nOr name a tclsh in the environment: {}=/path/to/tclsh",
                    apt::by_hand(line.debian()),
                    line.variable()
                ),
            }
        })
    }

    /// The tclsh that `command` starts, if it starts one.
    pub(crate) fn probe(command: &[String]) -> Option<Self> {
        let mut tclsh = Self { line: Line::V8, command: command.to_vec(), version: String::new() };
        tclsh.version = tclsh.eval("puts [info patchlevel]").ok()?;
        tclsh.line = Line::of(&tclsh.version)?;
        Some(tclsh)
    }

    /// What a script prints, without the last newline.
    pub(crate) fn eval(&self, script: &str) -> Result<String> {
        self.eval_in(script, |_| ())
    }

    /// The same, with the process prepared further.
    pub(crate) fn eval_in(&self, script: &str, prepare: impl FnOnce(&mut Command)) -> Result<String> {
        let mut command = self.command();
        prepare(&mut command);
        // A script that comes by standard input goes on after an error, so the error is made to end it.
        let script = format!("if {{[catch {{\n{script}\n}} message]}} {{puts stderr $message; exit 1}}; exit 0\n");
        process::output(&mut command, &script).map(|text| text.trim_end().to_owned())
    }

    /// The command that starts it, to be given arguments.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map_or("tclsh", String::as_str));
        command.args(words);
        command
    }

    /// The command as a Tcl list.
    pub(crate) fn command_list(&self) -> String {
        list(&self.command)
    }
}

impl fmt::Display for Tclsh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcl {} ({})", self.version, self.command.join(" "))
    }
}

/// `TCLLIBPATH` with `folder` before what it holds already.
pub(crate) fn library_path(folder: &Path) -> OsString {
    let mut path = OsString::from(element(&folder.to_string_lossy()));
    if let Some(more) = env::var_os("TCLLIBPATH").filter(|more| !more.is_empty()) {
        path.push(" ");
        path.push(more);
    }
    path
}

/// The words as a Tcl list.
pub(crate) fn list(words: &[String]) -> String {
    let elements: Vec<String> = words.iter().map(|word| element(word)).collect();
    elements.join(" ")
}

/// One element of a Tcl list.
fn element(word: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    let mut element = String::with_capacity(word.len() + 2);
    if word.is_empty() {
        element.push_str("{}");
    }
    for character in word.chars() {
        match character {
            '\n' => element.push_str("\\n"),
            '\t' => element.push_str("\\t"),
            c if safe(c) => element.push(c),
            c => element.extend(['\\', c]),
        }
    }
    element
}

/// A command as a user writes it in a variable: one file, which may have spaces in its name, or words.
fn words(command: &str) -> Vec<String> {
    if Path::new(command).exists() {
        vec![command.to_owned()]
    } else {
        command.split_whitespace().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_quoted_where_needed() {
        assert_eq!(element("/usr/bin/tclsh8.6"), "/usr/bin/tclsh8.6");
        assert_eq!(element(""), "{}");
        assert_eq!(element("a b{\n"), "a\\ b\\{\\n");
    }

    #[test]
    fn versions_have_their_line() {
        assert_eq!(Line::of("8.6.13"), Some(Line::V8));
        assert_eq!(Line::of("9.0.1"), Some(Line::V9));
        assert_eq!(Line::of("8.5.19"), None);
    }

    #[test]
    fn both_lines_unless_one_is_wished() {
        let lines = |text| Wanted::parse(text).map(|wanted| wanted.lines().collect::<Vec<_>>());
        assert!(matches!(lines(None).as_deref(), Ok([Line::V8, Line::V9])));
        assert!(matches!(lines(Some("9")).as_deref(), Ok([Line::V9])));
        assert!(lines(Some("7")).is_err());
    }
}
