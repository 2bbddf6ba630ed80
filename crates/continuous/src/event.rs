//! Event time: how far each shard is, and which records come too late.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use std::collections::BTreeMap;
use tidegate_catalog::{LateRecord, Window};
use tidegate_core::{Error, Result};
use tidegate_stream::shard_number;

/// Records that came late, at most so many of them, and how many there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// How many.
    pub count: u64,
    /// The last of them.
    pub records: Vec<LateRecord>,
}

/// Late records that are remembered.
pub const LATE_RECORDS_MAX: usize = 100;

/// What a column holds, as microseconds of the Unix epoch.
pub fn microseconds(column: &ArrayRef) -> Result<ArrayRef> {
    cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(Error::internal)
}

/// Raises the watermarks of shards by the times that a batch's records make them complete to.
pub fn advance(marks: &mut BTreeMap<u32, i64>, batch: &RecordBatch, times: &ArrayRef) -> Result<()> {
    let times = microseconds(times)?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let shards = column(batch, "shard_id")?;
    let shards = cast(shards, &DataType::Utf8).map_err(Error::internal)?;
    let shards = shards.as_string::<i32>();
    let mut from = 0;
    // Records of a shard stand together.
    while from < batch.num_rows() {
        let shard = shards.value(from);
        let until = (from..batch.num_rows()).find(|row| shards.value(*row) != shard).unwrap_or(batch.num_rows());
        let most = arrow::compute::max(&times.slice(from, until - from));
        if let (Some(most), Some(number)) = (most, shard_number(shard)) {
            let mark = marks.entry(number).or_insert(most);
            *mark = (*mark).max(most);
        }
        from = until;
    }
    Ok(())
}

/// The end of the last window that holds an event time.
pub fn last_end(window: &Window, event_us: i64) -> i64 {
    let start = event_us.div_euclid(window.slide_us.max(1)).saturating_mul(window.slide_us.max(1));
    start.saturating_add(window.size_us)
}

/// When the windows of records end: the last window of the earliest record, and of the latest. None: there is no time.
pub fn ends<'a>(window: &Window, batches: impl Iterator<Item = &'a RecordBatch>) -> Result<Option<(i64, i64)>> {
    let mut ends: Option<(i64, i64)> = None;
    for batch in batches {
        let times = microseconds(column(batch, &window.column)?)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        if let (Some(least), Some(most)) = (arrow::compute::min(times), arrow::compute::max(times)) {
            let (first, last) = (last_end(window, least), last_end(window, most));
            ends = Some(ends.map_or((first, last), |(known, end)| (known.min(first), end.max(last))));
        }
    }
    Ok(ends)
}

/// The records of a batch whose windows have all closed.
pub fn late(window: &Window, batch: &RecordBatch, closed_us: i64) -> Result<Late> {
    let times = microseconds(column(batch, &window.column)?)?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let text = |name: &str| cast(column(batch, name)?, &DataType::Utf8).map_err(Error::internal);
    let (shards, sequences) = (text("shard_id")?, text("sequence_number")?);
    let (shards, sequences) = (shards.as_string::<i32>(), sequences.as_string::<i32>());
    let mut late = Late::default();
    for (row, time) in times.iter().enumerate() {
        let Some(event_us) = time.filter(|time| last_end(window, *time) <= closed_us) else { continue };
        late.count += 1;
        if late.records.len() >= LATE_RECORDS_MAX {
            late.records.remove(0);
        }
        let (shard_id, sequence_number) = (shards.value(row).to_string(), sequences.value(row).to_string());
        late.records.push(LateRecord { shard_id, sequence_number, event_us });
    }
    Ok(late)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal(format_args!("a batch of a stream has no column {name}")))
}

/// Up to which event time everything is there: what the slowest shard says that may still say something. One that has
/// records and has said nothing yet holds all the others.
pub fn watermark(
    shards: impl Iterator<Item = u32>,
    marks: &BTreeMap<u32, i64>,
    is_silent: impl Fn(u32) -> bool,
) -> Option<i64> {
    let speaking: Vec<Option<i64>> =
        shards.filter(|shard| !is_silent(*shard)).map(|shard| marks.get(&shard).copied()).collect();
    match speaking.is_empty() {
        true => marks.values().max().copied(),
        // None is less than any time.
        false => speaking.into_iter().min().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end() {
        let tumble = Window { column: "at".into(), slide_us: 10, size_us: 10 };
        let hop = Window { column: "at".into(), slide_us: 5, size_us: 20 };
        let cases =
            [(&tumble, 0, 10), (&tumble, 9, 10), (&tumble, 10, 20), (&tumble, -1, 0), (&hop, 7, 25), (&hop, -3, 15)];
        for (window, event_us, end) in cases {
            assert_eq!(last_end(window, event_us), end, "{window:?} {event_us}");
        }
    }

    #[test]
    fn the_slowest_shard_that_speaks_says_how_far() {
        let marks = BTreeMap::from([(0, 50), (1, 20), (2, 90)]);
        let cases: [(&[u32], Option<i64>); 5] = [
            (&[3], Some(20)),
            (&[1, 3], Some(50)),
            (&[0, 1, 3], Some(90)),
            (&[0, 1, 2, 3], Some(90)),
            // Shard 3 has records, and none has been read.
            (&[], None),
        ];
        for (silent, expected) in cases {
            assert_eq!(watermark(0..4, &marks, |shard| silent.contains(&shard)), expected, "{silent:?}");
        }
        assert_eq!(watermark(0..4, &BTreeMap::new(), |_| true), None);
    }
}
