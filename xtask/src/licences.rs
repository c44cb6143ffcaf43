//! The licence texts of everything that is linked into the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::workspace::Workspace;

/// How files with licence texts begin, in lower case.
const NAMES: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// Source code of such a name is no text.
const NO_TEXTS: [&str; 5] = ["rs", "py", "c", "h", "go"];
/// What the notices of the standard library are called in a Rust toolchain.
const STANDARD_LIBRARY: &str = "share/doc/rust/COPYRIGHT-library.html";

/// What has to go with the library wherever it goes.
pub(crate) struct Notices {
    /// Plain text: all crates and their texts.
    pub(crate) crates: String,
    /// HTML: those of Rust's standard library, where the toolchain has them. Where not, `crates` says what holds.
    pub(crate) standard_library: Option<PathBuf>,
}

/// A crate that is linked in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Crate {
    name: String,
    version: String,
    /// As in its manifest, SPDX.
    licence: String,
}

/// Collects the texts.
///
/// # Errors
/// A crate comes without a licence text, and does not offer the Apache licence, whose text is the same for all.
pub(crate) fn collect(workspace: &Workspace) -> Result<Notices> {
    let folders = folders(workspace)?;
    let apache = workspace.source("LICENSE-APACHE");
    let apache = fs::read_to_string(&apache).map_err(Error::path("read", &apache))?;
    // Text → for what it holds.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list = String::new();
    for member in linked(workspace)? {
        let Crate { name, version, licence } = &member;
        let _ = writeln!(list, "  {name} {version}: {licence}");
        let mut found = Vec::new();
        if let Some(folder) = folders.get(&(name.clone(), version.clone())) {
            texts_in(folder, &mut found)?;
        }
        if found.is_empty() {
            if !offers_apache(licence) {
                return Err(Error::NoLicence { name: format!("{name} {version}") });
            }
            let _ = writeln!(list, "    (comes without a text; used under the Apache License 2.0)");
            found.push(apache.clone());
        }
        for text in found {
            texts.entry(text.trim_end().to_owned()).or_default().insert(format!("{name} {version}"));
        }
    }
    let standard_library = standard_library();
    let standard = if standard_library.is_some() {
        "Rust's standard library is linked in as well; its notices are in rust-standard-library.html."
    } else {
        texts.entry(apache.trim_end().to_owned()).or_default().insert("Rust's standard library".to_owned());
        "Rust's standard library is linked in as well, under the Apache License 2.0 (or MIT, at your choice)."
    };
    Ok(Notices { crates: rendered(&list, standard, &texts), standard_library })
}

fn rendered(list: &str, standard: &str, texts: &BTreeMap<String, BTreeSet<String>>) -> String {
    let rule = "=".repeat(80);
    let mut all = format!(
        "The shared library of tcl-rustls contains the following, with the licence of each.\n\n{list}\n{standard}\n"
    );
    // By the first of those it is for, so that the order does not hang on the words of a text.
    let mut ordered: Vec<_> = texts.iter().map(|(text, crates)| (crates, text)).collect();
    ordered.sort();
    for (crates, text) in ordered {
        let crates = crates.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = write!(all, "\n{rule}\n{crates}\n{rule}\n\n{text}\n");
    }
    all
}

/// The crates of others that end up in the library: neither build scripts and macros nor what only tests use.
fn linked(workspace: &Workspace) -> Result<BTreeSet<Crate>> {
    let mut command = workspace.cargo_plain();
    command.args(["tree", "--locked", "--package", "tcl-rustls", "--edges", "normal,no-proc-macro"]);
    command.args(["--prefix", "none", "--format", "{p}\t{l}"]);
    Ok(listed(&process::output(&mut command, "")?))
}

/// From lines like `aead v0.6.1<TAB>MIT OR Apache-2.0 (*)`. Crates of the workspace have a path behind the version.
fn listed(text: &str) -> BTreeSet<Crate> {
    let crates = text.lines().filter_map(|line| {
        let (package, licence) = line.split_once('\t')?;
        let (name, version) = package.split_once(" v")?;
        let licence = licence.trim_end_matches(" (*)").to_owned();
        (!version.contains(' ')).then(|| Crate { name: name.to_owned(), version: version.to_owned(), licence })
    });
    crates.collect()
}

/// Where the sources of each crate are, by name and version.
fn folders(workspace: &Workspace) -> Result<BTreeMap<(String, String), PathBuf>> {
    let mut command = workspace.cargo_plain();
    command.args(["metadata", "--locked", "--format-version", "1"]);
    // Crates for other systems need not be there.
    let compiler = process::output(Command::new("rustc").arg("-vV"), "").unwrap_or_default();
    if let Some(host) = compiler.lines().find_map(|line| line.strip_prefix("host: ")) {
        command.args(["--filter-platform", host]);
    }
    let mut folders = BTreeMap::new();
    for manifest in manifests(&process::output(&mut command, "")?) {
        let text = fs::read_to_string(&manifest).map_err(Error::path("read", &manifest))?;
        let (Some(name), Some(version), Some(folder)) =
            (package_key(&text, "name"), package_key(&text, "version"), manifest.parent())
        else {
            // A member of the workspace has its version elsewhere, and its licence at the root.
            continue;
        };
        folders.insert((name, version), folder.to_path_buf());
    }
    Ok(folders)
}

/// The manifests that the metadata name, each by `"manifest_path":"…"`.
fn manifests(metadata: &str) -> Vec<PathBuf> {
    let ends = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    ends.map(|path| PathBuf::from(path.replace("\\\\", "\\"))).collect()
}

/// A text of `[package]`, in the form that cargo gives to published manifests.
fn package_key(manifest: &str, key: &str) -> Option<String> {
    let package = manifest.split("\n[package]\n").nth(1)?.split("\n[").next()?;
    let line = package.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
    Some(line.trim().trim_matches('"').to_owned())
}

/// All licence texts below a folder, what is bundled there included; by path.
fn texts_in(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(Error::path("read", folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let named = NAMES.iter().any(|start| name.starts_with(start)) && !NO_TEXTS.contains(&extension.as_str());
        if path.is_dir() && !path.is_symlink() {
            texts_in(&path, found)?;
        } else if named && path.is_file() {
            let bytes = fs::read(&path).map_err(Error::path("read", &path))?;
            found.push(String::from_utf8_lossy(&bytes).replace('\r', ""));
        }
    }
    Ok(())
}

/// Whether the Apache licence is one that may be chosen: named, and in no part that has to hold besides.
fn offers_apache(licence: &str) -> bool {
    let choices = licence.replace('/', " OR ");
    !choices.contains("AND") && choices.split(" OR ").any(|choice| choice.trim() == "Apache-2.0")
}

fn standard_library() -> Option<PathBuf> {
    let root = process::output(Command::new("rustc").args(["--print", "sysroot"]), "").ok()?;
    Some(Path::new(root.trim()).join(STANDARD_LIBRARY)).filter(|file| file.is_file())
}

impl Notices {
    /// Writes the texts into a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(Error::path("make", folder))?;
        let file = folder.join("THIRD-PARTY.txt");
        fs::write(&file, &self.crates).map_err(Error::path("write", &file))?;
        if let Some(standard) = &self.standard_library {
            let file = folder.join("rust-standard-library.html");
            fs::copy(standard, &file).map_err(Error::path("write", &file))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn crates_of_others_are_listed_once() {
        let text = "tcl-rustls v4.7.1 (/src/crates/tcl-rustls)\tMIT OR Apache-2.0\nder v0.8.3\tApache-2.0 OR MIT\n\
                    der v0.8.3\tApache-2.0 OR MIT (*)\n\nuntrusted v0.9.0\tISC\n";
        let crates = listed(text);
        assert_eq!(crates.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["der", "untrusted"]);
        assert!(crates.iter().any(|c| c.version == "0.8.3" && c.licence == "Apache-2.0 OR MIT"));
    }

    #[test]
    fn manifests_are_read() {
        let metadata = r#"{"packages":[{"name":"a","manifest_path":"/r/a-1/Cargo.toml"},{"manifest_path":"C:\\b"}]}"#;
        assert_eq!(manifests(metadata), [PathBuf::from("/r/a-1/Cargo.toml"), PathBuf::from("C:\\b")]);
        let manifest =
            "# auto\n\n[package]\nedition = \"2021\"\nname = \"a\"\nversion = \"1.0\"\n\n[lib]\nname = \"x\"\n";
        assert_eq!(package_key(manifest, "name").as_deref(), Some("a"));
        assert_eq!(package_key(manifest, "version").as_deref(), Some("1.0"));
        assert_eq!(package_key("\n[package]\nversion.workspace = true\n", "version"), None);
    }

    #[test]
    fn only_a_free_choice_of_apache_stands_in_for_a_missing_text() {
        for (licence, offers) in [
            ("MIT/Apache-2.0", true),
            ("MIT OR Apache-2.0", true),
            ("MIT", false),
            ("ISC AND (Apache-2.0 OR ISC)", false),
            ("Apache-2.0 WITH LLVM-exception", false),
        ] {
            assert_eq!(offers_apache(licence), offers, "{licence}");
        }
    }

    #[test]
    fn a_text_is_given_once_with_all_it_is_for() {
        let mut texts = BTreeMap::new();
        texts.insert("text".to_owned(), BTreeSet::from(["a 1".to_owned(), "b 2".to_owned()]));
        let all = rendered("  a 1: MIT\n", "std", &texts);
        assert_eq!(all.matches("text").count(), 1);
        assert!(all.contains("\na 1, b 2\n"));
    }
}
