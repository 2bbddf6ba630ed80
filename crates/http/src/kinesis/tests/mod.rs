//! The endpoint over a socket, as a client sees it.

mod memory;
mod reading;
mod refusals;
mod streams;
mod writing;

use crate::metrics::Metrics;
use crate::{Kinesis, serve};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memory::Memory;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_core::{Clock, ManualClock, Rng, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub const NOW_MS: i64 = 1_700_000_000_500;

/// A server on a free port, its engine and its clock.
pub struct Server {
    address: std::net::SocketAddr,
    pub memory: Arc<Memory>,
    pub clock: ManualClock,
    shutdown: CancellationToken,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Server {
    pub async fn start() -> Server {
        Self::start_with(Settings::new()).await
    }

    pub async fn start_with(settings: Settings) -> Server {
        let clock = ManualClock::at_ms(NOW_MS);
        let memory = Arc::new(Memory::new(Clock::manual(clock.clone())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut metrics = Metrics::default();
        let rng = Rng::seeded(1);
        let kinesis = Kinesis::new(memory.clone(), &settings, Clock::manual(clock.clone()), rng, &mut metrics);
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, metrics, Some(kinesis), shutdown.clone()));
        Server { address, memory, clock, shutdown }
    }

    /// Sends a request with these header lines, each of which ends with a line's end.
    pub async fn send(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let text = String::from_utf8(answer[end + 4..].to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, head, body }
    }

    /// Calls an operation as an SDK does.
    pub async fn call(&self, operation: &str, input: Value) -> Answer {
        let headers = format!(
            "x-amz-target: Kinesis_20131202.{operation}\r\ncontent-type: application/x-amz-json-1.1\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=k/20260101/eu-west-3/kinesis/aws4_request, Signature=0\r\n"
        );
        self.send("POST /", &headers, input.to_string().as_bytes()).await
    }

    /// Calls an operation that should work; its output.
    pub async fn good(&self, operation: &str, input: Value) -> Value {
        let answer = self.call(operation, input).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        assert!(answer.head.contains("\r\ncontent-type: application/x-amz-json-1.1"), "{}", answer.head);
        assert!(answer.head.contains("\r\nx-amzn-requestid: "), "{}", answer.head);
        answer.body
    }

    /// Calls an operation that should be refused; its message.
    pub async fn refused(&self, code: &str, operation: &str, input: Value) -> String {
        let answer = self.call(operation, input.clone()).await;
        assert_eq!(
            (answer.status, answer.body["__type"].as_str()),
            (400, Some(code)),
            "{operation} {input}: {answer:?}"
        );
        let line = format!("\r\nx-amzn-errortype: {}", code.to_ascii_lowercase());
        assert!(answer.head.contains(&line), "{}", answer.head);
        assert!(answer.head.contains("\r\nx-amzn-requestid: "), "{}", answer.head);
        let message = answer.body["message"].as_str().or(answer.body["Message"].as_str()).unwrap().to_string();
        assert!(!message.is_empty());
        message
    }

    pub async fn create(&self, name: &str, shards: u32) {
        let body = self.good("CreateStream", json!({"StreamName": name, "ShardCount": shards})).await;
        assert_eq!(body, "");
    }

    /// Puts these records with one key; their numbers.
    pub async fn put(&self, name: &str, data: &[&str]) -> Vec<String> {
        let records: Vec<Value> =
            data.iter().map(|data| json!({"Data": STANDARD.encode(data), "PartitionKey": "k"})).collect();
        let answer = self.good("PutRecords", json!({"StreamName": name, "Records": records})).await;
        let results = answer["Records"].as_array().unwrap();
        results.iter().map(|result| result["SequenceNumber"].as_str().unwrap().to_string()).collect()
    }

    /// An iterator of a stream's first shard.
    pub async fn iterator(&self, name: &str, more: Value) -> String {
        let mut input = json!({"StreamName": name, "ShardId": "shardId-000000000000"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.good("GetShardIterator", input).await["ShardIterator"].as_str().unwrap().to_string()
    }

    /// What an iterator finds in one call, joined.
    pub async fn data(&self, iterator: &str) -> String {
        joined(&self.good("GetRecords", json!({"ShardIterator": iterator})).await)
    }
}

/// The data of the records of an answer, joined.
pub fn joined(answer: &Value) -> String {
    let records = answer["Records"].as_array().unwrap();
    let data = records.iter().map(|record| STANDARD.decode(record["Data"].as_str().unwrap()).unwrap());
    String::from_utf8(data.collect::<Vec<_>>().concat()).unwrap()
}
