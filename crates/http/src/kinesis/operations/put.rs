//! PutRecord and PutRecords.

use super::super::call::{Call, Target, dry_run};
use super::super::errors::Fault;
use super::super::names;
use super::super::sequence;
use super::super::service::{NewRecord, PutResult};
use super::super::validate::{At, BATCH_BYTES_MAX, Check, RECORDS_MAX, explicit_hash};
use super::super::wire::{self, Blob, Capped};
use serde::{Deserialize, Serialize};
use tidegate_core::Error;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    stream_id: Option<String>,
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordOutput {
    shard_id: String,
    sequence_number: String,
    encryption_type: &'static str,
}

/// PutRecord.
pub(super) async fn put_record(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: RecordInput = wire::read(body)?;
    let mut check = Check::default();
    let entry =
        Entry { data: input.data, partition_key: input.partition_key, explicit_hash_key: input.explicit_hash_key };
    let entry = entry.check(&mut check, At::Top);
    check.sequence(input.sequence_number_for_ordering.as_deref(), "sequenceNumberForOrdering");
    let target = Target { stream_name: input.stream_name, stream_arn: input.stream_arn, stream_id: input.stream_id };
    let name = call.stream(target, check)?;
    let record = entry.record()?;
    check_order(call, input.sequence_number_for_ordering.as_deref())?;
    let mut results = put(call, &name, vec![record], input.dry_run).await?;
    let result = results.pop().ok_or_else(|| Error::internal("a record was put and nothing told of it"))?;
    wire::write(&RecordOutput {
        shard_id: names::shard_id(result.shard),
        sequence_number: result.sequence,
        encryption_type: "NONE",
    })
}

/// A new number is above all that were given before, so the number to be above of must only be one of the past.
fn check_order(call: &Call<'_>, number: Option<&str>) -> Result<(), Fault> {
    let Some(number) = number else { return Ok(()) };
    let past = sequence::times(number).is_some_and(|times| times.given <= call.now_ms().div_euclid(1000));
    if past { Ok(()) } else { Err(Fault::argument(format!("SequenceNumberForOrdering {number} is invalid."))) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsInput {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    stream_id: Option<String>,
    records: Option<Capped<Entry, RECORDS_MAX>>,
    dry_run: Option<bool>,
}

/// A record of the list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsOutput {
    failed_record_count: u32,
    records: Vec<RecordsResult>,
    encryption_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsResult {
    sequence_number: String,
    shard_id: String,
}

/// PutRecords.
pub(super) async fn put_records(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: RecordsInput = wire::read(body)?;
    let mut check = Check::default();
    let records = check.needed(input.records, "records");
    let entries = records.map(|list| {
        check.count(list.count, (1, RECORDS_MAX), "records", "records");
        let numbered = list.members.into_iter().enumerate();
        numbered.map(|(index, entry)| entry.check(&mut check, At::Member(index))).collect::<Vec<_>>()
    });
    let target = Target { stream_name: input.stream_name, stream_arn: input.stream_arn, stream_id: input.stream_id };
    let name = call.stream(target, check)?;
    let records = entries.unwrap_or_default().into_iter().map(Checked::record).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(Fault::argument("Records size exceeds 10 MB limit"));
    }
    let results = put(call, &name, records, input.dry_run).await?;
    let result = |put: PutResult| RecordsResult { sequence_number: put.sequence, shard_id: names::shard_id(put.shard) };
    let records = results.into_iter().map(result).collect();
    wire::write(&RecordsOutput { failed_record_count: 0, records, encryption_type: "NONE" })
}

/// A record whose members are there and within their limits, once the check is done.
struct Checked {
    data: Blob,
    partition_key: String,
    hash: Option<String>,
}

impl Entry {
    fn check(self, check: &mut Check, at: At) -> Checked {
        let hash = self.explicit_hash_key;
        let partition_key = check.needed(self.partition_key, at.member("partitionKey"));
        let data = check.needed(self.data, at.member("data"));
        let key = partition_key.as_deref();
        check.record(key, hash.as_deref(), data.as_ref().map_or(0, |data| data.0.len()), at);
        Checked { data: data.unwrap_or_default(), partition_key: partition_key.unwrap_or_default(), hash }
    }
}

impl Checked {
    fn record(self) -> Result<NewRecord, Fault> {
        let explicit_hash = explicit_hash(self.hash.as_deref())?;
        Ok(NewRecord { partition_key: self.partition_key, explicit_hash, data: self.data.0 })
    }
}

async fn put(call: &Call<'_>, name: &str, records: Vec<NewRecord>, dry: Option<bool>) -> Result<Vec<PutResult>, Fault> {
    if dry == Some(true) {
        call.describe(name)?;
        dry_run(dry)?;
    }
    let count = records.len();
    let results = call.streams().put(name, records).await.map_err(|error| call.fault(name, error))?;
    if results.len() != count {
        return Err(Error::internal(format!("{count} records were put and {} told of", results.len())).into());
    }
    call.inner.counts.records_put.add(count as u64);
    Ok(results)
}
