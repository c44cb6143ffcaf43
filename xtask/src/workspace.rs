//! Where things lie in the source tree and below `target`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// The version of the package, which is that of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The Tcl package that the library provides.
pub(crate) const PACKAGE: &str = "twapi_crypto";

/// The source tree.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The tree that this xtask was started in by cargo, else the one it was built from.
    pub(crate) fn locate() -> Self {
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf);
        Self { root }
    }

    /// A file or folder of the source tree.
    pub(crate) fn source(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A file or folder below `target`.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.root.join("target").join(relative)
    }

    /// The folder for `TCLLIBPATH`: it holds the package's folder.
    pub(crate) fn package_path(&self) -> PathBuf {
        self.target("package")
    }

    /// The package's own folder, which can be moved to any directory of Tcl's `auto_path`.
    pub(crate) fn package_folder(&self) -> PathBuf {
        self.package_path().join(Self::package_name())
    }

    /// The name of the package's folder wherever it is installed.
    pub(crate) fn package_name() -> String {
        format!("tcl-rustls{VERSION}")
    }

    /// Where cargo is told to build: the same below `target`, unless the environment wishes otherwise.
    pub(crate) fn cargo_target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .filter(|value| !value.is_empty())
            .map_or_else(|| self.target(""), |value| self.root.join(value))
    }

    /// The cargo that started xtask, at the root of the tree.
    pub(crate) fn cargo_plain(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// `cargo SUBCOMMAND …` that builds something.
    pub(crate) fn cargo(&self, subcommand: &[&str]) -> Command {
        let mut command = self.cargo_plain();
        command.args(subcommand).arg("--target-dir").arg(self.cargo_target());
        command
    }
}

/// Makes `folder` exist and be empty.
pub(crate) fn empty_folder(folder: &Path) -> Result<()> {
    remove_folder(folder)?;
    fs::create_dir_all(folder).map_err(Error::path("make", folder))
}

/// Removes `folder` with all that is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::path("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Copies a file into a folder under its own name.
pub(crate) fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    fs::copy(file, folder.join(name)).map(|_| ()).map_err(Error::path("copy", file))
}

/// The files of a folder, by name.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::path("read", folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::path("read", folder))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Copies all files of a folder into another, which is made if it is not there.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(Error::path("make", to))?;
    files_in(from)?.iter().try_for_each(|file| copy_into(file, to))
}
