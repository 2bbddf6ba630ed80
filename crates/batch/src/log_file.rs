//! What an attempt prints: one file for each, a line for each line, with its time and where it was printed.

use std::path::{Path, PathBuf};
use tidegate_catalog::Job;
use tidegate_core::{Clock, Error, Result};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

/// Bytes of one attempt's log; what comes after is let go, and the last line says so.
const LOG_BYTES_MAX: usize = 4 << 20;
/// Bytes of one line; a longer one is cut into several.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read at a time.
const READ_BYTES: usize = 16 << 10;

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Its usual name.
    pub fn word(self) -> &'static str {
        match self {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        }
    }
}

/// A line that was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in milliseconds of the Unix epoch.
    pub at_ms: i64,
    /// Where.
    pub stream: Stream,
    /// What.
    pub text: String,
}

/// The folder of a job's files.
pub fn folder(all: &Path, job: &Job) -> PathBuf {
    all.join(job.name.replace(':', "-"))
}

/// The file of an attempt, numbered from 1.
pub fn path(all: &Path, job: &Job, attempt: usize) -> PathBuf {
    folder(all, job).join(format!("{attempt}.log"))
}

/// The log of a running attempt.
pub struct LogFile {
    file: Mutex<(File, usize)>,
    clock: Clock,
}

impl LogFile {
    /// Begins it anew.
    pub async fn create(path: &Path, clock: Clock) -> Result<LogFile> {
        let file = File::create(path).await.map_err(|error| Error::from(error).context(path.display()))?;
        Ok(LogFile { file: Mutex::new((file, 0)), clock })
    }

    /// Copies lines until the other side has gone. It goes on reading when the log is full: who prints must not wait.
    pub async fn copy(&self, mut from: impl AsyncRead + Unpin, stream: Stream) {
        let (mut buffer, mut rest) = (vec![0; READ_BYTES], Vec::new());
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            self.add(stream, &mut rest, buffer.get(..count).unwrap_or_default()).await;
            if count == 0 {
                return;
            }
        }
    }

    /// Adds the whole lines of what was printed, and keeps the rest; nothing more ends the last line.
    pub async fn add(&self, stream: Stream, rest: &mut Vec<u8>, printed: &[u8]) {
        rest.extend_from_slice(printed);
        let lines = cut(rest, printed.is_empty());
        if let Err(error) = self.append(stream, &lines).await {
            tracing::warn!(%error, "lines of a job's log are lost");
        }
    }

    async fn append(&self, stream: Stream, lines: &[String]) -> std::io::Result<()> {
        let now_ms = self.clock.now_ms();
        let mut guard = self.file.lock().await;
        let (file, written) = &mut *guard;
        for text in lines {
            if *written >= LOG_BYTES_MAX {
                break;
            }
            let mut entry = format!("{now_ms} {} {text}\n", stream.word());
            *written += entry.len();
            if *written >= LOG_BYTES_MAX {
                entry.push_str(&format!("{now_ms} stderr [the log ends here: it is over {LOG_BYTES_MAX} bytes]\n"));
            }
            file.write_all(entry.as_bytes()).await?;
        }
        file.flush().await
    }
}

/// Takes whole lines out of what has been read; at the end, what is left, too.
fn cut(read: &mut Vec<u8>, at_end: bool) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), read.as_slice());
    loop {
        let end = rest.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n');
        let (text, taken) = match end {
            Some(end) => (end, end + 1),
            None if rest.len() > LINE_BYTES_MAX => (LINE_BYTES_MAX, LINE_BYTES_MAX),
            None if at_end && !rest.is_empty() => (rest.len(), rest.len()),
            None => break,
        };
        let line = rest.get(..text).unwrap_or_default();
        lines.push(String::from_utf8_lossy(line).trim_end_matches('\r').to_string());
        rest = rest.get(taken..).unwrap_or_default();
    }
    *read = rest.to_vec();
    lines
}

/// The lines of a log; none where there is no file.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).split('\n').filter_map(parse).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::from(error).context(path.display())),
    }
}

/// None for a line that a crash cut off.
fn parse(line: &str) -> Option<Line> {
    let mut parts = line.splitn(3, ' ');
    let at_ms = parts.next()?.parse().ok()?;
    let stream = match parts.next()? {
        "stdout" => Stream::Out,
        "stderr" => Stream::Err,
        _ => return None,
    };
    Some(Line { at_ms, stream, text: parts.next()?.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut() {
        let mut rest = b"a\r\n\nb".to_vec();
        assert_eq!(cut(&mut rest, false), ["a", ""]);
        assert_eq!(cut(&mut rest, true), ["b"]);
        let mut long = vec![b'x'; LINE_BYTES_MAX + 2];
        assert_eq!(cut(&mut long, true).iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX, 2]);
        assert!(cut(&mut long, true).is_empty());
    }

    #[test]
    fn lines_are_read_back() {
        let line = |text: &str| Some(Line { at_ms: 5, stream: Stream::Err, text: text.into() });
        for (text, found) in [("5 stderr a  b", line("a  b")), ("5 stderr ", line("")), ("5 std", None), ("", None)] {
            assert_eq!(parse(text), found, "{text}");
        }
    }
}
