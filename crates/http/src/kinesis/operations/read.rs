//! GetShardIterator and GetRecords.

use super::super::call::{Call, Target, dry_run};
use super::super::errors::Fault;
use super::super::names;
use super::super::sequence;
use super::super::service::{Start, StoredRecord, StreamDescription};
use super::super::token::{Purpose, Token};
use super::super::validate::{Check, ITERATOR_CHARS_MAX, LIMIT_MAX, READ_BYTES_MAX};
use super::super::wire::{self, Blob, Seconds};
use super::describe::HashKeyRange;
use serde::{Deserialize, Serialize};

const TYPES: [&str; 5] = ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"];
/// Characters of a shard id.
const SHARD_ID_CHARS_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorInput {
    #[serde(flatten)]
    target: Target,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Seconds>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorOutput {
    shard_iterator: String,
}

/// GetShardIterator.
pub(super) async fn get_shard_iterator(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: IteratorInput = wire::read(body)?;
    let mut check = Check::default();
    let id = check.needed(input.shard_id, "shardId").unwrap_or_default();
    check.length(&id, (1, SHARD_ID_CHARS_MAX), "shardId");
    let word = check.needed(input.shard_iterator_type, "shardIteratorType").unwrap_or_default();
    check.one_of(Some(&word), &TYPES, "shardIteratorType");
    check.sequence(input.starting_sequence_number.as_deref(), "startingSequenceNumber");
    let name = call.stream(input.target, check)?;

    let stream = call.describe(&name)?;
    let Some(number) = names::shard_number(&id) else {
        let account = &call.inner.account;
        return Err(Fault::missing(format!("Could not find shard {id} in stream {name} under account {account}.")));
    };
    call.shard(&stream, number)?;
    let start = start(&word, input.starting_sequence_number, input.timestamp, call.now_ms())?;
    check_sequence(call, &stream, number, &start)?;
    let index = call.streams().position(&name, number, &start).await.map_err(|error| call.fault(&name, error))?;
    dry_run(input.dry_run)?;
    let shard_iterator = iterator(&stream, number, index, call.now_ms());
    wire::write(&IteratorOutput { shard_iterator })
}

/// Where to start, if what was given goes together.
fn start(word: &str, number: Option<String>, time: Option<Seconds>, now_ms: i64) -> Result<Start, Fault> {
    Ok(match (word, number, time) {
        ("AT_SEQUENCE_NUMBER", Some(number), None) => Start::AtSequence(number),
        ("AFTER_SEQUENCE_NUMBER", Some(number), None) => Start::AfterSequence(number),
        ("TRIM_HORIZON", None, None) => Start::TrimHorizon,
        ("LATEST", None, None) => Start::Latest,
        ("AT_TIMESTAMP", None, Some(time)) if time.0 > now_ms => {
            return Err(Fault::argument("The timestamp of an AT_TIMESTAMP iterator cannot be in the future."));
        }
        ("AT_TIMESTAMP", None, Some(time)) => Start::AtTimestampMs(time.0),
        (word, number, time) => {
            let given = match (number, time) {
                (None, None) => "no StartingSequenceNumber and no timestamp",
                (Some(_), None) => "also a StartingSequenceNumber",
                (None, Some(_)) => "also a timestamp",
                (Some(_), Some(_)) => "both a StartingSequenceNumber and a timestamp",
            };
            return Err(Fault::argument(format!(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or \
                 (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber or (3) AT_TIMESTAMP and a timestamp. \
                 Request specified {word} and {given}."
            )));
        }
    })
}

/// A sequence number must at least have the form of one; whether it is of this shard, the engine knows.
fn check_sequence(call: &Call<'_>, stream: &StreamDescription, shard: u32, start: &Start) -> Result<(), Fault> {
    let (Start::AtSequence(number) | Start::AfterSequence(number)) = start else { return Ok(()) };
    if sequence::times(number).is_some() {
        return Ok(());
    }
    let (id, name, account) = (names::shard_id(shard), &stream.name, &call.inner.account);
    Err(Fault::argument(format!(
        "StartingSequenceNumber {number} used in GetShardIterator on shard {id} in stream {name} under account \
         {account} is invalid."
    )))
}

fn iterator(stream: &StreamDescription, shard: u32, index: u64, issued_ms: i64) -> String {
    let (name, created_ms) = (stream.name.clone(), stream.created_ms);
    Token { purpose: Purpose::Iterator, name, created_ms, shard, index, time_ms: 0, issued_ms }.seal()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsInput {
    shard_iterator: Option<String>,
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsOutput<'a> {
    records: Vec<Record<'a>>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    child_shards: Option<Vec<ChildShard>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    sequence_number: &'a str,
    approximate_arrival_timestamp: Seconds,
    data: Blob,
    partition_key: &'a str,
    encryption_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChildShard {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: HashKeyRange,
}

/// GetRecords.
pub(super) async fn get_records(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: RecordsInput = wire::read(body)?;
    let mut check = Check::default();
    let text = check.needed(input.shard_iterator, "shardIterator").unwrap_or_default();
    check.length(&text, (1, ITERATOR_CHARS_MAX), "shardIterator");
    check.range(input.limit, (1, LIMIT_MAX), "limit");
    check.done()?;
    let token = open(call, &text, input.stream_arn.as_deref())?;
    let stream = call.describe_made(&token.name, token.created_ms)?;
    call.shard(&stream, token.shard)?;
    dry_run(input.dry_run)?;

    let limit = usize::try_from(input.limit.unwrap_or(LIMIT_MAX)).unwrap_or(1);
    let read = call.streams().read(&token.name, token.shard, token.index, limit, READ_BYTES_MAX).await;
    let read = read.map_err(|error| call.fault(&token.name, error))?;
    call.inner.counts.records_read.add(read.records.len() as u64);
    wire::write(&RecordsOutput {
        records: read.records.iter().map(record).collect(),
        next_shard_iterator: read.next.map(|index| iterator(&stream, token.shard, index, call.now_ms())),
        millis_behind_latest: read.millis_behind.max(0),
        child_shards: if read.next.is_none() { Some(children(&stream, token.shard)) } else { None },
    })
}

/// The iterator in a token that is whole, young, and of the stream that the request names.
fn open(call: &Call<'_>, text: &str, arn: Option<&str>) -> Result<Token, Fault> {
    let token = Token::open(text, Purpose::Iterator).ok_or_else(|| Fault::argument("Invalid ShardIterator."))?;
    token.check_age(call.now_ms())?;
    let named = arn.map(|arn| names::name_in_arn(arn, &call.inner.account)).transpose()?;
    if named.is_some_and(|name| name != token.name) {
        return Err(Fault::argument("The ShardIterator is of another stream than the StreamARN."));
    }
    Ok(token)
}

fn record(stored: &StoredRecord) -> Record<'_> {
    Record {
        sequence_number: &stored.sequence,
        approximate_arrival_timestamp: Seconds(stored.arrival_ms),
        data: Blob(stored.data.clone()),
        partition_key: &stored.partition_key,
        encryption_type: "NONE",
    }
}

/// The shards that a closed one was split or merged into.
fn children(stream: &StreamDescription, parent: u32) -> Vec<ChildShard> {
    let born = stream.shards.iter().filter(|shard| [shard.parent, shard.adjacent_parent].contains(&Some(parent)));
    born.map(|shard| ChildShard {
        shard_id: names::shard_id(shard.number),
        parent_shards: [shard.parent, shard.adjacent_parent].into_iter().flatten().map(names::shard_id).collect(),
        hash_key_range: HashKeyRange::of(shard),
    })
    .collect()
}
