//! A stream engine without a disk, as simple as the trait allows.

use crate::kinesis::service::{
    NewRecord, PutResult, Read, ShardDescription, Start, StoredRecord, StreamDescription, Streams,
};
use async_trait::async_trait;
use md5::{Digest, Md5};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use tidegate_core::{Clock, Error, Kind, Result};

/// Shards that one stream may have, to have something to refuse.
pub const SHARDS_MAX: u32 = 100;

pub struct Memory {
    clock: Clock,
    streams: Mutex<BTreeMap<String, Stream>>,
    pub tags: Mutex<Vec<(String, String)>>,
}

struct Stream {
    about: StreamDescription,
    records: Vec<Vec<StoredRecord>>,
}

fn decimal(hex: &str) -> String {
    let mut digits = vec![0u32];
    for value in hex.chars().map(|c| c.to_digit(16).unwrap()) {
        let mut carry = value;
        for digit in &mut digits {
            carry += *digit * 16;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().map(u32::to_string).collect()
}

fn number(made_s: i64, shard: u32, index: u64, given_s: i64) -> String {
    decimal(&format!("2{made_s:09x}{:x}{index:016x}00{given_s:09x}{shard:08x}2", shard & 0xf))
}

impl Memory {
    pub fn new(clock: Clock) -> Self {
        Memory { clock, streams: Mutex::default(), tags: Mutex::default() }
    }

    /// Closes a shard and puts two in its place.
    pub fn split(&self, name: &str, shard: u32) {
        let now_s = self.clock.now_ms() / 1000;
        let mut streams = self.streams.lock();
        let stream = streams.get_mut(name).unwrap();
        let first = stream.about.shards.len() as u32;
        let parent = &mut stream.about.shards[shard as usize];
        parent.ending_sequence = Some(number(0, shard, i64::MAX as u64, now_s));
        let (start, end) = (parent.start_hash, parent.end_hash);
        let middle = start + (end - start) / 2;
        for (number_, start_hash, end_hash) in [(first, start, middle), (first + 1, middle + 1, end)] {
            let starting_sequence = number(now_s, number_, 0, now_s);
            stream.about.shards.push(ShardDescription {
                number: number_,
                start_hash,
                end_hash,
                parent: Some(shard),
                adjacent_parent: None,
                starting_sequence,
                ending_sequence: None,
            });
            stream.records.push(Vec::new());
        }
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut Stream) -> Result<T>) -> Result<T> {
        let mut streams = self.streams.lock();
        let missing = || Error::new(Kind::UndefinedTable, format!("stream \"{name}\" does not exist"));
        work(streams.get_mut(name).ok_or_else(missing)?)
    }
}

fn position(records: &[StoredRecord], start: &Start) -> Result<u64> {
    let before = |number: &str, inclusive: bool| {
        let number = (number.len(), number);
        let passed = |record: &&StoredRecord| {
            let own = (record.sequence.len(), record.sequence.as_str());
            own < number || (!inclusive && own == number)
        };
        records.iter().take_while(passed).count()
    };
    let index = match start {
        Start::TrimHorizon => 0,
        Start::Latest => records.len(),
        Start::AtSequence(number) => before(number, true),
        Start::AfterSequence(number) => before(number, false),
        Start::AtTimestampMs(ms) => records.iter().take_while(|record| record.arrival_ms < *ms).count(),
    };
    Ok(index as u64)
}

#[async_trait]
impl Streams for Memory {
    async fn create(&self, name: &str, shards: Option<u32>, tags: Vec<(String, String)>) -> Result<()> {
        let count = shards.unwrap_or(4);
        if count > SHARDS_MAX {
            return Err(Error::new(Kind::LimitExceeded, format!("{count} shards are more than {SHARDS_MAX}")));
        }
        let created_ms = self.clock.now_ms();
        let mut streams = self.streams.lock();
        if streams.contains_key(name) {
            return Err(Error::new(Kind::DuplicateTable, format!("stream \"{name}\" is there already")));
        }
        let width = u128::MAX / u128::from(count) + u128::from(count.is_power_of_two());
        let shards = (0..count).map(|n| ShardDescription {
            number: n,
            start_hash: width.wrapping_mul(u128::from(n)),
            end_hash: if n + 1 == count { u128::MAX } else { width * u128::from(n + 1) - 1 },
            parent: None,
            adjacent_parent: None,
            starting_sequence: number(created_ms / 1000, n, 0, created_ms / 1000),
            ending_sequence: None,
        });
        let on_demand = tags.is_empty() && count == 4;
        let shards = shards.collect();
        let about = StreamDescription { name: name.into(), created_ms, retention_hours: 24, on_demand, shards };
        streams.insert(name.into(), Stream { about, records: vec![Vec::new(); count as usize] });
        *self.tags.lock() = tags;
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.with(name, |_| Ok(()))?;
        self.streams.lock().remove(name);
        Ok(())
    }

    fn describe(&self, name: &str) -> Result<StreamDescription> {
        self.with(name, |stream| Ok(stream.about.clone()))
    }

    fn names(&self) -> Vec<StreamDescription> {
        self.streams.lock().values().map(|stream| stream.about.clone()).collect()
    }

    async fn put(&self, name: &str, records: Vec<NewRecord>) -> Result<Vec<PutResult>> {
        let now = self.clock.now_ms();
        self.with(name, |stream| {
            let put = |record: NewRecord| {
                let md5 = u128::from_be_bytes(Md5::digest(record.partition_key.as_bytes()).into());
                let hash = record.explicit_hash.unwrap_or(md5);
                let open =
                    |s: &&ShardDescription| s.ending_sequence.is_none() && (s.start_hash..=s.end_hash).contains(&hash);
                let shard = stream.about.shards.iter().find(open).unwrap().number;
                let log = &mut stream.records[shard as usize];
                let sequence = number(stream.about.created_ms / 1000, shard, log.len() as u64 + 1, now / 1000);
                log.push(StoredRecord {
                    sequence: sequence.clone(),
                    partition_key: record.partition_key,
                    data: record.data,
                    arrival_ms: now,
                });
                PutResult { shard, sequence }
            };
            Ok(records.into_iter().map(put).collect())
        })
    }

    async fn position(&self, name: &str, shard: u32, start: &Start) -> Result<u64> {
        self.with(name, |stream| position(&stream.records[shard as usize], start))
    }

    async fn read(&self, name: &str, shard: u32, index: u64, limit: usize, bytes: usize) -> Result<Read> {
        let now = self.clock.now_ms();
        self.with(name, |stream| {
            let log = &stream.records[shard as usize];
            let mut end = index as usize;
            let mut size = 0;
            while let Some(record) = log.get(end).filter(|_| end - (index as usize) < limit) {
                size += record.data.len();
                if size > bytes && end > index as usize {
                    break;
                }
                end += 1;
            }
            let closed = stream.about.shards[shard as usize].ending_sequence.is_some();
            let next = if closed && end >= log.len() { None } else { Some(end as u64) };
            let millis_behind = log.get(end).map_or(0, |record| now - record.arrival_ms);
            Ok(Read { records: log[index as usize..end].to_vec(), next, millis_behind })
        })
    }
}
