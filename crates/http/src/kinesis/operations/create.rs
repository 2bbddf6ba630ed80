//! CreateStream and DeleteStream.

use super::super::call::{Call, Target};
use super::super::errors::Fault;
use super::super::validate::{Check, RECORD_KIB_MAX, TAGS_MAX};
use super::super::wire;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Characters of a tag's key.
const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
const TAG_VALUE_CHARS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput: Option<i64>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    record_kib: Option<i64>,
    #[serde(rename = "RecordDistributionStrategy")]
    strategy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: Option<String>,
}

/// CreateStream.
pub(super) async fn create_stream(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: CreateInput = wire::read(body)?;
    let mut check = Check::default();
    let mode = mode(&input, &mut check);
    check_members(&input, &mut check);
    let shards = if mode == Mode::OnDemand { None } else { check.needed(input.shard_count, "shardCount") };
    let target = Target { stream_name: input.stream_name.clone(), ..Target::default() };
    let name = call.stream(target, check)?;
    if let Some(refusal) = refusal(&input, mode) {
        return Err(Fault::argument(refusal));
    }

    let tags = input.tags.unwrap_or_default();
    if tags.len() > TAGS_MAX {
        return Err(Fault::argument(format!(
            "Stream {name} cannot have more than {TAGS_MAX} tags associated with it."
        )));
    }
    let shards = shards.and_then(|shards| u32::try_from(shards).ok());
    let made = call.streams().create(&name, shards, tags.into_iter().collect()).await;
    made.map_err(|error| call.fault(&name, error))?;
    Ok(Vec::new())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Provisioned,
    OnDemand,
}

fn mode(input: &CreateInput, check: &mut Check) -> Mode {
    let Some(details) = &input.stream_mode_details else { return Mode::Provisioned };
    let word = details.stream_mode.as_deref();
    check.needed(word, "streamModeDetails.streamMode");
    check.one_of(word, &["PROVISIONED", "ON_DEMAND"], "streamModeDetails.streamMode");
    if word == Some("ON_DEMAND") { Mode::OnDemand } else { Mode::Provisioned }
}

fn check_members(input: &CreateInput, check: &mut Check) {
    check.needed(input.stream_name.as_ref(), "streamName");
    check.range(input.shard_count, (1, i64::from(i32::MAX)), "shardCount");
    check.one_of(input.strategy.as_deref(), &["AUTO", "USER_PARTITION_KEY"], "recordDistributionStrategy");
    check.range(input.record_kib, (RECORD_KIB_MAX, 10 * RECORD_KIB_MAX), "maxRecordSizeInKiB");
    for (key, value) in input.tags.iter().flatten() {
        check.length(key, (1, TAG_KEY_CHARS_MAX), "tags");
        check.length(value, (0, TAG_VALUE_CHARS_MAX), format_args!("tags.{key}.member"));
    }
}

/// Why a stream of this kind is not offered, if it is not.
fn refusal(input: &CreateInput, mode: Mode) -> Option<&'static str> {
    if mode == Mode::OnDemand && input.shard_count.is_some() {
        Some("ShardCount cannot be given for a stream in ON_DEMAND mode.")
    } else if input.warm_throughput.is_some() {
        Some("WarmThroughputMiBps is not offered here.")
    } else if input.strategy.as_deref() == Some("AUTO") {
        Some("RecordDistributionStrategy AUTO is not offered here.")
    } else if input.record_kib.is_some_and(|size| size > RECORD_KIB_MAX) {
        Some("MaxRecordSizeInKiB above 1024 is not offered here.")
    } else {
        None
    }
}

#[derive(Deserialize)]
struct DeleteInput {
    // EnforceConsumerDeletion changes nothing: a stream has no registered consumers here.
    #[serde(flatten)]
    target: Target,
}

/// DeleteStream.
pub(super) async fn delete_stream(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: DeleteInput = wire::read(body)?;
    let name = call.stream(input.target, Check::default())?;
    call.streams().delete(&name).await.map_err(|error| call.fault(&name, error))?;
    Ok(Vec::new())
}
