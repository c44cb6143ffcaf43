//! Installing Debian packages, where there is an apt and the right to use it.

use std::process::Command;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::process;

/// Installs packages; names what to do by hand where that is not possible.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let Some(root) = as_root() else {
        return Err(Error::Missing { what: format!("missing: {names}"), remedy: by_hand(&names) });
    };
    println!("Installing {names} …");
    let attempt = || {
        let mut command = apt_get(root, &["install", "-y", "--no-install-recommends"]);
        process::output(command.args(packages), "")
    };
    // The lists of a fresh machine are empty or old: then, and only then, they are fetched.
    attempt().or_else(|_| update(root).and_then(|()| attempt())).map(|_| ())
}

/// Whether the system's own archive has a package of this name.
pub(crate) fn offers(package: &str) -> bool {
    let known = || {
        process::output(Command::new("apt-cache").args(["show", package]), "")
            .is_ok_and(|text| text.contains("Version:"))
    };
    // Lists that do not even know Tcl have never been fetched.
    let fetched = || {
        process::output(Command::new("apt-cache").args(["show", "tcl"]), "").is_ok_and(|text| text.contains("Package:"))
    };
    known() || (!fetched() && as_root().is_some_and(|root| update(root).is_ok()) && known())
}

/// What a person can do who has to install something.
pub(crate) fn by_hand(packages: &str) -> String {
    if process::succeeds(Command::new("apt-get").arg("--version")) {
        format!("To install: sudo apt-get install {packages}")
    } else {
        format!("Install what Debian calls {packages} with your system's package manager.")
    }
}

fn update(root: &[&str]) -> Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        process::output(&mut apt_get(root, &["update"]), "")?;
        let _ = DONE.set(());
    }
    Ok(())
}

fn apt_get(root: &[&str], arguments: &[&str]) -> Command {
    let mut words = root.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    let mut command = Command::new(words.next().unwrap_or(&"env"));
    command.args(words);
    command.args(["-q", "-o", "DPkg::Lock::Timeout=120"]);
    command.args(arguments);
    command
}

/// What stands before a command to run it as root: nothing, `sudo -n`; `None` where that or apt is not to be had.
fn as_root() -> Option<&'static [&'static str]> {
    static ROOT: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    *ROOT.get_or_init(|| {
        if !process::succeeds(Command::new("apt-get").arg("--version")) {
            return None;
        }
        let user = process::output(Command::new("id").arg("-u"), "");
        if user.is_ok_and(|user| user.trim() == "0") {
            return Some(&[]);
        }
        process::succeeds(Command::new("sudo").args(["-n", "true"])).then_some(["sudo", "-n"].as_slice())
    })
}
