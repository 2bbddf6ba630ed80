//! The bytes of an object, in order, some read ahead: of all of it, or of a part that begins with a line.

use super::compress::Compression;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use memchr::memchr;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of one request.
const REQUEST_BYTES: u64 = 4 << 20;
/// Requests at one time: one is read while another is on its way.
const REQUESTS_MAX: usize = 2;

/// Bytes as they come.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// The bytes of a range of an object. One that has changed since it had this ETag is an error, and so is a short answer.
pub fn read_range(store: &Arc<dyn ObjectStore>, path: &Path, range: Range<u64>, etag: Option<String>) -> ByteStream {
    let (store, path) = (Arc::clone(store), path.clone());
    let starts = (range.start..range.end).step_by(REQUEST_BYTES as usize);
    let requests = starts.map(move |start| {
        let (store, path, etag) = (Arc::clone(&store), path.clone(), etag.clone());
        let end = (start + REQUEST_BYTES).min(range.end);
        async move {
            let options =
                GetOptions { range: Some(GetRange::Bounded(start..end)), if_match: etag, ..GetOptions::default() };
            let bytes = store.get_opts(&path, options).await.map_err(io::Error::from)?.bytes().await;
            let bytes = bytes.map_err(io::Error::from)?;
            match bytes.len() as u64 == end - start {
                true => Ok(bytes),
                false => {
                    Err(io::Error::other(format!("{} bytes came where {} were asked for", bytes.len(), end - start)))
                }
            }
        }
    });
    stream::iter(requests).buffered(REQUESTS_MAX).boxed()
}

/// The stream from its first line on, and where in the file that begins. The stream begins one byte before `start`: when
/// that one ends a line, the line behind it is the first. None: no line begins in it.
pub async fn from_first_line(mut bytes: ByteStream, start: u64) -> io::Result<Option<(u64, ByteStream)>> {
    let mut at = start - 1;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk?;
        if let Some(newline) = memchr(b'\n', &chunk) {
            let rest = chunk.slice(newline + 1..);
            let first = stream::iter((!rest.is_empty()).then_some(Ok(rest)));
            return Ok(Some((at + newline as u64 + 1, first.chain(bytes).boxed())));
        }
        at += chunk.len() as u64;
    }
    Ok(None)
}

/// Bytes before a part of a JSON file that are to be looked at: where the object before it ends.
pub const OBJECT_LOOK_BACK_BYTES: u64 = 64;

/// The stream from the first line on that begins with a JSON object in a range, and where that line begins. The stream
/// begins at `at`, a little before the range. None: no such line begins before the range's end.
///
/// Between `}` and `{` with nothing but blanks between them one value has ended and another begins: inside a value a
/// comma or a name would stand there, and in a text no line ends.
pub async fn from_first_object(
    mut bytes: ByteStream,
    mut at: u64,
    within: Range<u64>,
) -> io::Result<Option<(u64, ByteStream)>> {
    let (mut seen, mut line, mut held) = (Seen::Other, 0, Vec::new());
    while let Some(chunk) = bytes.next().await.transpose()?.filter(|_| at < within.end) {
        // Where in the chunk the bytes begin that follow the end of an object's line.
        let mut from = 0;
        for (index, byte) in chunk.iter().enumerate() {
            let here = at + index as u64;
            if *byte == b'{' && seen == Seen::LineEnd && here >= within.start {
                held.push(chunk.slice(from..));
                // Blanks before the range are whose it is that reads what is before it.
                let skipped = if line < within.start { here - line } else { 0 };
                let rest = skip(held, skipped);
                return Ok(Some((line + skipped, stream::iter(rest.map(Ok)).chain(bytes).boxed())));
            }
            if (seen, *byte) == (Seen::ObjectEnd, b'\n') {
                (line, from) = (here + 1, index + 1);
                held.clear();
            }
            seen = seen.then(*byte);
        }
        if seen == Seen::LineEnd {
            held.push(chunk.slice(from..));
        }
        at += chunk.len() as u64;
    }
    Ok(None)
}

/// Chunks without so many bytes at their beginning.
fn skip(chunks: Vec<Bytes>, mut bytes: u64) -> impl Iterator<Item = Bytes> {
    chunks.into_iter().filter_map(move |chunk| {
        let skipped = bytes.min(chunk.len() as u64);
        bytes -= skipped;
        Some(chunk.slice(skipped as usize..)).filter(|rest| !rest.is_empty())
    })
}

/// What stands before a place in a JSON file, blanks aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The end of an object.
    ObjectEnd,
    /// That, and behind it the end of a line.
    LineEnd,
    /// Neither.
    Other,
}

impl Seen {
    fn then(self, byte: u8) -> Seen {
        match (self, byte) {
            (_, b'}') => Seen::ObjectEnd,
            (Seen::ObjectEnd | Seen::LineEnd, b'\n') => Seen::LineEnd,
            (seen, b' ' | b'\t' | b'\r') => seen,
            _ => Seen::Other,
        }
    }
}

/// The compression that the first bytes tell, beside the whole stream.
pub async fn sniff(mut bytes: ByteStream) -> io::Result<(Compression, ByteStream)> {
    let Some(first) = bytes.next().await.transpose()? else { return Ok((Compression::None, bytes)) };
    let compression = Compression::of_magic(&first);
    Ok((compression, stream::iter([Ok(first)]).chain(bytes).boxed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    fn chunks(texts: &'static [&'static str]) -> ByteStream {
        stream::iter(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes())))).boxed()
    }

    #[tokio::test]
    async fn a_part_begins_with_a_line() {
        type Case = (&'static [&'static str], Option<(u64, &'static str)>);
        let cases: [Case; 4] = [
            (&["\nab\n", "c"], Some((10, "ab\nc"))),
            (&["xa", "b\n", "c\n"], Some((13, "c\n"))),
            (&["xab\n"], Some((13, ""))),
            (&["xab"], None),
        ];
        for (texts, expected) in cases {
            let found = from_first_line(chunks(texts), 10).await.unwrap();
            let found = match found {
                Some((at, rest)) => Some((at, rest.try_collect::<Vec<_>>().await.unwrap().concat())),
                None => None,
            };
            assert_eq!(found, expected.map(|(at, text)| (at, text.as_bytes().to_vec())), "{texts:?}");
        }
    }

    #[tokio::test]
    async fn a_part_begins_with_an_object() {
        type Case = (&'static [&'static str], Option<(u64, &'static str)>);
        let cases: [Case; 9] = [
            (&["{}\n{\"a\"", ":1}"], Some((13, "{\"a\":1}"))),
            (&["}", "\r\n", " ", " {1}"], Some((13, "  {1}"))),
            (&["1},\n{2}\n{3}"], Some((18, "{3}"))),
            (&["\n{1}\n{2}"], Some((15, "{2}"))),
            // The first begins before the part.
            (&["}\n{1}\n{2}"], Some((16, "{2}"))),
            (&["}\n\n\n{1}"], Some((14, "{1}"))),
            (&["{} {}\n"], None),
            (&["{1}\n\n", "\n{2}"], Some((14, "\n\n{2}"))),
            (&["012345678901234567890123456789", "}\n{}"], None),
        ];
        for (texts, expected) in cases {
            let found = from_first_object(chunks(texts), 10, 13..30).await.unwrap();
            let found = match found {
                Some((at, rest)) => Some((at, rest.try_collect::<Vec<_>>().await.unwrap().concat())),
                None => None,
            };
            assert_eq!(found, expected.map(|(at, text)| (at, text.as_bytes().to_vec())), "{texts:?}");
        }
    }

    #[tokio::test]
    async fn compression_is_told_by_the_first_bytes() {
        let gzip = stream::iter([Ok(Bytes::from_static(b"\x1f\x8b\x08"))]).boxed();
        assert_eq!(sniff(gzip).await.unwrap().0, Compression::Gzip);
        let (plain, bytes) = sniff(chunks(&["a,b\n"])).await.unwrap();
        assert_eq!(
            (plain, bytes.try_collect::<Vec<_>>().await.unwrap().concat()),
            (Compression::None, b"a,b\n".to_vec())
        );
    }
}
