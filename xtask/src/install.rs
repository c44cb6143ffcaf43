//! `install` and `uninstall`: the package in a directory where tclsh looks for packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::{env, process};

use crate::error::{Error, Result};
use crate::release::{self, Places};
use crate::tcl::{self, Line, Tclsh};
use crate::workspace::{PACKAGE, VERSION, Workspace, copy_into, empty_folder, files_in, remove_folder};
use crate::{doc, licences, package};

/// Below which directory things go, where nothing else is said.
const DEFAULT_PREFIX: &str = "/usr/local";

/// What the user said about where to install.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Below which directory; `/usr/local` if not given.
    pub(crate) prefix: Option<PathBuf>,
    /// The directory itself, whatever tclsh looks through.
    pub(crate) tcllibdir: Option<PathBuf>,
    /// The root of a staged installation, put before every path.
    pub(crate) destdir: Option<PathBuf>,
}

/// Installs the package, for each tclsh of this machine, and what is to be read about it.
pub(crate) fn install(workspace: &Workspace, place: &Place, build: bool) -> Result<()> {
    let folder = if build { package::build(workspace)? } else { workspace.package_folder() };
    let shells = shells()?;
    for directory in directories(place, &shells)? {
        let installed = staged(place, &directory).join(Workspace::package_name());
        copy_package(&folder, &installed)?;
        println!("Installed {}", installed.display());
    }
    install_documents(workspace, place)?;
    if place.destdir.is_none() {
        for tclsh in &shells {
            verify(tclsh, place)?;
        }
    }
    Ok(())
}

/// Removes the package from every directory that `install` with the same wishes would have put it in.
pub(crate) fn uninstall(place: &Place) -> Result<()> {
    let mut found = false;
    for directory in directories(place, &shells()?)? {
        let installed = staged(place, &directory).join(Workspace::package_name());
        if installed.join("pkgIndex.tcl").exists() {
            remove_folder(&installed)?;
            println!("Removed {}", installed.display());
            found = true;
        }
    }
    found |= uninstall_documents(place)?;
    if !found {
        println!("Nothing to remove: {PACKAGE} {VERSION} is not installed there.");
    }
    Ok(())
}

/// Where manual pages and licences go; none where only the package's own directory was named.
fn documents(place: &Place) -> Option<Places> {
    let prefix = match (&place.prefix, &place.tcllibdir) {
        (Some(prefix), _) => prefix.clone(),
        (None, Some(_)) => return None,
        (None, None) => PathBuf::from(DEFAULT_PREFIX),
    };
    let share = staged(place, &prefix).join("share");
    Some(Places { package: PathBuf::new(), man: share.join("man/mann"), doc: share.join("doc/tcl-rustls") })
}

fn install_documents(workspace: &Workspace, place: &Place) -> Result<()> {
    let Some(places) = documents(place) else {
        println!("Manual pages are not installed: PREFIX=DIR says below which directory they shall be.");
        return Ok(());
    };
    // Not in `target`: root may be the one who installs what another has built.
    let scratch = env::temp_dir().join(format!("tcl-rustls-manual-{}", process::id()));
    // cargo tells what is linked in; root may not have it.
    let notices = licences::collect(workspace);
    if let Err(error) = &notices {
        println!("The licences of what is linked into the library are not installed: {error}");
    }
    let made = doc::build_in(workspace, &scratch).and_then(|manual| {
        remove_folder(&places.doc)?;
        release::put_documents(workspace, &manual, notices.ok().as_ref(), &places)
    });
    remove_folder(&scratch)?;
    match made {
        Ok(()) => {
            println!("Installed {} and {}", places.man.join("tcl-rustls*.n").display(), places.doc.display());
            Ok(())
        }
        // The package works without them.
        Err(error @ Error::Missing { .. }) => {
            println!("Manual pages are not installed: {error}");
            Ok(())
        }
        Err(error) => Err(with_remedy(error)),
    }
}

/// Removes the manual pages and what else is to be read; says whether there was anything.
fn uninstall_documents(place: &Place) -> Result<bool> {
    let Some(places) = documents(place) else { return Ok(false) };
    let pages = if places.man.is_dir() { files_in(&places.man)? } else { Vec::new() };
    let mut found = false;
    for page in pages.iter().filter(|page| is_our_page(page)) {
        fs::remove_file(page).map_err(Error::path("remove", page))?;
        found = true;
    }
    if places.doc.is_dir() {
        remove_folder(&places.doc)?;
        println!("Removed {}", places.doc.display());
        found = true;
    }
    // Only if nothing else is in them.
    for folder in [Some(places.man.as_path()), places.doc.parent()].into_iter().flatten() {
        let _ = fs::remove_dir(folder);
    }
    Ok(found)
}

fn is_our_page(page: &Path) -> bool {
    let name = page.file_name().unwrap_or_default().to_string_lossy();
    name == "tcl-rustls.n" || (name.starts_with("tcl-rustls-") && name.ends_with(".n"))
}

fn shells() -> Result<Vec<Tclsh>> {
    let found = [Tclsh::find(Line::V8)?, Tclsh::find(Line::V9)?];
    Ok(found.into_iter().flatten().collect())
}

/// The directories to install into, so that each tclsh has one: as few as possible.
fn directories(place: &Place, shells: &[Tclsh]) -> Result<Vec<PathBuf>> {
    if let Some(directory) = &place.tcllibdir {
        return Ok(vec![directory.clone()]);
    }
    let prefix = place.prefix.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_PREFIX));
    if shells.is_empty() {
        return Ok(vec![prefix.join("lib")]);
    }
    let mut searched = Vec::new();
    for tclsh in shells {
        let path = tclsh.eval_in("foreach directory $auto_path {puts $directory}", |command| {
            command.env_remove("TCLLIBPATH");
        })?;
        searched.push(path.lines().map(PathBuf::from).collect::<Vec<_>>());
    }
    choose(&searched, &prefix).ok_or_else(|| Error::Missing {
        what: format!(
            "no directory below {} is one where every tclsh here looks for packages",
            prefix.display()
        ),
        remedy: format!(
            "They look in:\n{}\nGive PREFIX=DIR to install below another directory, or TCLLIBDIR=DIR to name the very one \
             (then set TCLLIBPATH to it when tclsh does not look there).",
            lines(&searched)
        ),
    })
}

/// One directory below `prefix` that all search paths have; else for each search path its own first one.
fn choose(searched: &[Vec<PathBuf>], prefix: &Path) -> Option<Vec<PathBuf>> {
    let below = |path: &Path| {
        // Neither the script library of a Tcl nor what machines of all kinds share is the place for a library like ours.
        let shared = path.components().any(|part| part.as_os_str() == "share");
        path.starts_with(prefix) && path != prefix && !shared && !path.join("init.tcl").exists()
    };
    let (first, others) = searched.split_first()?;
    let common = first.iter().filter(|path| below(path)).find(|path| others.iter().all(|other| other.contains(path)));
    if let Some(path) = common {
        return Some(vec![path.clone()]);
    }
    let each: Option<BTreeSet<PathBuf>> =
        searched.iter().map(|paths| paths.iter().find(|path| below(path)).cloned()).collect();
    Some(each?.into_iter().collect())
}

fn lines(searched: &[Vec<PathBuf>]) -> String {
    let all: BTreeSet<String> = searched.iter().flatten().map(|path| format!("  {}", path.display())).collect();
    all.into_iter().collect::<Vec<_>>().join("\n")
}

fn staged(place: &Place, directory: &Path) -> PathBuf {
    match &place.destdir {
        // `join` of an absolute path would forget the root.
        Some(root) => root.join(directory.strip_prefix("/").unwrap_or(directory)),
        None => directory.to_path_buf(),
    }
}

fn copy_package(from: &Path, to: &Path) -> Result<()> {
    let files = fs::read_dir(from).map_err(Error::path("read", from))?;
    // A library that a running process has loaded must not be overwritten in place, so the old folder goes first.
    empty_folder(to).map_err(with_remedy)?;
    for file in files {
        let file = file.map_err(Error::path("read", from))?.path();
        copy_into(&file, to)?;
    }
    Ok(())
}

fn with_remedy(error: Error) -> Error {
    match error {
        Error::Io { doing, source } if source.kind() == std::io::ErrorKind::PermissionDenied => Error::Missing {
            what: format!("cannot {doing}: {source}"),
            remedy: "Run `sudo make install`, or install for yourself: make install \
                         TCLLIBDIR=$HOME/.local/lib/tcltk, and set TCLLIBPATH to that directory."
                .to_owned(),
        },
        other => other,
    }
}

/// Loads the installed package as any script would.
fn verify(tclsh: &Tclsh, place: &Place) -> Result<()> {
    let searched = match &place.tcllibdir {
        Some(directory) => {
            let word = directory.to_string_lossy().into_owned();
            format!("lappend auto_path {}\n", tcl::list(&[word]))
        }
        None => String::new(),
    };
    let script = format!("{searched}package require -exact {PACKAGE} {VERSION}\nputs [package provide {PACKAGE}]");
    match tclsh.eval_in(&script, |command| {
        command.env_remove("TCLLIBPATH");
    }) {
        Ok(version) => {
            println!("{tclsh}: package require {PACKAGE} → {version}");
            Ok(())
        }
        Err(error) => Err(Error::NotLoadable {
            tclsh: tclsh.to_string(),
            said: match error {
                Error::Program { said, .. } => said.trim().to_owned(),
                other => other.to_string(),
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_common_directory_is_preferred() {
        let searched = [
            paths(&["/usr/lib", "/usr/local/lib/tcl8", "/usr/local/lib/tcltk"]),
            paths(&["/usr/local/lib/tcl9", "/usr/local/lib/tcltk"]),
        ];
        let chosen = choose(&searched, Path::new("/usr/local"));
        assert_eq!(chosen, Some(paths(&["/usr/local/lib/tcltk"])));
    }

    #[test]
    fn else_each_has_its_own() {
        let searched = [paths(&["/usr/lib", "/usr/local/lib/tcl8"]), paths(&["/usr/local/lib/tcl9"])];
        let chosen = choose(&searched, Path::new("/usr/local"));
        assert_eq!(chosen, Some(paths(&["/usr/local/lib/tcl8", "/usr/local/lib/tcl9"])));
        assert_eq!(choose(&searched, Path::new("/opt")), None);
    }

    #[test]
    fn a_stage_goes_before_the_path() {
        let place = Place { destdir: Some("/tmp/stage".into()), ..Place::default() };
        assert_eq!(staged(&place, Path::new("/usr/lib")), Path::new("/tmp/stage/usr/lib"));
    }
}
