//! The write-ahead log: frames with dense positions, made durable in groups, read back once when the server starts.
//!
//! One writer, on a thread of its own. What [`Wal::append`] has returned for survives any crash; what it failed for is
//! not in the log, unless the sync itself failed: then nobody can know, and the log refuses everything until a restart.

mod file;
mod frame;
mod replay;

use crate::fault;
use bytes::Bytes;
use file::{LogFile, Making, damaged, io_error, list, sync_folder};
pub use frame::{Frame, WAL_FRAME_BYTES_MAX};
use frame::{HEADER_BYTES, Header};
use replay::End;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tidegate_core::{Error, Kind, Result};

/// A file larger than this is followed by a new one, in bytes.
pub const WAL_FILE_BYTES_MAX: u64 = 64 << 20;

/// Frames are collected up to this before they are written; a larger payload is written from where it lies. In bytes.
const WRITE_BUFFER_BYTES: usize = 4 << 20;

/// The open log.
#[derive(Debug)]
pub struct Wal {
    folder: PathBuf,
    /// Older files, which are only read.
    sealed: VecDeque<LogFile>,
    current: LogFile,
    file: File,
    next: u64,
    buffer: Vec<u8>,
    /// Why nothing more can be promised.
    poison: Option<String>,
    file_bytes_max: u64,
}

impl Wal {
    /// Opens the log in a folder, or begins one. `each` gets every whole frame with a position above `after`, in order.
    ///
    /// A write that a crash cut short, at the end of the last file, is cut off with a warning. Any other damage, a gap,
    /// or a log that ends before `after`, is XX001 and changes nothing.
    pub fn recover(folder: &Path, after: u64, mut each: impl FnMut(Frame) -> Result<()>) -> Result<Wal> {
        make_folder(folder)?;
        let mut files = VecDeque::from(list(folder)?);
        let Some(last) = files.pop_back() else { return Self::begin(folder, after) };
        let first = files.front().unwrap_or(&last).first;
        if first == 0 || first > after.saturating_add(1) {
            return Err(gap(folder, after.saturating_add(1), first));
        }
        let mut next = first;
        let mut above = |frame: Frame| if frame.position > after { each(frame) } else { Ok(()) };
        for file in &files {
            expect_first(folder, file, next)?;
            next = read_sealed(file, &mut above)?;
        }
        expect_first(folder, &last, next)?;
        let end = replay::read(&last, &mut above)?;
        let (current, file, next) = repair(folder, last, end, after)?;
        Ok(Self::over(folder, files, current, file, next))
    }

    fn begin(folder: &Path, after: u64) -> Result<Wal> {
        if after > 0 {
            let message = format!("log {} is missing: frames up to {after} are applied already", folder.display());
            return Err(Error::new(Kind::DataCorrupted, message).hint("Restore the folder from a copy."));
        }
        let (current, file) = LogFile::create(folder, 1)?;
        Ok(Self::over(folder, VecDeque::new(), current, file, 1))
    }

    fn over(folder: &Path, sealed: VecDeque<LogFile>, current: LogFile, file: File, next: u64) -> Wal {
        let (buffer, poison) = (Vec::new(), None);
        Wal { folder: folder.into(), sealed, current, file, next, buffer, poison, file_bytes_max: WAL_FILE_BYTES_MAX }
    }

    /// The same log, which begins a new file once the current one is larger than so many bytes.
    pub fn with_file_bytes_max(mut self, bytes: u64) -> Self {
        self.file_bytes_max = bytes;
        self
    }

    /// Appends payloads as one group with one sync, and gives the position of the last. After an error none of them is
    /// in the log, except that after a failed sync (58030, "restart") only the next start finds out.
    pub fn append(&mut self, payloads: &[Bytes]) -> Result<u64> {
        if let Some(why) = &self.poison {
            return Err(self.poisoned(why));
        }
        let headers = self.headers(payloads)?;
        if headers.is_empty() {
            return Ok(self.next - 1);
        }
        if self.current.bytes > self.file_bytes_max {
            self.rotate()?;
        }
        let written = match self.write(&headers, payloads) {
            Ok(written) => written,
            Err(error) => return Err(self.cut_back(error)),
        };
        if let Err(error) = self.sync() {
            return Err(self.give_up(&error));
        }
        self.current.bytes += written;
        self.next += headers.len() as u64;
        Ok(self.next - 1)
    }

    /// The position that the next frame gets.
    pub fn next_position(&self) -> u64 {
        self.next
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|file| file.bytes).sum::<u64>() + self.current.bytes
    }

    /// Removes the files whose frames all have positions below `keep`; never the one that is written.
    pub fn truncate_before(&mut self, keep: u64) -> Result<()> {
        while let Some(oldest) = self.sealed.front() {
            let follower = self.sealed.get(1).unwrap_or(&self.current);
            if follower.first > keep {
                break;
            }
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error(error, &oldest.path));
                }
                _ => {}
            }
            self.sealed.pop_front();
            // Each by itself: a crash must not bring back an older file than one that it took away.
            sync_folder(&self.folder)?;
        }
        Ok(())
    }

    fn headers(&self, payloads: &[Bytes]) -> Result<Vec<Header>> {
        let numbered = (self.next..).zip(payloads).enumerate();
        numbered.map(|(index, (position, payload))| Header::new(position, payload, index == 0)).collect()
    }

    /// Begins a new file. When that fails, the log stays with the old one.
    fn rotate(&mut self) -> Result<()> {
        match LogFile::create(&self.folder, self.next) {
            Ok((log, file)) => {
                self.file = file;
                self.sealed.push_back(std::mem::replace(&mut self.current, log));
                Ok(())
            }
            Err(Making::Undone(error)) => Err(error),
            Err(Making::LeftBehind(error)) => Err(self.give_up(&error)),
        }
    }

    fn write(&mut self, headers: &[Header], payloads: &[Bytes]) -> Result<u64> {
        self.buffer.clear();
        self.buffer.shrink_to(WRITE_BUFFER_BYTES);
        let mut written = 0;
        for (header, payload) in headers.iter().zip(payloads) {
            self.buffer.extend_from_slice(&header.to_bytes());
            written += (HEADER_BYTES + payload.len()) as u64;
            if self.buffer.len() + payload.len() <= WRITE_BUFFER_BYTES {
                self.buffer.extend_from_slice(payload);
                continue;
            }
            write_through(&self.file, &self.buffer)?;
            self.buffer.clear();
            if payload.len() < WRITE_BUFFER_BYTES {
                self.buffer.extend_from_slice(payload);
            } else {
                write_through(&self.file, payload)?;
            }
        }
        write_through(&self.file, &self.buffer)?;
        Ok(written)
    }

    fn sync(&self) -> Result<()> {
        fault::point("wal.sync")?;
        self.file.sync_data()?;
        fault::point("wal.synced")
    }

    /// Takes a half-written group away. That is synced, so that a later file cannot follow a file with such an end.
    fn cut_back(&mut self, error: Error) -> Error {
        match self.file.set_len(self.current.bytes).and_then(|()| self.file.sync_all()) {
            Ok(()) => error.context(format_args!("log {}", self.current.path.display())),
            Err(second) => self.give_up(&Error::from(second)),
        }
    }

    fn give_up(&mut self, error: &Error) -> Error {
        let why = error.message().to_string();
        // Frames that may not be on disk should not be found in the cache by the next start. Best effort.
        let cut = self.file.set_len(self.current.bytes).is_ok();
        tracing::error!(file = %self.current.path.display(), error = %why, cut, "log poisoned: restart the server");
        let answer = self.poisoned(&why);
        self.poison = Some(why);
        answer
    }

    fn poisoned(&self, why: &str) -> Error {
        let message = format!("log {} could not be made durable: {why}", self.current.path.display());
        Error::new(Kind::Io, message)
            .detail("Whether the change was kept is not known until the server has been restarted.")
            .hint("Check the disk, then the server must be restarted: until then it accepts no changes.")
    }
}

/// Writes all, in one call unless a fault may be set for the middle of it.
fn write_through(mut file: &File, bytes: &[u8]) -> Result<()> {
    let rest = if fault::armed() {
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        file.write_all(half)?;
        fault::point("wal.write")?;
        rest
    } else {
        bytes
    };
    Ok(file.write_all(rest)?)
}

fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|e| io_error(e, folder))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Reads a file that was whole when the next one was begun. Gives the position after it.
fn read_sealed(file: &LogFile, each: &mut impl FnMut(Frame) -> Result<()>) -> Result<u64> {
    match replay::read(file, each)? {
        End::Whole { next } => Ok(next),
        End::Torn { offset, .. } => Err(damaged(&file.path, offset, "no whole frame, although a later file follows")),
        End::Unfinished => Err(damaged(&file.path, 0, "it has no header, although a later file follows")),
    }
}

fn expect_first(folder: &Path, file: &LogFile, next: u64) -> Result<()> {
    if file.first == next { Ok(()) } else { Err(gap(folder, next, file.first)) }
}

fn gap(folder: &Path, expected: u64, found: u64) -> Error {
    let message = format!("log {} has a gap: frame {expected} should follow, frame {found} does", folder.display());
    Error::new(Kind::DataCorrupted, message).hint("Restore the missing file from a copy; nothing was changed.")
}

/// Makes the last file one that can be appended to.
fn repair(folder: &Path, mut last: LogFile, end: End, after: u64) -> Result<(LogFile, File, u64)> {
    let next = match end {
        End::Whole { next } | End::Torn { next, .. } => next,
        End::Unfinished => last.first,
    };
    if next <= after {
        let message = format!("log {} ends at frame {}, but {after} is applied already", folder.display(), next - 1);
        return Err(Error::new(Kind::DataCorrupted, message).hint("Restore the log from a copy; nothing was changed."));
    }
    if end == End::Unfinished {
        let (log, file) = LogFile::create(folder, last.first)?;
        return Ok((log, file, next));
    }
    let file = last.open()?;
    if let End::Torn { offset, .. } = end {
        let cut = last.bytes.saturating_sub(offset);
        tracing::warn!(file = %last.path.display(), offset, cut, "cut off a write that a crash left unfinished");
        file.set_len(offset).map_err(|e| io_error(e, &last.path))?;
        last.bytes = offset;
    }
    // What was read may be in the cache only: the process may have died between a write and its sync.
    file.sync_all().map_err(|e| io_error(e, &last.path))?;
    sync_folder(folder)?;
    Ok((last, file, next))
}

#[cfg(test)]
mod tests;
