//! The data directory: one server's own, locked while it runs, and marked with the version of its format.

use fs4::fs_std::FileExt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use tidegate_core::{Error, Kind, Result};

/// The format that this server writes.
pub const FORMAT_VERSION: u32 = 1;

/// An open data directory. Dropping it gives the lock back.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens or makes it. 55000 when another server holds it, or when a newer server wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).map_err(|e| Error::from(e).context(format_args!("data directory {shown}")))?;
        let lock = lock(path)?;
        check_format(path)?;
        Ok(DataDir { path: path.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of the log.
    pub fn wal(&self) -> PathBuf {
        self.path.join("wal")
    }

    /// File of the applied state.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// Folder of tables and stream segments.
    pub fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    /// Folder of what queries put down while they run; worth nothing after them.
    pub fn spill(&self) -> PathBuf {
        self.path.join("spill")
    }

    /// Folder of jobs: what their attempts print.
    pub fn batch(&self) -> PathBuf {
        self.path.join("batch")
    }

    /// Tells the chosen ports in `ports.json`, which appears whole or not at all.
    pub fn write_ports(&self, sql: u16, http: u16, cluster: Option<u16>) -> Result<()> {
        let text = serde_json::json!({ "sql": sql, "http": http, "cluster": cluster }).to_string();
        write_whole(&self.path, "ports.json", &text)
    }
}

fn lock(path: &Path) -> Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path.join("LOCK"))?;
    let free = FileExt::try_lock_exclusive(&file)?;
    if !free {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        let message =
            format!("data directory {} is in use by another tidegate (pid {})", path.display(), holder.trim());
        return Err(Error::new(Kind::NotInState, message).hint("Stop it, or give this server another --data."));
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    Ok(file)
}

fn check_format(path: &Path) -> Result<()> {
    let file = path.join("FORMAT");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return write_whole(path, "FORMAT", &format!("{FORMAT_VERSION}\n"));
        }
        Err(error) => return Err(Error::from(error).context(file.display())),
    };
    match text.trim().parse::<u32>() {
        Ok(version) if version <= FORMAT_VERSION => Ok(()),
        Ok(version) => {
            let message = format!("{} has format {version}; this server reads up to {FORMAT_VERSION}", path.display());
            Err(Error::new(Kind::NotInState, message).hint("Use a newer tidegate."))
        }
        Err(_) => Err(Error::new(Kind::DataCorrupted, format!("{} does not hold a format version", file.display()))),
    }
}

/// Writes a file beside its place, syncs it, and moves it there.
fn write_whole(folder: &Path, name: &str, text: &str) -> Result<()> {
    let draft = folder.join(format!("{name}.new"));
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_until_the_first_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotInState);
        assert!(error.message().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        assert!(DataDir::open(folder.path()).is_ok());
    }

    #[test]
    fn a_newer_or_unreadable_format_is_refused() {
        for (text, kind) in [("2\n", Kind::NotInState), ("soon", Kind::DataCorrupted)] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("FORMAT"), text).unwrap();
            assert_eq!(DataDir::open(folder.path()).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn ports_are_told_as_json() {
        let folder = tempfile::tempdir().unwrap();
        DataDir::open(folder.path()).unwrap().write_ports(5439, 4566, None).unwrap();
        let text = fs::read_to_string(folder.path().join("ports.json")).unwrap();
        assert_eq!(text, r#"{"cluster":null,"http":4566,"sql":5439}"#);
    }
}
