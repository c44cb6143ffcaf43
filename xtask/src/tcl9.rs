//! A private Tcl 9 on a Debian that has none of its own: the packages of a later release, with the C library they need,
//! unpacked below `target/tcl9`. Nothing of the system is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::tcl::Tclsh;
use crate::workspace::{Workspace, empty_folder, remove_folder};

/// The Debian release to take it from, and those before it, which have no Tcl 9.
const RELEASE: &str = "trixie";
const EARLIER: [&str; 2] = ["bookworm", "bullseye"];

const PACKAGES: [&str; 7] = ["tcl9.0", "libtcl9.0", "tcl9.0-thread", "tcllib", "libc6", "libtommath1", "zlib1g"];

/// The Tcl 9 that an earlier run unpacked, if any.
pub(crate) fn unpacked(workspace: &Workspace) -> Option<Tclsh> {
    let wrapper = wrapper(&workspace.target("tcl9"));
    wrapper.exists().then(|| Tclsh::probe(&[wrapper.to_string_lossy().into_owned()])).flatten()
}

/// Fetches and unpacks Tcl 9.
pub(crate) fn unpack(workspace: &Workspace) -> Result<Tclsh> {
    let (sources, name) = later_sources()?;
    println!("Unpacking a private Tcl 9 into target/tcl9 …");
    let folder = workspace.target("tcl9");
    let (apt, downloads) = (folder.join("apt"), folder.join("packages"));
    remove_folder(&folder)?;
    for folder in [&apt.join("lists/partial"), &apt.join("cache"), &downloads] {
        empty_folder(folder)?;
    }
    let list = apt.join(name);
    write(&list, &sources)?;

    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&downloads).args(["-q", "-o"]);
        command.arg(format!("Dir::Etc::sourcelist={}", list.display()));
        command.args(["-o", "Dir::Etc::sourceparts=-", "-o"]);
        command.arg(format!("Dir::State::Lists={}", apt.join("lists").display()));
        command.args(["-o".to_owned()]);
        command.arg(format!("Dir::Cache={}", apt.join("cache").display()));
        // As another user apt could not read below a home directory.
        command.args(["-o", "APT::Sandbox::User=root"]);
        process::output(command.args(arguments), "")
    };
    apt_get(&["update"])?;
    let mut download = vec!["download"];
    download.extend(PACKAGES);
    apt_get(&download)?;

    let root = folder.join("root");
    for package in entries(&downloads)? {
        process::output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root), "")?;
    }
    write_wrapper(&folder, &root)?;
    remove_folder(&apt)?;
    remove_folder(&downloads)?;
    unpacked(workspace).ok_or_else(|| missing("the Tcl 9 that was unpacked does not run"))
}

/// The system's own list of Debian's archive, made to speak of the later release, and its file name.
fn later_sources() -> Result<(String, &'static str)> {
    let codename = fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| codename(&text))
        .ok_or_else(|| missing("only on Debian can a private Tcl 9 be unpacked"))?;
    if !EARLIER.contains(&codename.as_str()) {
        return Err(missing(&format!("no private Tcl 9 for a system called {codename}")));
    }
    [("/etc/apt/sources.list.d/debian.sources", "debian.sources"), ("/etc/apt/sources.list", "debian.list")]
        .into_iter()
        .filter_map(|(file, name)| Some((fs::read_to_string(file).ok()?, name)))
        .find(|(text, _)| text.contains(&codename))
        .map(|(text, name)| (text.replace(&codename, RELEASE), name))
        .ok_or_else(|| missing("apt has no list of Debian's archive"))
}

/// The release that `/etc/os-release` names.
fn codename(os_release: &str) -> Option<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned()).filter(|name| !name.is_empty())
}

/// A script that starts the unpacked tclsh by its own dynamic linker, so that one path is the whole command.
fn write_wrapper(folder: &Path, root: &Path) -> Result<()> {
    let library = entries(&root.join("usr/lib"))?
        .into_iter()
        .find(|folder| folder.join("libtcl9.0.so").exists())
        .ok_or_else(|| missing("the packages hold no libtcl9.0.so"))?;
    let linker = [&library, &root.join("usr/lib64"), &root.join("usr/lib")]
        .into_iter()
        .filter_map(|folder| entries(folder).ok())
        .flatten()
        .find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ld-linux")
        })
        .ok_or_else(|| missing("the packages hold no dynamic linker"))?;
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let script = format!(
        r#"#!/bin/sh
# Starts the Tcl 9 that is unpacked beside this file.
here=$(cd "${{0%/*}}" && pwd)
root=$here/root
export TCL_LIBRARY="$root/usr/lib/tcl9.0"
export TCL9_0_TM_PATH="$root/usr/lib/tcl9.0/tcl9"
packages="$root/usr/lib/tcltk/{triple} $root/usr/share/tcltk"
case " ${{TCLLIBPATH-}} " in
    *" $packages "*) ;;
    *) export TCLLIBPATH="${{TCLLIBPATH:+$TCLLIBPATH }}$packages" ;;
esac
# What the script gets as `info nameofexecutable` cannot be started without all this.
export TCLSH_CMD="${{TCLSH_CMD:-$here/tclsh9.0}}"
exec "$root/{linker}" --library-path "$root/{library}" "$root/usr/bin/tclsh9.0" "$@"
"#,
        triple = library.file_name().unwrap_or_default().to_string_lossy(),
        linker = relative(&linker),
        library = relative(&library),
    );
    let wrapper = wrapper(folder);
    write(&wrapper, &script)?;
    process::run(Command::new("chmod").arg("+x").arg(&wrapper))
}

fn wrapper(folder: &Path) -> PathBuf {
    folder.join("tclsh9.0")
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(Error::path("write", file))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).map_err(Error::path("read", folder))?;
    let mut entries: Vec<_> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    Ok(entries)
}

fn missing(what: &str) -> Error {
    Error::Missing {
        what: what.to_owned(),
        remedy: "Tcl 9 can be built from its sources and named by TCLSH9.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read() {
        let text = "ID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(codename(text).as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=arch\n"), None);
    }
}
