//! Reading the log back: frame by frame, telling a write that a crash cut short from damage.

use super::file::{FILE_HEADER_BYTES, LogFile, Start, damaged, io_error};
use super::frame::{Frame, HEADER_BYTES, Header};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use tidegate_core::Result;

/// How much after a bad frame is searched for proof that the frame was whole once, in bytes.
const SEARCH_BYTES_MAX: u64 = 256 << 20;

/// How many frames are tried in that search: each may have to be read whole.
const SEARCH_FRAMES_MAX: usize = 64;

const READ_BYTES: usize = 256 << 10;

/// How the reading of a file ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole frame, or with none. `next` is the position that follows.
    Whole { next: u64 },
    /// The last group was cut short: what begins at `offset` was never acknowledged.
    Torn { next: u64, offset: u64 },
    /// The file has no header yet.
    Unfinished,
}

/// A file that is being read.
struct Reader<'a> {
    log: &'a LogFile,
    input: BufReader<File>,
    offset: u64,
    next: u64,
}

/// Gives every whole frame of a file in order. Damage is XX001; a cut-short end is told, not repaired.
pub(super) fn read(log: &LogFile, each: &mut impl FnMut(Frame) -> Result<()>) -> Result<End> {
    let file = File::open(&log.path).map_err(|e| io_error(e, &log.path))?;
    let mut input = BufReader::with_capacity(READ_BYTES, file);
    if log.start(&mut input)? == Start::Unfinished {
        return Ok(End::Unfinished);
    }
    let mut reader = Reader { log, input, offset: FILE_HEADER_BYTES, next: log.first };
    while reader.offset < log.bytes {
        match reader.frame()? {
            Some(frame) => each(frame)?,
            None => return reader.torn(),
        }
    }
    Ok(End::Whole { next: reader.next })
}

impl Reader<'_> {
    /// The next frame; `None` when what is there is not a whole one.
    fn frame(&mut self) -> Result<Option<Frame>> {
        let Some((header, payload)) = self.any_frame()? else { return Ok(None) };
        if header.position != self.next {
            let what = format!("frame {} stands where {} belongs", header.position, self.next);
            return Err(damaged(&self.log.path, self.offset, &what));
        }
        self.offset += (HEADER_BYTES + payload.len()) as u64;
        self.next += 1;
        Ok(Some(Frame { position: header.position, payload: payload.into() }))
    }

    /// A whole frame of any position at the offset, where the input stands too.
    fn any_frame(&mut self) -> Result<Option<(Header, Vec<u8>)>> {
        let Some(room) = self.log.bytes.saturating_sub(self.offset).checked_sub(HEADER_BYTES as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; HEADER_BYTES];
        self.input.read_exact(&mut bytes).map_err(|e| io_error(e, &self.log.path))?;
        let header = Header::from_bytes(bytes);
        let Some(length) = header.length().filter(|length| *length as u64 <= room) else { return Ok(None) };
        let mut payload = vec![0; length];
        self.input.read_exact(&mut payload).map_err(|e| io_error(e, &self.log.path))?;
        Ok(header.matches(&payload).then_some((header, payload)))
    }

    /// Judges the bad frame at the offset.
    fn torn(mut self) -> Result<End> {
        let offset = self.offset;
        if let Some(later) = self.later_group()? {
            let what = format!("no whole frame, although the later frame {later} is whole");
            return Err(damaged(&self.log.path, offset, &what));
        }
        Ok(End::Torn { next: self.next, offset })
    }

    /// A frame after the bad one that begins a group. Frames of the bad one's own group prove nothing: before its sync
    /// a crash keeps any of its pages and loses any other.
    fn later_group(&mut self) -> Result<Option<u64>> {
        let end = self.log.bytes.min(self.offset.saturating_add(SEARCH_BYTES_MAX));
        let mut tries = SEARCH_FRAMES_MAX;
        let mut at = self.offset + 1;
        while let Some(candidate) = self.next_candidate(at, end)? {
            if tries == 0 {
                break;
            }
            tries -= 1;
            self.seek(candidate)?;
            if let Some((header, _)) = self.any_frame()? {
                return Ok(Some(header.position));
            }
            at = candidate + 1;
        }
        Ok(None)
    }

    /// The next offset whose bytes could be the header of a later group's first frame.
    fn next_candidate(&mut self, from: u64, end: u64) -> Result<Option<u64>> {
        let (after, path) = (self.next, &self.log.path);
        // Each frame between takes a header at least.
        let last = after.saturating_add(self.log.bytes / HEADER_BYTES as u64);
        let mut start = from;
        let mut window = Vec::new();
        while start + HEADER_BYTES as u64 <= end {
            self.input.seek(SeekFrom::Start(start)).map_err(|e| io_error(e, path))?;
            window.clear();
            let bytes = (end - start).min(READ_BYTES as u64);
            self.input.by_ref().take(bytes).read_to_end(&mut window).map_err(|e| io_error(e, path))?;
            let found = window.array_windows().position(|bytes| {
                let header = Header::from_bytes(*bytes);
                header.is_first_of_group() && header.position > after && header.position <= last
            });
            if let Some(found) = found {
                return Ok(Some(start + found as u64));
            }
            start += (window.len().max(HEADER_BYTES) - HEADER_BYTES + 1) as u64;
        }
        Ok(None)
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        self.input.seek(SeekFrom::Start(offset)).map_err(|e| io_error(e, &self.log.path))?;
        self.offset = offset;
        Ok(())
    }
}
