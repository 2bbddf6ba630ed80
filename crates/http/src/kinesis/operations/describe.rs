//! DescribeStream and DescribeStreamSummary.

use super::super::call::{Call, Target};
use super::super::errors::Fault;
use super::super::names;
use super::super::service::{ShardDescription, StreamDescription};
use super::super::validate::{Check, LIMIT_MAX, RECORD_KIB_MAX};
use super::super::wire::{self, Seconds};
use serde::{Deserialize, Serialize};

/// Shards of a page when nobody asks for another number.
const PAGE_DEFAULT: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    #[serde(flatten)]
    target: Target,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeOutput<'a> {
    stream_description: Description<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    shards: Vec<Shard<'a>>,
    has_more_shards: bool,
}

/// What both descriptions tell.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Common<'a> {
    stream_name: &'a str,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    retention_period_hours: u32,
    stream_creation_timestamp: Seconds,
    enhanced_monitoring: [Monitoring; 1],
    encryption_type: &'static str,
    key_id: Option<String>,
}

/// The mode of a stream.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeDetails {
    stream_mode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Monitoring {
    shard_level_metrics: [String; 0],
}

/// A shard as AWS tells it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shard<'a> {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange<'a>,
}

/// The hash keys of a shard.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange<'a> {
    starting_sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<&'a str>,
}

impl ModeDetails {
    /// Of a stream.
    pub fn of(stream: &StreamDescription) -> Self {
        ModeDetails { stream_mode: if stream.on_demand { "ON_DEMAND" } else { "PROVISIONED" } }
    }
}

impl HashKeyRange {
    /// Of a shard.
    pub fn of(shard: &ShardDescription) -> Self {
        HashKeyRange { starting_hash_key: shard.start_hash.to_string(), ending_hash_key: shard.end_hash.to_string() }
    }
}

impl<'a> Shard<'a> {
    /// Of a shard.
    pub fn of(shard: &'a ShardDescription) -> Self {
        Shard {
            shard_id: names::shard_id(shard.number),
            parent_shard_id: shard.parent.map(names::shard_id),
            adjacent_parent_shard_id: shard.adjacent_parent.map(names::shard_id),
            hash_key_range: HashKeyRange::of(shard),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: &shard.starting_sequence,
                ending_sequence_number: shard.ending_sequence.as_deref(),
            },
        }
    }
}

impl<'a> Common<'a> {
    fn of(call: &Call<'_>, stream: &'a StreamDescription) -> Self {
        Common {
            stream_name: &stream.name,
            stream_arn: call.arn(&stream.name),
            stream_status: "ACTIVE",
            stream_mode_details: ModeDetails::of(stream),
            retention_period_hours: stream.retention_hours,
            stream_creation_timestamp: Seconds(stream.created_ms),
            enhanced_monitoring: [Monitoring { shard_level_metrics: [] }],
            encryption_type: "NONE",
            key_id: None,
        }
    }
}

/// The number of the shard after which a page begins.
pub(super) fn shard_before(id: Option<&str>) -> Result<Option<u32>, Fault> {
    let number =
        |id| names::shard_number(id).ok_or_else(|| Fault::argument(format!("ShardId {id} is not a shard id.")));
    id.map(number).transpose()
}

/// DescribeStream.
pub(super) fn describe_stream(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: DescribeInput = wire::read(body)?;
    let mut check = Check::default();
    check.range(input.limit, (1, LIMIT_MAX), "limit");
    let name = call.stream(input.target, check)?;
    let after = shard_before(input.exclusive_start_shard_id.as_deref())?;
    let stream = call.describe(&name)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT);
    let mut left = stream.shards.iter().filter(|shard| after.is_none_or(|after| shard.number > after));
    let shards = left.by_ref().take(limit).map(Shard::of).collect();
    let has_more_shards = left.next().is_some();
    let common = Common::of(call, &stream);
    wire::write(&DescribeOutput { stream_description: Description { common, shards, has_more_shards } })
}

#[derive(Deserialize)]
struct SummaryInput {
    #[serde(flatten)]
    target: Target,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryOutput<'a> {
    stream_description_summary: Summary<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    open_shard_count: usize,
    consumer_count: u32,
    channel_count: u32,
    queue_count: u32,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: i64,
}

/// DescribeStreamSummary.
pub(super) fn describe_stream_summary(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: SummaryInput = wire::read(body)?;
    let name = call.stream(input.target, Check::default())?;
    let stream = call.describe(&name)?;
    wire::write(&SummaryOutput {
        stream_description_summary: Summary {
            common: Common::of(call, &stream),
            open_shard_count: stream.shards.iter().filter(|shard| shard.ending_sequence.is_none()).count(),
            consumer_count: 0,
            channel_count: 0,
            queue_count: 0,
            max_record_size_in_kib: RECORD_KIB_MAX,
        },
    })
}
