//! `doc`: the manual pages, made from `doc/*.man` by tcllib's dtplite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::workspace::{Workspace, copy_into, empty_folder, files_in};
use crate::{apt, process};

/// Where the sources are, relative to the tree.
const SOURCES: &str = "doc";
const STYLE: &str = "doc/manual.css";
/// What pages are named as belonging to.
const MODULE: &str = "tcl-rustls";

/// The pages as they are made.
pub(crate) struct Manual {
    /// Pages for `man`, each `NAME.n`.
    pub(crate) man: PathBuf,
    /// Pages for a browser; the first is `index.html`.
    pub(crate) html: PathBuf,
}

/// Makes the pages in `target/manual`.
///
/// # Errors
/// There is no dtplite and it cannot be installed, or it complains of a page.
pub(crate) fn build(workspace: &Workspace) -> Result<Manual> {
    build_in(workspace, &workspace.target("manual"))
}

/// The same in another folder, which is emptied first.
pub(crate) fn build_in(workspace: &Workspace, folder: &Path) -> Result<Manual> {
    ensure_dtplite()?;
    empty_folder(folder)?;
    let manual = Manual { man: folder.join("man/mann"), html: folder.join("html") };

    let nroff = folder.join("nroff");
    dtplite(workspace, &nroff, "nroff", &[])?;
    fs::create_dir_all(&manual.man).map_err(Error::path("make", &manual.man))?;
    for page in files_in(&nroff.join("files"))? {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let installed = manual.man.join(format!("{name}.n"));
        fs::copy(&page, &installed).map_err(Error::path("write", &installed))?;
    }
    empty_folder(&nroff)?;
    fs::remove_dir(&nroff).map_err(Error::path("remove", &nroff))?;

    let made = folder.join("dtplite");
    let style = workspace.source(STYLE);
    dtplite(workspace, &made, "html", &["-style".as_ref(), style.as_os_str()])?;
    fs::create_dir_all(&manual.html).map_err(Error::path("make", &manual.html))?;
    copy_into(&style, &manual.html)?;
    for page in files_in(&made.join("files"))? {
        finish(&page, &manual.html, "")?;
    }
    // Who opens the folder shall see the contents first.
    finish(&made.join("toc.html"), &manual.html, "index.html")?;
    finish(&made.join("index.html"), &manual.html, "keywords.html")?;
    fs::remove_dir_all(&made).map_err(Error::path("remove", &made))?;
    Ok(manual)
}

/// Copies a page of HTML into a flat folder, under another name unless that is empty, and sets its links right.
fn finish(page: &Path, folder: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(page).map_err(Error::path("read", page))?;
    let name = if name.is_empty() { page.file_name().unwrap_or_default() } else { name.as_ref() };
    let file = folder.join(name);
    fs::write(&file, finished(&text)).map_err(Error::path("write", &file))
}

/// Names of the pages as in the flat folder, and what a browser of today wants to be told.
fn finished(page: &str) -> String {
    const HEAD: &str = "<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
                        initial-scale=1\">";
    page.replacen("<head>", HEAD, 1)
        .replacen("<html>", "<html lang=\"en\">", 1)
        .replace("=\"../index.html", "=\"keywords.html")
        .replace("=\"index.html", "=\"keywords.html")
        .replace("=\"../toc.html", "=\"index.html")
        .replace("=\"toc.html", "=\"index.html")
        .replace("=\"../files/", "=\"")
        .replace("=\"files/", "=\"")
        .replace("=\"../manual.css", "=\"manual.css")
}

fn dtplite(workspace: &Workspace, output: &Path, format: &str, options: &[&std::ffi::OsStr]) -> Result<()> {
    let mut command = Command::new("dtplite");
    // What a Tcl that started us needs in its environment is wrong for the one that dtplite runs in.
    command.env_remove("TCL_LIBRARY").env_remove("TCLLIBPATH");
    command.arg("-o").arg(output).args(["-module", MODULE]).args(options).arg(format).arg(workspace.source(SOURCES));
    let (status, said) = process::captured(&mut command)?;
    if status.success() && !complains(&said) {
        return Ok(());
    }
    Err(Error::Pages { said })
}

/// What dtplite says of a page that is not well-formed; it ends successfully all the same.
fn complains(said: &str) -> bool {
    let said = said.to_lowercase();
    ["warning", "error"].iter().any(|word| said.contains(word))
}

fn ensure_dtplite() -> Result<()> {
    // Called without arguments it says how to use it, and fails.
    let there = || Command::new("dtplite").env_remove("TCL_LIBRARY").output().is_ok();
    if there() {
        return Ok(());
    }
    let why = apt::install(&["tcllib"]).err();
    if there() {
        return Ok(());
    }
    let because = why.map_or_else(String::new, |error| format!("{error}\n"));
    Err(Error::Missing {
        what: "dtplite, which makes the manual pages, is not on this machine".to_owned(),
        remedy: format!("{because}{}", apt::by_hand("tcllib")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_where_the_pages_are() {
        let page = "<html><head>\n<link href=\"../manual.css\"><a href=\"../toc.html\"> <a href=\"../index.html#tls\"> \
                    <a href=\"files/a.html\">";
        let page = finished(page);
        for link in ["\"manual.css\"", "\"index.html\"", "\"keywords.html#tls\"", "\"a.html\""] {
            assert!(page.contains(link), "{page}");
        }
        assert!(page.starts_with("<html lang=\"en\"><head>\n<meta charset="));
    }

    #[test]
    fn complaints_are_seen() {
        assert!(complains("\ta.man\nDocTools Warning (mpextra): macro not closed"));
        assert!(!complains("Writing toc (nroff) toc.nroff ...\n\ttcl-rustls.man"));
    }
}
