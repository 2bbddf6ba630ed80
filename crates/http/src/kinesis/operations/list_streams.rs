//! ListStreams.

use super::super::call::Call;
use super::super::errors::Fault;
use super::super::service::StreamDescription;
use super::super::token::{Purpose, Token};
use super::super::validate::{Check, LIMIT_MAX, TOKEN_CHARS_MAX};
use super::super::wire::{self, Seconds};
use super::describe::ModeDetails;
use serde::{Deserialize, Serialize};

/// Streams of a page when nobody asks for another number.
const PAGE_DEFAULT: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    stream_names: Vec<&'a str>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    stream_summaries: Vec<Summary<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    stream_name: &'a str,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeDetails,
    stream_creation_timestamp: Seconds,
}

/// ListStreams.
pub(super) fn list_streams(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let input: Input = wire::read(body)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT);
    let after = after(call, input)?;
    let streams = call.streams().names();
    let mut left = streams.iter().filter(|stream| after.as_ref().is_none_or(|after| stream.name > *after));
    let page: Vec<_> = left.by_ref().take(limit).collect();
    let has_more_streams = left.next().is_some();
    wire::write(&Output {
        stream_names: page.iter().map(|stream| stream.name.as_str()).collect(),
        next_token: page.last().filter(|_| has_more_streams).map(|stream| token(call, stream)),
        has_more_streams,
        stream_summaries: page.iter().map(|stream| summary(call, stream)).collect(),
    })
}

/// The name after which the page begins; ends the check of the input.
fn after(call: &Call<'_>, input: Input) -> Result<Option<String>, Fault> {
    let mut check = Check::default();
    check.range(input.limit, (1, LIMIT_MAX), "limit");
    if let Some(name) = &input.exclusive_start_stream_name {
        check.name(name, "exclusiveStartStreamName");
    }
    if let Some(text) = &input.next_token {
        check.length(text, (1, TOKEN_CHARS_MAX), "nextToken");
    }
    check.done()?;
    match (input.exclusive_start_stream_name, input.next_token) {
        (Some(_), Some(_)) => {
            Err(Fault::argument("NextToken and ExclusiveStartStreamName cannot be provided together."))
        }
        (name, None) => Ok(name),
        (None, Some(text)) => {
            let token = Token::open(&text, Purpose::Streams).ok_or_else(|| Fault::argument("Invalid NextToken."))?;
            token.check_age(call.now_ms())?;
            Ok(Some(token.name))
        }
    }
}

fn token(call: &Call<'_>, last: &StreamDescription) -> String {
    let (name, created_ms, issued_ms) = (last.name.clone(), last.created_ms, call.now_ms());
    Token { purpose: Purpose::Streams, name, created_ms, shard: 0, index: 0, time_ms: 0, issued_ms }.seal()
}

fn summary<'a>(call: &Call<'_>, stream: &'a StreamDescription) -> Summary<'a> {
    Summary {
        stream_name: &stream.name,
        stream_arn: call.arn(&stream.name),
        stream_status: "ACTIVE",
        stream_mode_details: ModeDetails::of(stream),
        stream_creation_timestamp: Seconds(stream.created_ms),
    }
}
