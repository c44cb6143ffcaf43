//! `deb`: a Debian package of the built library, for every Tcl of the system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::release::{self, Places};
use crate::workspace::{VERSION, Workspace, empty_folder, files_in, remove_folder};
use crate::{apt, process};

const NAME: &str = "tcl-rustls";
/// Debian's part of the version.
const REVISION: &str = "1";

/// Builds the package; returns its path.
pub(crate) fn build(workspace: &Workspace, build: bool) -> Result<PathBuf> {
    if !process::succeeds(Command::new("dpkg-deb").arg("--version")) {
        return Err(Error::Missing {
            what: "dpkg-deb, which makes Debian packages, is not on this machine".to_owned(),
            remedy: apt::by_hand("dpkg"),
        });
    }
    let files = release::files(workspace, build)?;
    let epoch = release::epoch(workspace);
    let architecture = said("dpkg", &["--print-architecture"])?;
    let output = workspace.target("dist");
    let root = output.join("deb");
    empty_folder(&root)?;

    // Both Debian's tclsh8.6 and its tclsh9.0 look here.
    let tcl = root.join("usr/lib/tcltk").join(said("cc", &["-print-multiarch"])?);
    let documents = root.join("usr/share/doc").join(NAME);
    let places = Places {
        package: tcl.join(Workspace::package_name()),
        man: root.join("usr/share/man/man3"),
        doc: documents.clone(),
    };
    files.put(workspace, &places)?;
    arrange(workspace, &places, epoch)?;

    let mut depends = Vec::new();
    for file in files_in(&places.package)? {
        if file.extension().is_some_and(|extension| extension == "so") {
            depends = needed(&file)?;
        }
    }
    let size = size_in_kilobytes(&root)?;
    let sums = checksums(&root)?;
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control).map_err(Error::path("make", &control))?;
    write(&control.join("control"), &control_file(&architecture, &depends, size))?;
    write(&control.join("md5sums"), &sums)?;
    release::level(&root, epoch)?;

    let package = output.join(format!("{NAME}_{VERSION}-{REVISION}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.env("SOURCE_DATE_EPOCH", epoch.to_string());
    command.args(["--root-owner-group", "-Zxz", "--build"]).arg(&root).arg(&package);
    process::output(&mut command, "")?;
    remove_folder(&root)?;
    Ok(package)
}

/// The documents as Debian wants them: licences in one file, changelogs and manual pages compressed.
fn arrange(workspace: &Workspace, places: &Places, epoch: u64) -> Result<()> {
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let file = places.package.join(licence);
        fs::remove_file(&file).map_err(Error::path("remove", &file))?;
    }
    let mit = workspace.source("LICENSE-MIT");
    let mit = fs::read_to_string(&mit).map_err(Error::path("read", &mit))?;
    write(&places.doc.join("copyright"), &copyright(&mit))?;

    let mut compressed = Vec::new();
    for page in files_in(&places.man)? {
        compressed.push(debian_page(&page)?);
    }
    let changes = places.doc.join("CHANGELOG.md");
    let upstream = places.doc.join("changelog");
    fs::rename(&changes, &upstream).map_err(Error::path("rename", &changes))?;
    let debian = places.doc.join("changelog.Debian");
    write(&debian, &changelog(&said("date", &["--utc", "--rfc-email", &format!("--date=@{epoch}")])?))?;
    compressed.extend([upstream, debian, places.doc.join("THIRD-PARTY.txt")]);
    compressed.iter().try_for_each(|file| release::compress(file))
}

/// Gives a manual page the section that Debian has in place of `n`; returns its new path.
fn debian_page(page: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(page).map_err(Error::path("read", page))?;
    let renamed = page.with_extension("3tcl");
    write(&renamed, &in_debian_section(&text))?;
    fs::remove_file(page).map_err(Error::path("remove", page))?;
    Ok(renamed)
}

fn in_debian_section(page: &str) -> String {
    let lines = page.split_inclusive('\n');
    lines
        .map(|line| if line.starts_with(".TH ") { line.replacen(" n ", " 3tcl ", 1) } else { line.to_owned() })
        .collect()
}

fn control_file(architecture: &str, depends: &[String], size: u64) -> String {
    format!(
        "Package: {NAME}\n\
         Version: {VERSION}-{REVISION}\n\
         Architecture: {architecture}\n\
         Maintainer: {maintainer}\n\
         Installed-Size: {size}\n\
         Depends: {depends}, libtcl8.6 | libtcl9.0\n\
         Recommends: ca-certificates, tcl | tclsh\n\
         Section: interpreters\n\
         Priority: optional\n\
         Description: TLS channels for Tcl 8.6 and Tcl 9, on rustls\n \
          The Tcl package twapi_crypto: tls_socket and starttls make TLS 1.2 and 1.3\n \
          channels that work like TCP sockets, for clients and servers, with\n \
          certificates verified by default. Commands for certificates, stores and\n \
          credentials are those of the TLS module of the Tcl Windows API.\n \
          .\n \
          One shared library serves all versions of Tcl from 8.6 on.\n",
        maintainer = maintainer(),
        depends = depends.join(", "),
    )
}

/// By the variables that Debian's tools use. There is no address that could be promised to be read.
fn maintainer() -> String {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let name = variable("DEBFULLNAME").unwrap_or_else(|| "tcl-rustls authors".to_owned());
    let address = variable("DEBEMAIL").unwrap_or_else(|| "nobody@tcl-rustls.invalid".to_owned());
    format!("{name} <{address}>")
}

fn changelog(date: &str) -> String {
    format!(
        "{NAME} ({VERSION}-{REVISION}) unstable; urgency=medium\n\n  * Release {VERSION}; changelog.gz tells what is \
         new.\n\n -- {}  {date}\n",
        maintainer()
    )
}

fn copyright(mit: &str) -> String {
    format!(
        "tcl-rustls is licensed under the MIT licence or the Apache License, version 2.0, at your\n\
         choice. The latter is in /usr/share/common-licenses/Apache-2.0. The former:\n\n{}\n\n\
         The library has others linked into it. THIRD-PARTY.txt.gz and rust-standard-library.html,\n\
         beside this file, have their names and the texts of their licences.\n",
        mit.trim_end()
    )
}

/// The packages that the library needs, of the version whose symbols it uses.
fn needed(library: &Path) -> Result<Vec<String>> {
    let mut readelf = Command::new("readelf");
    readelf.env("LC_ALL", "C").args(["--wide", "--dynamic", "--version-info"]).arg(library);
    depends_of(&process::output(&mut readelf, "")?)
}

fn depends_of(readelf: &str) -> Result<Vec<String>> {
    let mut depends = Vec::new();
    let mut add = |package: &str, symbols: &str| {
        let version = highest(readelf, symbols);
        let depend = version.map_or_else(|| package.to_owned(), |version| format!("{package} (>= {version})"));
        if !depends.contains(&depend) {
            depends.push(depend);
        }
    };
    for line in readelf.lines().filter(|line| line.contains("(NEEDED)")) {
        let library = line.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
        match library.split(".so").next().unwrap_or_default() {
            "libc" | "libm" | "libdl" | "libpthread" | "librt" => add("libc6", "GLIBC_"),
            // The loader is part of the C library.
            loader if loader.starts_with("ld-linux") || loader.starts_with("ld64") => {}
            "libgcc_s" => add("libgcc-s1", "GCC_"),
            _ => {
                return Err(Error::Missing {
                    what: format!("the library needs {library}, and which package has it is not known"),
                    remedy: "Add it to `depends_of` in xtask/src/deb.rs.".to_owned(),
                });
            }
        }
    }
    depends.sort();
    Ok(depends)
}

/// The highest version of the symbols that begin so, by two numbers: `2.34`.
fn highest(readelf: &str, symbols: &str) -> Option<String> {
    let names = readelf.split_whitespace().filter_map(|word| word.strip_prefix(symbols));
    let versions = names.filter_map(|version| {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
    });
    versions.max().map(|(major, minor)| format!("{major}.{minor}"))
}

fn size_in_kilobytes(root: &Path) -> Result<u64> {
    let mut size = 0;
    for file in release::all_files(root)? {
        let path = root.join(file);
        size += fs::metadata(&path).map_err(Error::path("read", &path))?.len().div_ceil(1024);
    }
    Ok(size)
}

fn checksums(root: &Path) -> Result<String> {
    let mut sums = Command::new("md5sum");
    sums.current_dir(root).args(release::all_files(root)?);
    process::output(&mut sums, "")
}

/// The one line that a program prints.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    Ok(process::output(Command::new(program).args(arguments), "")?.trim().to_owned())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(Error::path("write", file))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const READELF: &str = " 0x1 (NEEDED)  Shared library: [libgcc_s.so.1]\n 0x1 (NEEDED)  Shared library: [libc.so.6]\n \
                           0x1 (NEEDED)  Shared library: [ld-linux-x86-64.so.2]\n  0x0010:   Name: GLIBC_2.9  Flags: none\n  \
                           0x0010:   Name: GLIBC_2.34  Flags: none\n  0x20:   Name: GCC_4.2.0  Flags: none\n  Name: GCC_3.3\n";

    #[test]
    fn what_the_library_needs_is_computed() {
        assert_eq!(depends_of(READELF).unwrap(), ["libc6 (>= 2.34)", "libgcc-s1 (>= 4.2)"]);
        assert!(depends_of(" 0x1 (NEEDED) Shared library: [libssl.so.3]\n").is_err());
    }

    #[test]
    fn pages_are_in_the_section_that_debian_has_for_tcl() {
        assert_eq!(
            in_debian_section(".\\\" a n b\n.TH \"x\" n 4 m\na n b\n"),
            ".\\\" a n b\n.TH \"x\" 3tcl 4 m\na n b\n"
        );
    }

    #[test]
    fn the_control_file_has_what_dpkg_wants() {
        let control = control_file("amd64", &["libc6 (>= 2.34)".to_owned()], 5000);
        for field in ["Package", "Version", "Architecture", "Maintainer", "Depends", "Description", "Installed-Size"] {
            assert!(control.lines().any(|line| line.starts_with(&format!("{field}: "))), "{field}: {control}");
        }
        // Every line of the long description begins with one space.
        assert!(
            control.lines().skip_while(|line| !line.starts_with("Description")).skip(1).all(|l| l.starts_with(' '))
        );
        assert!(!control.contains("  "));
    }
}
