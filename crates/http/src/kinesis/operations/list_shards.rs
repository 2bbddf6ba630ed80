//! ListShards: pages and filters.

use super::super::call::{Call, Target};
use super::super::errors::Fault;
use super::super::sequence;
use super::super::service::{ShardDescription, StreamDescription};
use super::super::token::{Purpose, Token};
use super::super::validate::{Check, LIMIT_MAX, TOKEN_CHARS_MAX};
use super::super::wire::{self, Seconds};
use super::describe::{Shard, shard_before};
use serde::{Deserialize, Serialize};

/// Shards of a page when nobody asks for another number.
const PAGE_DEFAULT: usize = 1000;
const HOUR_MS: i64 = 3_600_000;

const FILTERS: [&str; 6] =
    ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(flatten)]
    target: Target,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Seconds>,
    shard_filter: Option<FilterInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterInput {
    r#type: Option<String>,
    shard_id: Option<String>,
    timestamp: Option<Seconds>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    shards: Vec<Shard<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Which shards a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    All,
    /// Open now.
    Latest,
    /// Open at this time, in milliseconds.
    At(i64),
    /// Open at this time or later.
    From(i64),
}

/// A list as it was asked for.
struct List {
    stream: StreamDescription,
    after: Option<u32>,
    filter: Filter,
}

/// ListShards.
pub(super) fn list_shards(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: Input = wire::read(body)?;
    let mut check = Check::default();
    check.range(input.max_results, (1, LIMIT_MAX), "maxResults");
    if let Some(filter) = &input.shard_filter {
        check.needed(filter.r#type.as_ref(), "shardFilter.type");
        check.one_of(filter.r#type.as_deref(), &FILTERS, "shardFilter.type");
    }
    if let Some(text) = &input.next_token {
        check.length(text, (1, TOKEN_CHARS_MAX), "nextToken");
    }
    let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_DEFAULT);
    let list = if input.next_token.is_some() { go_on(call, input, check)? } else { begin(call, input, check)? };
    let mut left = list.stream.shards.iter().filter(|shard| list.shows(shard));
    let page: Vec<_> = left.by_ref().take(limit).collect();
    let more = left.next().is_some();
    let next_token = page.last().filter(|_| more).map(|shard| list.token(shard.number, call.now_ms()));
    wire::write(&Output { shards: page.into_iter().map(Shard::of).collect(), next_token })
}

/// The list that a token goes on with.
fn go_on(call: &Call<'_>, input: Input, check: Check) -> Result<List, Fault> {
    check.done()?;
    let others = [
        (input.target.is_given(), "StreamName or StreamARN"),
        (input.stream_creation_timestamp.is_some(), "StreamCreationTimestamp"),
        (input.exclusive_start_shard_id.is_some(), "ExclusiveStartShardId"),
        (input.shard_filter.is_some(), "ShardFilter"),
    ];
    if let Some((_, other)) = others.iter().find(|(given, _)| *given) {
        return Err(Fault::argument(format!("NextToken and {other} cannot be provided together.")));
    }
    let text = input.next_token.unwrap_or_default();
    let token = Token::open(&text, Purpose::Shards);
    let (token, filter) = token
        .and_then(|token| Filter::unnumbered(token.index, token.time_ms).map(|filter| (token, filter)))
        .ok_or_else(|| Fault::argument("Invalid NextToken."))?;
    token.check_age(call.now_ms())?;
    let stream = call.describe_made(&token.name, token.created_ms)?;
    Ok(List { stream, after: Some(token.shard), filter })
}

/// The list that names its stream.
fn begin(call: &Call<'_>, input: Input, check: Check) -> Result<List, Fault> {
    let name = call.stream(input.target, check)?;
    let after = shard_before(input.exclusive_start_shard_id.as_deref())?;
    let stream = call.describe(&name)?;
    // Clients tell whole seconds.
    if input.stream_creation_timestamp.is_some_and(|time| time.0.div_euclid(1000) != stream.created_ms.div_euclid(1000))
    {
        return Err(call.missing(&name));
    }
    let (filter, after_filter) = filter(input.shard_filter, &stream, call.now_ms())?;
    Ok(List { stream, after: after.max(after_filter), filter })
}

/// The filter that was asked for, and the shard after which it begins.
fn filter(input: Option<FilterInput>, stream: &StreamDescription, now_ms: i64) -> Result<(Filter, Option<u32>), Fault> {
    let Some(input) = input else { return Ok((Filter::All, None)) };
    let word = input.r#type.unwrap_or_default();
    let horizon = now_ms.saturating_sub(i64::from(stream.retention_hours) * HOUR_MS).max(stream.created_ms);
    let time = |given: Option<Seconds>| match given {
        None => Err(Fault::argument(format!("ShardFilter of type {word} needs a Timestamp."))),
        Some(time) if time.0 > now_ms => {
            Err(Fault::argument(format!("ShardFilter of type {word}: the Timestamp lies in the future.")))
        }
        Some(time) => Ok(time.0.max(horizon)),
    };
    Ok(match word.as_str() {
        "AFTER_SHARD_ID" => match shard_before(input.shard_id.as_deref())? {
            None => return Err(Fault::argument("ShardFilter of type AFTER_SHARD_ID needs a ShardId.")),
            after => (Filter::All, after),
        },
        "AT_TRIM_HORIZON" => (Filter::At(horizon), None),
        "FROM_TRIM_HORIZON" => (Filter::From(horizon), None),
        "AT_LATEST" => (Filter::Latest, None),
        "AT_TIMESTAMP" => (Filter::At(time(input.timestamp)?), None),
        _ => (Filter::From(time(input.timestamp)?), None),
    })
}

impl Filter {
    /// As it is kept in a token.
    fn numbered(self) -> (u64, i64) {
        match self {
            Filter::All => (0, 0),
            Filter::Latest => (1, 0),
            Filter::At(ms) => (2, ms),
            Filter::From(ms) => (3, ms),
        }
    }

    fn unnumbered(number: u64, ms: i64) -> Option<Self> {
        Some(match number {
            0 => Filter::All,
            1 => Filter::Latest,
            2 => Filter::At(ms),
            3 => Filter::From(ms),
            _ => return None,
        })
    }

    fn shows(self, shard: &ShardDescription) -> bool {
        // Sequence numbers tell times in whole seconds.
        let made = sequence::times(&shard.starting_sequence).map(|times| times.made);
        let closed = shard.ending_sequence.as_deref().and_then(sequence::times).map(|times| times.given);
        let open_until = |ms: i64| closed.is_none_or(|closed| closed >= ms.div_euclid(1000));
        match self {
            Filter::All => true,
            Filter::Latest => shard.ending_sequence.is_none(),
            Filter::At(ms) => made.is_none_or(|made| made <= ms.div_euclid(1000)) && open_until(ms),
            Filter::From(ms) => open_until(ms),
        }
    }
}

impl List {
    fn shows(&self, shard: &ShardDescription) -> bool {
        self.after.is_none_or(|after| shard.number > after) && self.filter.shows(shard)
    }

    fn token(&self, last: u32, issued_ms: i64) -> String {
        let (index, time_ms) = self.filter.numbered();
        let (name, created_ms) = (self.stream.name.clone(), self.stream.created_ms);
        Token { purpose: Purpose::Shards, name, created_ms, shard: last, index, time_ms, issued_ms }.seal()
    }
}
