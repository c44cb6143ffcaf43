//! Files of ticket keys, shared by the machines of a fleet (`-ticketkeys`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tcl_stubs::Errno;
use tls_session::{TicketKeyError, TicketKeySource, TicketKeys};

use crate::failure::Failure;

/// The most that is read of a file, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// How long the keys are used before the files are looked at again.
const FRESH: Duration = Duration::from_secs(1);

/// The keys in some files. The files are read anew when keys are needed, though not all the time; what cannot be used
/// changes nothing.
#[derive(Debug)]
pub(crate) struct TicketFiles {
    paths: Vec<PathBuf>,
    latest: Mutex<Latest>,
}

#[derive(Debug)]
struct Latest {
    keys: Arc<TicketKeys>,
    read_at: Instant,
}

impl TicketFiles {
    /// Reads the keys in the files at `names`.
    ///
    /// # Errors
    /// A file cannot be read, or is none of keys.
    pub(crate) fn open(names: &[String]) -> Result<Arc<Self>, Failure> {
        let absolute = |name: &String| std::path::absolute(name).map_err(|error| unreadable(name, &error));
        let paths: Vec<PathBuf> = names.iter().map(absolute).collect::<Result<_, _>>()?;
        let contents =
            names.iter().zip(&paths).map(|(name, path)| read(path).map_err(|error| unreadable(name, &error)));
        let contents: Vec<_> = contents.collect::<Result<_, _>>()?;
        let keys = TicketKeys::parse(&contents).map_err(|error| {
            let name = match error {
                TicketKeyError::Unreadable { file } => names.get(file).cloned(),
                _ => None,
            };
            Failure::TicketKeys { name: name.unwrap_or_default(), error }
        })?;
        let latest = Latest { keys: Arc::new(keys), read_at: Instant::now() };
        Ok(Arc::new(Self { paths, latest: Mutex::new(latest) }))
    }

    /// The keys that are in the files now.
    fn reread(&self) -> Option<TicketKeys> {
        let contents: Vec<_> = self.paths.iter().map(|path| read(path).ok()).collect::<Option<_>>()?;
        TicketKeys::parse(&contents).ok()
    }

    fn current_at(&self, now: Instant) -> Arc<TicketKeys> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(latest.read_at) >= FRESH {
            latest.read_at = now;
            if let Some(keys) = self.reread().filter(|keys| *keys != *latest.keys) {
                latest.keys = Arc::new(keys);
            }
        }
        Arc::clone(&latest.keys)
    }
}

impl TicketKeySource for TicketFiles {
    fn current(&self) -> Arc<TicketKeys> {
        self.current_at(Instant::now())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening anything else might wait.
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::File { name: name.to_owned(), errno: error.raw_os_error().map_or(Errno::INVALID, Errno) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tcl-rustls-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, content: &[u8]) -> String {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn parsed(keys: &[u8]) -> TicketKeys {
        let keys: Vec<_> = keys.iter().map(|key| [*key; 48]).collect();
        TicketKeys::parse(&keys).unwrap()
    }

    #[test]
    fn files_are_heard_when_they_change_and_not_before() {
        let folder = Folder::new("change");
        let names = [folder.write("a", &[1; 48]), folder.write("b", &[2; 48])];
        let files = TicketFiles::open(&names).unwrap();
        let start = Instant::now();
        let at = |seconds| files.current_at(start + Duration::from_secs(seconds));
        assert_eq!(*at(0), parsed(&[1, 2]));
        folder.write("a", &[3; 48]);
        let read_at = files.latest.lock().unwrap().read_at;
        assert_eq!(*files.current_at(read_at), parsed(&[1, 2]));
        let changed = at(10);
        assert_eq!(*changed, parsed(&[3, 2]));
        assert!(Arc::ptr_eq(&changed, &at(20)), "the same keys are not made again");
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let folder = Folder::new("bad");
        let names = [folder.write("a", &[1; 48])];
        let files = TicketFiles::open(&names).unwrap();
        let start = Instant::now();
        let at = |seconds| files.current_at(start + Duration::from_secs(seconds));
        folder.write("a", b"half a key");
        assert_eq!(*at(10), parsed(&[1]));
        fs::remove_file(folder.0.join("a")).unwrap();
        assert_eq!(*at(20), parsed(&[1]));
        fs::create_dir(folder.0.join("a")).unwrap();
        assert_eq!(*at(30), parsed(&[1]));
        fs::remove_dir(folder.0.join("a")).unwrap();
        folder.write("a", &[2; 48]);
        assert_eq!(*at(40), parsed(&[2]));
    }

    #[test]
    fn faults_are_told_at_once() {
        let folder = Folder::new("faults");
        let good = folder.write("good", &[1; 48]);
        let bad = folder.write("bad", &[1; 47]);
        let missing = folder.0.join("missing").to_str().unwrap().to_owned();
        let open = |name: &String| TicketFiles::open(&[good.clone(), name.clone()]).map(drop);
        assert_eq!(open(&missing), Err(Failure::File { name: missing.clone(), errno: Errno(2) }));
        let error = TicketKeyError::Unreadable { file: 1 };
        assert_eq!(open(&bad), Err(Failure::TicketKeys { name: bad.clone(), error }));
        let folder = folder.0.to_str().unwrap().to_owned();
        assert_eq!(open(&folder), Err(Failure::File { name: folder.clone(), errno: Errno::INVALID }));
    }
}
