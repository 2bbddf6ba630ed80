//! The operations, by name. Each reads its input, checks it, asks the engine and writes its output.

mod create;
mod describe;
mod list_shards;
mod list_streams;
mod put;
mod read;

use super::body::{DATA_BODY_BYTES_MAX, PLAIN_BODY_BYTES_MAX};
use super::call::Call;
use super::errors::Fault;

/// What is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateStream,
    DeleteStream,
    DescribeStream,
    DescribeStreamSummary,
    GetRecords,
    GetShardIterator,
    ListShards,
    ListStreams,
    PutRecord,
    PutRecords,
}

impl Operation {
    /// The operation of this name, if it is offered.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "CreateStream" => Operation::CreateStream,
            "DeleteStream" => Operation::DeleteStream,
            "DescribeStream" => Operation::DescribeStream,
            "DescribeStreamSummary" => Operation::DescribeStreamSummary,
            "GetRecords" => Operation::GetRecords,
            "GetShardIterator" => Operation::GetShardIterator,
            "ListShards" => Operation::ListShards,
            "ListStreams" => Operation::ListStreams,
            "PutRecord" => Operation::PutRecord,
            "PutRecords" => Operation::PutRecords,
            _ => return None,
        })
    }

    /// The largest body that it takes.
    pub fn body_bytes_max(self) -> usize {
        match self {
            Operation::PutRecord | Operation::PutRecords => DATA_BODY_BYTES_MAX,
            _ => PLAIN_BODY_BYTES_MAX,
        }
    }

    /// Answers a request: the body of the answer.
    pub async fn run(self, call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Fault> {
        match self {
            Operation::CreateStream => create::create_stream(call, body).await,
            Operation::DeleteStream => create::delete_stream(call, body).await,
            Operation::DescribeStream => describe::describe_stream(call, body),
            Operation::DescribeStreamSummary => describe::describe_stream_summary(call, body),
            Operation::GetRecords => read::get_records(call, body).await,
            Operation::GetShardIterator => read::get_shard_iterator(call, body).await,
            Operation::ListShards => list_shards::list_shards(call, body),
            Operation::ListStreams => list_streams::list_streams(call, body),
            Operation::PutRecord => put::put_record(call, body).await,
            Operation::PutRecords => put::put_records(call, body).await,
        }
    }
}
