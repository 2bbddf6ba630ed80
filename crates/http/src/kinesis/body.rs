//! Bodies of requests: read whole, within a size, a time and a share of memory.

use super::errors::Fault;
use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body of an operation that brings data.
pub(crate) const DATA_BODY_BYTES_MAX: usize = 16 << 20;
/// The largest body of any other operation.
pub(crate) const PLAIN_BODY_BYTES_MAX: usize = 256 << 10;
/// A body that is too large is read and dropped up to here: a client that is still sending reads no answer.
const DROPPED_BODY_BYTES_MAX: usize = 64 << 20;
/// Bodies with data that are in memory at one time.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// The unit in which that memory is shared out.
const SHARE_BYTES: usize = 4 << 10;
/// Longest time in which a body must come.
const BODY_SECONDS_MAX: u64 = 60;

/// The memory that bodies may take.
pub(crate) struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Memory(Arc::new(Semaphore::new(MEMORY_BYTES_MAX / SHARE_BYTES)))
    }
}

/// A body, and its share of the memory for as long as it lives.
pub(crate) struct Taken {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Reads a body of at most `max` bytes.
    pub async fn take(&self, body: Body, max: usize) -> Result<Taken, Fault> {
        let told = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let room = told.unwrap_or(max).min(max);
        // Small bodies do not wait behind large ones.
        let share = if room > PLAIN_BODY_BYTES_MAX { Some(self.share(room).await?) } else { None };
        let reading = tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), read(body, max, room));
        let bytes = reading.await.map_err(|_| Fault::too_slow(BODY_SECONDS_MAX))??;
        Ok(Taken { bytes, _share: share })
    }

    async fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let shares = u32::try_from(bytes.div_ceil(SHARE_BYTES)).unwrap_or(u32::MAX);
        Ok(Arc::clone(&self.0).acquire_many_owned(shares).await.map_err(tidegate_core::Error::internal)?)
    }
}

async fn read(body: Body, max: usize, room: usize) -> Result<Bytes, Fault> {
    let mut chunks = body.into_data_stream();
    // A body that comes in one piece is not copied.
    let (mut first, mut whole, mut size) = (Bytes::new(), BytesMut::new(), 0usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| Fault::serialization(format!("The request's body broke off: {e}")))?;
        size = size.saturating_add(chunk.len());
        if size > DROPPED_BODY_BYTES_MAX {
            break;
        }
        if size > max {
            (first, whole) = (Bytes::new(), BytesMut::new());
        } else if size == chunk.len() {
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.reserve(room);
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&chunk);
        }
    }
    if size > max {
        return Err(Fault::too_large(max));
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(bytes: usize, max: usize) -> Result<usize, u16> {
        let taken = Memory::default().take(Body::from(vec![7; bytes]), max).await;
        taken.map(|t| t.bytes.len()).map_err(|fault| fault.status.as_u16())
    }

    async fn taken_in_chunks(chunks: &'static [&'static str], max: usize) -> Result<Bytes, u16> {
        let stream =
            futures::stream::iter(chunks.iter().map(|c| Ok::<_, std::io::Error>(Bytes::from_static(c.as_bytes()))));
        let taken = Memory::default().take(Body::from_stream(stream), max).await;
        taken.map(|t| t.bytes).map_err(|fault| fault.status.as_u16())
    }

    #[tokio::test]
    async fn bodies_end_at_their_size() {
        assert_eq!(taken(0, 10).await, Ok(0));
        assert_eq!(taken(10, 10).await, Ok(10));
        assert_eq!(taken(11, 10).await, Err(413));
        assert_eq!(taken(DROPPED_BODY_BYTES_MAX + 1, 10).await, Err(413));
        assert_eq!(taken_in_chunks(&["ab", "cde", "f"], 6).await, Ok(Bytes::from_static(b"abcdef")));
        assert_eq!(taken_in_chunks(&["abcdef"], 6).await, Ok(Bytes::from_static(b"abcdef")));
        assert_eq!(taken_in_chunks(&["abcdef", "g"], 6).await, Err(413));
        assert_eq!(taken_in_chunks(&["abc", "defg"], 6).await, Err(413));
    }

    #[tokio::test]
    async fn large_bodies_share_the_memory_and_give_it_back() {
        let memory = Memory::default();
        let free = memory.0.available_permits();
        let taken = memory.take(Body::from(vec![0; 1 << 20]), DATA_BODY_BYTES_MAX).await.ok().unwrap();
        assert_eq!(memory.0.available_permits(), free - (1 << 20) / SHARE_BYTES);
        drop(taken);
        assert_eq!(memory.0.available_permits(), free);
    }
}
