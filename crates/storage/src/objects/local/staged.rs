//! An object in the making: a file beside its place, under a name that no listing shows.

use super::{make_parents, sync_folder};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many unfinished writes of one object may lie about.
const STAGED_MAX: u32 = 10_000;

/// A file that is written beside its place. Dropped before it is placed, it goes.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    path: PathBuf,
    target: PathBuf,
    /// Bytes of the parts that have arrived.
    arrived: AtomicU64,
    /// It lies at `path` no more.
    gone: AtomicBool,
}

impl Staged {
    /// Begins an object, making the folders above it.
    pub(super) fn new(target: &Path) -> io::Result<Self> {
        make_parents(target)?;
        for number in 1..=STAGED_MAX {
            // The plain store hides names that end so.
            let mut name = target.as_os_str().to_owned();
            name.push(format!("#{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&name) {
                Ok(file) => {
                    let (path, target) = (name.into(), target.to_path_buf());
                    let (arrived, gone) = (AtomicU64::new(0), AtomicBool::new(false));
                    return Ok(Staged { file, path, target, arrived, gone });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("over {STAGED_MAX} unfinished writes of this object lie beside it: remove them")))
    }

    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        self.arrived.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the object its name, durably. With `create`, fails if the name is taken.
    pub(super) fn place(&self, create: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if create {
            // A link, unlike a rename, never replaces.
            fs::hard_link(&self.path, &self.target)?;
            self.remove()?;
        } else {
            fs::rename(&self.path, &self.target)?;
            self.gone.store(true, Ordering::Relaxed);
        }
        self.target.parent().map_or(Ok(()), sync_folder)
    }

    /// Places it if all parts have arrived: one that failed has left a hole.
    pub(super) fn place_whole(&self, length: u64) -> io::Result<()> {
        let arrived = self.arrived.load(Ordering::Relaxed);
        if arrived != length {
            let what = format!("{arrived} of {length} bytes have arrived: a part is missing");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        self.place(false)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        if self.gone.swap(true, Ordering::Relaxed) { Ok(()) } else { fs::remove_file(&self.path) }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nobody is left to tell; a name that stays is hidden, and skipped by the next writer.
        let _ = self.remove();
    }
}
