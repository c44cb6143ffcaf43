//! The case `load`: how long `package require` takes, and how large the library is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};
use crate::peer::{OURS8, OURS9, Peer, Programs, TCLTLS};
use crate::results::{Results, Values};

/// An interpreter starts in no time, so more of them are asked than there are rounds otherwise.
const TIMES: usize = 5;

/// What the C library consists of: it is on every system.
const LIBC: [&str; 7] = ["linux-vdso", "ld-linux", "libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so"];

/// Runs the case.
pub(crate) fn run(results: &mut Results, programs: &Programs, rounds: usize) -> Result<()> {
    let peers: Vec<Peer> = [TCLTLS, OURS8, OURS9].into_iter().filter(|peer| programs.lacks(*peer).is_none()).collect();
    for round in 0..rounds * TIMES {
        for peer in &peers {
            let values = require(programs, *peer)?;
            results.enter("load", "package require", &peer.to_string(), round, values);
        }
    }
    for peer in peers {
        let (own, all) = size(programs, peer)?;
        let values = Values::from([("library_mb".to_owned(), own), ("with_libraries_mb".to_owned(), all)]);
        results.enter("load", "size", &peer.to_string(), 0, values);
        println!("  load  size of {peer}: {own:.2} MB, with the libraries it needs {all:.2} MB");
    }
    Ok(())
}

fn package(peer: Peer) -> &'static str {
    if peer == TCLTLS { "tls" } else { "twapi_crypto" }
}

fn eval(programs: &Programs, peer: Peer, script: &str) -> Result<String> {
    let words = peer.tcl.map(|tcl| programs.tclsh(tcl)).unwrap_or_default();
    let who = peer.to_string();
    let (program, arguments) = words.split_first().ok_or_else(|| Error::peer(&who, "has no tclsh"))?;
    let file = programs.scripts.join("eval.tcl");
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .arg(script)
        .env("TCLLIBPATH", format!("{{{}}}", programs.package.display()))
        .output()
        .map_err(|source| Error::Io { doing: format!("start {who}"), source })?;
    if !output.status.success() {
        return Err(Error::peer(&who, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The time of the whole command, and without the search for packages, which is the same for all.
fn require(programs: &Programs, peer: Peer) -> Result<Values> {
    let package = package(peer);
    let clock =
        format!("set t [clock microseconds]; package require {package}; puts [expr {{[clock microseconds] - $t}}]");
    let time = |text: String| {
        let micros = text.parse::<f64>().map_err(|_| Error::peer(&peer.to_string(), format!("said `{text}`")))?;
        Ok::<f64, Error>(micros / 1e3)
    };
    let all = time(eval(programs, peer, &format!("clock microseconds; {clock}"))?)?;
    let found = format!("clock microseconds; catch {{package require no_such_package}}; {clock}");
    let alone = time(eval(programs, peer, &found)?)?;
    Ok(Values::from([("all_ms".to_owned(), all), ("load_ms".to_owned(), alone)]))
}

/// The library's size, and together with the shared libraries that it needs beside the C library, in MB (10⁶ bytes).
fn size(programs: &Programs, peer: Peer) -> Result<(f64, f64)> {
    // Of the libraries that are loaded, the last is the one that the package has loaded.
    let library = eval(programs, peer, &format!("package require {}; puts [lindex [info loaded] 0 0]", package(peer)))?;
    let library = PathBuf::from(library);
    let output = Command::new("ldd").arg(&library).output();
    let output = output.map_err(|source| Error::Io { doing: "run ldd".to_owned(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let needed: BTreeSet<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !LIBC.iter().any(|name| line.contains(name)))
        .filter_map(|line| line.split_once(" => ")?.1.split(' ').next())
        .collect();
    let megabytes = |path: &std::path::Path| {
        let bytes = fs::metadata(path).map_err(Error::path("look at", path))?.len();
        #[allow(clippy::cast_precision_loss)] // files are smaller than that
        Ok::<f64, Error>(bytes as f64 / 1e6)
    };
    let own = megabytes(&library)?;
    let mut all = own;
    for file in needed {
        all += megabytes(file.as_ref())?;
    }
    Ok((own, all))
}
