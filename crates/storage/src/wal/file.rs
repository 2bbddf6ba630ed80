//! The log's files: their names, their headers, and how one comes into being durably.

use crate::fault;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tidegate_core::{Error, Kind, Result};

/// Bytes before the first frame: magic, version u32, crc32 u32 of version and first position, first position u64.
pub(super) const FILE_HEADER_BYTES: u64 = 24;

const MAGIC: [u8; 8] = *b"TIDEGWAL";
const VERSION: u32 = 1;
const SUFFIX: &str = ".wal";
const NAME_DIGITS: usize = 20;

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    /// Position of its first frame, which it is named after.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// What the beginning of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Whole,
    /// The file was being made when the server died: it holds no frame.
    Unfinished,
}

impl LogFile {
    fn named(folder: &Path, first: u64) -> Self {
        let path = folder.join(format!("{first:0NAME_DIGITS$}{SUFFIX}"));
        LogFile { first, path, bytes: FILE_HEADER_BYTES }
    }

    /// Makes an empty file that a crash cannot take away again. On an error nothing is left of it, or the error's kind
    /// says that the log cannot go on: see [`Making`].
    pub(super) fn create(folder: &Path, first: u64) -> Result<(Self, File), Making> {
        let made = LogFile::named(folder, first);
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&made.path);
        let file = open().map_err(|e| Making::Undone(io_error(e, &made.path)))?;
        match write_header(&file, first).and_then(|()| sync_folder(folder)) {
            Ok(()) => Ok((made, file)),
            Err(error) => {
                let error = error.context(made.path.display());
                // Left behind, it would claim positions that the file before it goes on to use.
                let undone = fs::remove_file(&made.path).map_err(Error::from).and_then(|()| sync_folder(folder));
                Err(if undone.is_ok() { Making::Undone(error) } else { Making::LeftBehind(error) })
            }
        }
    }

    /// Opens the file to append to it.
    pub(super) fn open(&self) -> Result<File> {
        OpenOptions::new().read(true).append(true).open(&self.path).map_err(|e| io_error(e, &self.path))
    }

    /// Reads and checks the header.
    pub(super) fn start(&self, file: &mut impl Read) -> Result<Start> {
        let mut header = Vec::new();
        file.take(FILE_HEADER_BYTES).read_to_end(&mut header).map_err(|e| io_error(e, &self.path))?;
        if header == header_bytes(VERSION, self.first) {
            return Ok(Start::Whole);
        }
        // The header is synced before the first frame is written.
        if self.bytes <= FILE_HEADER_BYTES {
            return Ok(Start::Unfinished);
        }
        match version(&header) {
            Some(version) if version > VERSION => {
                let message = format!("log file {} has version {version}", self.path.display());
                Err(Error::new(Kind::NotInState, message)
                    .hint(format!("This server reads version {VERSION}; use a newer one.")))
            }
            _ => Err(damaged(&self.path, 0, "the header is not that of this log file")),
        }
    }
}

/// How the making of a file failed.
#[derive(Debug)]
pub(super) enum Making {
    /// The file is gone; the log can go on with the one before.
    Undone(Error),
    /// The file may still be there.
    LeftBehind(Error),
}

impl From<Making> for Error {
    fn from(making: Making) -> Self {
        match making {
            Making::Undone(error) | Making::LeftBehind(error) => error,
        }
    }
}

/// All files of the log, in order. Others in the folder are not the log's business.
pub(super) fn list(folder: &Path) -> Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| io_error(e, folder))? {
        let entry = entry.map_err(|e| io_error(e, folder))?;
        let name = entry.file_name();
        let Some(first) = name.to_str().and_then(first_of_name) else { continue };
        let bytes = entry.metadata().map_err(|e| io_error(e, &entry.path()))?.len();
        files.push(LogFile { first, path: entry.path(), bytes });
    }
    files.sort_by_key(|file| file.first);
    Ok(files)
}

/// Makes names that were added to or removed from a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io_error(e, folder))
}

pub(super) fn io_error(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).context(format_args!("log {}", path.display()))
}

pub(super) fn damaged(path: &Path, offset: u64, what: &str) -> Error {
    Error::new(Kind::DataCorrupted, format!("log file {} is damaged at offset {offset}: {what}", path.display()))
        .hint("Restore the file, or the data directory, from a copy; nothing was changed.")
}

fn first_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn header_bytes(version: u32, first: u64) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_le_bytes());
    hasher.update(&first.to_le_bytes());
    let crc = hasher.finalize();
    [&MAGIC[..], &version.to_le_bytes(), &crc.to_le_bytes(), &first.to_le_bytes()].concat()
}

fn version(header: &[u8]) -> Option<u32> {
    let version = header.strip_prefix(&MAGIC)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*version))
}

fn write_header(mut file: &File, first: u64) -> Result<()> {
    file.set_len(0)?;
    fault::point("wal.rotate")?;
    file.write_all(&header_bytes(VERSION, first))?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_log_are_its_files() {
        for (name, first) in [
            ("00000000000000000001.wal", Some(1)),
            ("18446744073709551615.wal", Some(u64::MAX)),
            ("99999999999999999999.wal", None),
            ("1.wal", None),
            ("+0000000000000000001.wal", None),
            ("00000000000000000001.wal.new", None),
        ] {
            assert_eq!(first_of_name(name), first, "{name}");
        }
    }

    #[test]
    fn a_start_is_whole_unfinished_newer_or_damaged() {
        let whole = header_bytes(VERSION, 5);
        let newer = header_bytes(VERSION + 1, 5);
        let other = header_bytes(VERSION, 6);
        let start = |header: &[u8], bytes| {
            LogFile { bytes, ..LogFile::named(Path::new("/"), 5) }.start(&mut &header[..]).map_err(|e| e.kind())
        };
        assert_eq!(start(&whole, 24), Ok(Start::Whole));
        assert_eq!(start(&whole, 99), Ok(Start::Whole));
        for bytes in 0..24 {
            assert_eq!(start(&whole[..bytes], bytes as u64), Ok(Start::Unfinished), "{bytes}");
        }
        assert_eq!(start(&[0; 24], 24), Ok(Start::Unfinished));
        assert_eq!(start(&[0; 24], 25), Err(Kind::DataCorrupted));
        assert_eq!(start(&other, 25), Err(Kind::DataCorrupted));
        assert_eq!(start(&newer, 25), Err(Kind::NotInState));
    }
}
