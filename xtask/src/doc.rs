//! `doc`: the manual pages, made from `doc/*.man` by tcllib's dtplite.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::workspace::{Workspace, copy_into, empty_folder, files_in, remove_folder};
use crate::{apt, process};

/// Where the sources are, relative to the tree.
const SOURCES: &str = "doc";
const STYLE: &str = "doc/manual.css";
/// What pages are named as belonging to.
const MODULE: &str = "tcl-rustls";

/// Stands for a backslash that Tcl must not see.
const GOES_ON: &str = "%line goes on%";
/// Stands on a line that must stay though it is empty.
const EMPTY: &str = "%empty line%";

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

    let sources = folder.join("source");
    empty_folder(&sources)?;
    for source in files_in(&workspace.source(SOURCES))? {
        if source.extension().is_some_and(|extension| extension == "man") {
            let text = fs::read_to_string(&source).map_err(Error::path("read", &source))?;
            let file = sources.join(source.file_name().unwrap_or_default());
            fs::write(&file, marked(&text)).map_err(Error::path("write", &file))?;
        }
    }

    let nroff = folder.join("nroff");
    dtplite(&sources, &nroff, "nroff", &[])?;
    fs::create_dir_all(&manual.man).map_err(Error::path("make", &manual.man))?;
    for page in files_in(&nroff.join("files"))? {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let installed = manual.man.join(format!("{name}.n"));
        let text = fs::read_to_string(&page).map_err(Error::path("read", &page))?;
        fs::write(&installed, text.replace(GOES_ON, r"\\").replace(EMPTY, ""))
            .map_err(Error::path("write", &installed))?;
    }
    remove_folder(&nroff)?;

    let made = folder.join("dtplite");
    let style = workspace.source(STYLE);
    dtplite(&sources, &made, "html", &["-style".as_ref(), style.as_os_str()])?;
    fs::create_dir_all(&manual.html).map_err(Error::path("make", &manual.html))?;
    copy_into(&style, &manual.html)?;
    for page in files_in(&made.join("files"))? {
        finish(&page, &manual.html, "")?;
    }
    // Who opens the folder shall see the contents first.
    finish(&made.join("toc.html"), &manual.html, "index.html")?;
    finish(&made.join("index.html"), &manual.html, "keywords.html")?;
    remove_folder(&made)?;
    remove_folder(&sources)?;
    Ok(manual)
}

/// The page with marks in its examples, for what dtplite would lose.
///
/// Examples are words in braces, which can be read and run as they stand. But Tcl joins a line of them that ends in a backslash
/// with the next one, so that dtplite never sees the two; and it makes HTML without empty lines.
fn marked(page: &str) -> String {
    let mut inside = false;
    let mut marked = String::with_capacity(page.len());
    for line in page.lines() {
        match line {
            "[example {" => inside = true,
            "}]" => inside = false,
            _ => {}
        }
        match line.strip_suffix('\\') {
            Some(start) if inside => marked.extend([start, GOES_ON]),
            None if inside && line.is_empty() => marked.push_str(EMPTY),
            _ => marked.push_str(line),
        }
        marked.push('\n');
    }
    marked
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
    page.replace(GOES_ON, r"\")
        .replace(EMPTY, "")
        .replacen("<head>", HEAD, 1)
        .replacen("<html>", "<html lang=\"en\">", 1)
        .replace("=\"../index.html", "=\"keywords.html")
        .replace("=\"index.html", "=\"keywords.html")
        .replace("=\"../toc.html", "=\"index.html")
        .replace("=\"toc.html", "=\"index.html")
        .replace("=\"../files/", "=\"")
        .replace("=\"files/", "=\"")
        .replace("=\"../manual.css", "=\"manual.css")
}

fn dtplite(sources: &Path, output: &Path, format: &str, options: &[&std::ffi::OsStr]) -> Result<()> {
    let mut command = Command::new("dtplite");
    // What a Tcl that started us needs in its environment is wrong for the one that dtplite runs in.
    command.env_remove("TCL_LIBRARY").env_remove("TCLLIBPATH");
    command.arg("-o").arg(output).args(["-module", MODULE]).args(options).arg(format).arg(sources);
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
    fn lines_of_examples_go_on_as_in_the_sources() {
        let page = "text \\\n[example {\nset x [y \\\n\n    z]\n}]\n\nmore \\\n";
        let marked = marked(page);
        assert_eq!((marked.matches(GOES_ON).count(), marked.matches(EMPTY).count()), (1, 1));
        assert_eq!(finished(&marked), page);
    }

    #[test]
    fn complaints_are_seen() {
        assert!(complains("\ta.man\nDocTools Warning (mpextra): macro not closed"));
        assert!(!complains("Writing toc (nroff) toc.nroff ...\n\ttcl-rustls.man"));
    }
}
