//! What `dist` and `deb` have in common: the files of a release, put together so that the same sources give the same bytes.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::workspace::{Workspace, copy_files, copy_into};
use crate::{doc, licences, package, process};

/// Where the files of a release go.
pub(crate) struct Places {
    /// The package's own folder, with library and index.
    pub(crate) package: PathBuf,
    /// Pages for `man`.
    pub(crate) man: PathBuf,
    /// Everything else that is to be read.
    pub(crate) doc: PathBuf,
}

/// What is put into these places, built.
pub(crate) struct Files {
    package: PathBuf,
    manual: doc::Manual,
    notices: licences::Notices,
}

/// Builds what a release consists of; without `build`, the library is taken as it is in `target/package`.
pub(crate) fn files(workspace: &Workspace, build: bool) -> Result<Files> {
    let package = if build { package::build(workspace)? } else { workspace.package_folder() };
    if !package.join("pkgIndex.tcl").is_file() {
        return Err(Error::Missing {
            what: format!("{} is not there", package.display()),
            remedy: "Run `make` first.".to_owned(),
        });
    }
    Ok(Files { package, manual: doc::build(workspace)?, notices: licences::collect(workspace)? })
}

impl Files {
    /// Copies all of it.
    pub(crate) fn put(&self, workspace: &Workspace, places: &Places) -> Result<()> {
        copy_files(&self.package, &places.package)?;
        put_documents(workspace, &self.manual, Some(&self.notices), places)
    }
}

/// Copies all but the package itself.
pub(crate) fn put_documents(
    workspace: &Workspace,
    manual: &doc::Manual,
    notices: Option<&licences::Notices>,
    places: &Places,
) -> Result<()> {
    copy_files(&manual.man, &places.man)?;
    copy_files(&manual.html, &places.doc.join("html"))?;
    if let Some(notices) = notices {
        notices.write(&places.doc)?;
    }
    ["CHANGELOG.md", "SECURITY.md"].iter().try_for_each(|file| copy_into(&workspace.source(file), &places.doc))
}

/// When the sources were last changed, in seconds since 1970: `SOURCE_DATE_EPOCH`, else the last commit, else the time of the
/// lock file. All files of a release bear this time.
pub(crate) fn epoch(workspace: &Workspace) -> u64 {
    let number = |text: String| text.trim().parse::<u64>().ok();
    let given = env::var("SOURCE_DATE_EPOCH").ok().and_then(number);
    let committed = || {
        let mut git = Command::new("git");
        git.arg("-C").arg(workspace.source("")).args(["log", "-1", "--format=%ct"]);
        process::output(&mut git, "").ok().and_then(number)
    };
    let locked = || {
        let changed = fs::metadata(workspace.source("Cargo.lock")).and_then(|file| file.modified()).ok()?;
        Some(changed.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
    };
    given.or_else(committed).or_else(locked).unwrap_or_default()
}

/// Gives everything below a folder, and the folder, the usual modes and the time `epoch`.
pub(crate) fn level(path: &Path, epoch: u64) -> Result<()> {
    let is_folder = path.is_dir();
    if is_folder {
        for entry in fs::read_dir(path).map_err(Error::path("read", path))? {
            level(&entry.map_err(Error::path("read", path))?.path(), epoch)?;
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 });
        fs::set_permissions(path, mode).map_err(Error::path("set the mode of", path))?;
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch);
    let file = File::open(path).map_err(Error::path("open", path))?;
    file.set_modified(time).map_err(Error::path("set the time of", path))
}

/// Compresses a file by gzip, without name and time in it; it is then called `NAME.gz`.
pub(crate) fn compress(file: &Path) -> Result<()> {
    process::run(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(file))
}

/// Every file below a folder, relative to it, in order.
pub(crate) fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(Error::path("read", &next))? {
            let path = entry.map_err(Error::path("read", &next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
