//! `cargo xtask COMMAND`: builds, packages, installs, tests, demonstrates and measures tcl-rustls. The Makefile only calls it.
#![forbid(unsafe_code)]

mod apt;
mod bench;
mod deb;
mod demo;
mod dist;
mod doc;
mod error;
mod install;
mod licences;
mod package;
mod process;
mod release;
mod tcl;
mod tcl9;
mod test;
mod workspace;

use std::process::ExitCode;

use error::{Error, Result};
use lexopt::{Arg, ValueExt};
use tcl::Wanted;
use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask COMMAND [OPTIONS]      (or: make TARGET [VARIABLE=VALUE])

Commands:
  package      build the library; leave an installable package in target/package
  doc          make the manual pages in target/manual, for man and as HTML
  install      build, then put the package where tclsh finds it, and its manual pages and licences below the prefix
                 --prefix DIR     [PREFIX]     below which to install (default: /usr/local)
                 --tcllibdir DIR  [TCLLIBDIR]  the very directory, instead of asking tclsh
                 --destdir DIR    [DESTDIR]    root of a staged installation
                 --no-build                    install target/package as it is
  uninstall    remove all of it from there; the same options
  dist         a versioned archive of the package in target/dist
  deb          a Debian package in target/dist
                 --no-build                    of target/package as it is, as with install
  demo         serve and fetch HTTPS with Tcl, and show the connection
                 --tcl 8.6|9      [TCL]        in this Tcl only
  test         build and run all tests, in Tcl 8.6 and Tcl 9
                 --tcl 8.6|9      [TCL]        the Tcl suites in this Tcl only
                 --tests PATTERN  [TESTS]      glob: suites of that name (`rust` is the Rust tests), else tests of that name
  bench        measure beside plain sockets, TclTLS and rustls alone; results in target/bench
                 --cases LIST     [CASES]      only these (default: all; benches/README.md names them)
                 --rounds N       [ROUNDS]     how often each takes its turn (default: 5)
                 --scale FACTOR   [SCALE]      sizes and counts, times this
  version      print the version of the package
  help         print this

Another tclsh than the one found: TCLSH8 and TCLSH9 name it in the environment.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::parse()?;
    let workspace = Workspace::locate();
    match options.command.as_str() {
        "package" => package::build(&workspace).map(|package| {
            println!("Package: {}", package.display());
            println!("Try it:  TCLLIBPATH={} tclsh", workspace.package_path().display());
        }),
        "doc" => doc::build(&workspace).map(|manual| {
            println!("Manual: {}", manual.html.join("index.html").display());
            println!("        man -l {}", manual.man.join("tcl-rustls.n").display());
        }),
        "dist" => dist::build(&workspace, options.build).map(|archive| println!("Archive: {}", archive.display())),
        "deb" => deb::build(&workspace, options.build).map(|package| {
            println!("Package: {}", package.display());
            println!("Install: apt install {}", package.display());
        }),
        "install" => install::install(&workspace, &options.place, options.build),
        "uninstall" => install::uninstall(&options.place),
        "demo" => demo::run(&workspace, options.tcl),
        "test" => test::run(&workspace, options.tcl, options.tests.as_deref()),
        "bench" => bench::run(&workspace, &options.bench),
        "version" => {
            println!("{}", workspace::VERSION);
            Ok(())
        }
        "help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(Error::Usage(format!("unknown command `{other}`\n\n{USAGE}"))),
    }
}

/// The command line, with what it leaves open taken from the environment, where make puts its variables.
struct Options {
    command: String,
    place: install::Place,
    build: bool,
    tcl: Wanted,
    tests: Option<String>,
    bench: bench::Wishes,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut command = None;
        let mut build = true;
        let (mut prefix, mut tcllibdir, mut destdir) = (None, None, None);
        let (mut tcl, mut tests) = (None, None);
        let (mut cases, mut rounds, mut scale) = (None, None, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("prefix") => prefix = Some(arguments.value()?),
                Arg::Long("tcllibdir") => tcllibdir = Some(arguments.value()?),
                Arg::Long("destdir") => destdir = Some(arguments.value()?),
                Arg::Long("no-build") => build = false,
                Arg::Long("tcl") => tcl = Some(arguments.value()?.string()?),
                Arg::Long("tests") => tests = Some(arguments.value()?.string()?),
                Arg::Long("cases") => cases = Some(arguments.value()?.string()?),
                Arg::Long("rounds") => rounds = Some(arguments.value()?.string()?),
                Arg::Long("scale") => scale = Some(arguments.value()?.string()?),
                Arg::Long("help") | Arg::Short('h') => command = Some("help".to_owned()),
                Arg::Value(value) if command.is_none() => command = Some(value.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        // make exports a variable that was not given as an empty one.
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        Ok(Self {
            command: command.ok_or_else(|| Error::Usage(format!("a command is missing\n\n{USAGE}")))?,
            place: install::Place {
                prefix: prefix.or_else(|| variable("PREFIX")).map(Into::into),
                tcllibdir: tcllibdir.or_else(|| variable("TCLLIBDIR")).map(Into::into),
                destdir: destdir.or_else(|| variable("DESTDIR")).map(Into::into),
            },
            build,
            tcl: Wanted::parse(tcl.or_else(|| text("TCL")).as_deref())?,
            tests: tests.or_else(|| text("TESTS")),
            bench: bench::Wishes {
                cases: cases.or_else(|| text("CASES")),
                rounds: rounds.or_else(|| text("ROUNDS")),
                scale: scale.or_else(|| text("SCALE")),
            },
        })
    }
}
