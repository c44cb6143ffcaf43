//! Building the library, and the folder that Tcl finds it in.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::process;
use crate::workspace::{PACKAGE, VERSION, Workspace, copy_into, empty_folder};

/// Builds the release library and assembles the package from it; returns the package's folder.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    build_with(workspace, &[])
}

/// The same, with further arguments to `cargo build`, for what is wanted in the same build.
pub(crate) fn build_with(workspace: &Workspace, more: &[&str]) -> Result<PathBuf> {
    if !workspace.package_folder().exists() {
        println!("Building the library: this takes some minutes the first time.");
    }
    let mut command = workspace.cargo(&["build"]);
    command.args(["--release", "--package", "tcl-rustls"]);
    process::run(command.args(more))?;
    assemble(workspace)
}

/// Puts the package's folder together from what is built.
fn assemble(workspace: &Workspace) -> Result<PathBuf> {
    let built = format!("{DLL_PREFIX}tcl_rustls{DLL_SUFFIX}");
    // As Tcl's own extensions are called. `load` then finds the name of the init function by itself.
    let library = format!("{DLL_PREFIX}{PACKAGE}{VERSION}{DLL_SUFFIX}");
    let template = workspace.source("tcl/pkgIndex.tcl.in");
    let index = fs::read_to_string(&template).map_err(Error::path("read", &template))?;

    // Of an older version nothing may stay: both would be found.
    empty_folder(&workspace.package_path())?;
    let folder = workspace.package_folder();
    empty_folder(&folder)?;
    let built = workspace.cargo_target().join("release").join(built);
    fs::copy(&built, folder.join(&library)).map_err(Error::path("copy", &built))?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy_into(&workspace.source(licence), &folder)?;
    }
    let file = folder.join("pkgIndex.tcl");
    fs::write(&file, filled(&index, &library)).map_err(Error::path("write", &file))?;
    Ok(folder)
}

fn filled(template: &str, library: &str) -> String {
    template.replace("@VERSION@", VERSION).replace("@LIBRARY@", library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_library_and_version() {
        let index = filled(include_str!("../../tcl/pkgIndex.tcl.in"), "libx.so");
        assert!(index.contains("[file join $dir libx.so]"));
        assert!(index.contains(&format!("twapi_crypto {VERSION} ")));
        assert!(!index.contains('@'));
    }
}
