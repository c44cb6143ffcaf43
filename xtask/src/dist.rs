//! `dist`: a versioned archive of the built package, to be unpacked anywhere.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::release::{self, Places};
use crate::workspace::{VERSION, Workspace, empty_folder, remove_folder};

/// Builds the archive; returns its path.
pub(crate) fn build(workspace: &Workspace, build: bool) -> Result<PathBuf> {
    let files = release::files(workspace, build)?;
    let output = workspace.target("dist");
    let name = format!("tcl-rustls-{VERSION}-{OS}-{ARCH}");
    let root = output.join(&name);
    empty_folder(&root)?;
    let places =
        Places { package: root.join(Workspace::package_name()), man: root.join("man/mann"), doc: root.join("doc") };
    files.put(workspace, &places)?;
    let guide = root.join("INSTALL.txt");
    fs::write(&guide, INSTALL.replace("@PACKAGE@", &Workspace::package_name()).replace("@VERSION@", VERSION))
        .map_err(Error::path("write", &guide))?;

    let epoch = release::epoch(workspace);
    release::level(&root, epoch)?;
    let archive = output.join(format!("{name}.tar"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--format=ustar", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{epoch}")).arg("--file").arg(&archive).arg("--directory").arg(&output).arg(&name);
    process::run(&mut tar)?;
    release::compress(&archive)?;
    remove_folder(&root)?;
    Ok(output.join(format!("{name}.tar.gz")))
}

const INSTALL: &str = "\
tcl-rustls @VERSION@: TLS for Tcl 8.6 and Tcl 9

To try it, right here:

    echo 'puts [package require twapi_crypto]' | TCLLIBPATH=$PWD tclsh

To install it, copy the folder @PACKAGE@ to a directory in which tclsh looks for packages
(`puts $auto_path` lists them), and man/mann to a directory of `manpath` if you like.

doc/html/index.html is the manual. doc/THIRD-PARTY.txt has the licences of all that is linked into the library. That of
tcl-rustls itself is MIT or Apache 2.0, at your choice: the texts are beside the library.
";
