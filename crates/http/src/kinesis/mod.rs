//! Kinesis Data Streams as AWS's SDKs speak it: JSON 1.1, one POST for each operation.
//!
//! Owns the wire: names, limits, error codes, iterators. Refuses to own streams: what an operation does, a [`Streams`]
//! does. Specified by `tests/drivers/boto3_test.py`.
//!
//! 1. The target header names the operation; the body is read within the operation's size.
//! 2. The operation reads its input, and checks it with AWS's own sentences.
//! 3. The engine is asked; its errors become AWS's codes in one table.

mod body;
mod call;
mod errors;
mod names;
mod operations;
mod sequence;
pub mod service;
mod token;
mod validate;
mod wire;

#[cfg(test)]
mod tests;

use crate::metrics::{Counter, Metrics};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use call::Call;
use errors::Fault;
use operations::Operation;
use service::Streams;
use std::sync::Arc;
use tidegate_core::{Clock, Rng, Settings};

/// The format of requests and answers.
const JSON: &str = "application/x-amz-json-1.1";
/// What the target header begins with.
const TARGET_PREFIX: &str = "Kinesis_20131202.";
/// Characters of a target that are said back.
const TARGET_SHOWN_CHARS_MAX: usize = 128;

/// The endpoint. Cloned freely.
#[derive(Clone)]
pub struct Kinesis(Arc<Inner>);

struct Inner {
    streams: Arc<dyn Streams>,
    clock: Clock,
    rng: Rng,
    account: String,
    region: String,
    /// Whether a client need not prove who it is.
    trusting: bool,
    memory: body::Memory,
    counts: Counts,
}

struct Counts {
    requests: Counter,
    refused: Counter,
    failed: Counter,
    records_put: Counter,
    records_read: Counter,
}

impl Kinesis {
    /// The endpoint to these streams. Reads the settings `aws_account_id`, `aws_region` and `auth`.
    pub fn new(streams: Arc<dyn Streams>, settings: &Settings, clock: Clock, rng: Rng, metrics: &mut Metrics) -> Self {
        let counts = Counts {
            requests: metrics.counter("tidegate_kinesis_requests_total", "Kinesis requests answered."),
            refused: metrics.counter("tidegate_kinesis_refused_total", "Kinesis requests with a fault of the client."),
            failed: metrics.counter("tidegate_kinesis_failed_total", "Kinesis requests with a fault of the server."),
            records_put: metrics.counter("tidegate_kinesis_records_put_total", "Records put through Kinesis."),
            records_read: metrics.counter("tidegate_kinesis_records_read_total", "Records read through Kinesis."),
        };
        Kinesis(Arc::new(Inner {
            streams,
            clock,
            rng,
            account: settings.get("aws_account_id"),
            region: settings.get("aws_region"),
            trusting: settings.get("auth") == "trust",
            memory: body::Memory::default(),
            counts,
        }))
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response {
        let inner = self.0.as_ref();
        inner.counts.requests.add(1);
        let (head, body) = request.into_parts();
        let mut response = match inner.run(&head.headers, body).await {
            Ok(answer) => json(answer),
            Err(fault) => {
                inner.note(&fault);
                fault.into_response()
            }
        };
        if let Ok(id) = HeaderValue::try_from(inner.rng.uuid()) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }
}

impl Inner {
    async fn run(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Fault> {
        let operation = operation(headers)?;
        self.admit()?;
        check_format(headers)?;
        let body = self.memory.take(body, operation.body_bytes_max()).await?;
        let call = Call { inner: self, region: names::signed_region(headers).unwrap_or(&self.region) };
        operation.run(&call, &body.bytes).await
    }

    /// Signatures cannot be checked without access keys: a server that asks for proof has none to accept.
    fn admit(&self) -> Result<(), Fault> {
        if self.trusting {
            return Ok(());
        }
        let sentence = "This server asks its clients for passwords (auth = password) and has no access keys; \
                        Kinesis is offered with auth = trust.";
        Err(Fault::refused("AccessDeniedException", sentence))
    }

    fn note(&self, fault: &Fault) {
        if fault.is_ours() {
            self.counts.failed.add(1);
            tracing::error!(code = fault.code, message = %fault.message, "a Kinesis request failed");
        } else {
            self.counts.refused.add(1);
        }
    }
}

/// The operation in the target header.
fn operation(headers: &HeaderMap) -> Result<Operation, Fault> {
    let unknown = |message: String| Fault::refused("UnknownOperationException", message);
    let Some(target) = headers.get("x-amz-target").and_then(|value| value.to_str().ok()) else {
        return Err(unknown("The request has no X-Amz-Target header; it should name an operation of Kinesis.".into()));
    };
    let shown: String = target.chars().take(TARGET_SHOWN_CHARS_MAX).collect();
    match target.strip_prefix(TARGET_PREFIX) {
        Some(name) => Operation::named(name)
            .ok_or_else(|| unknown(format!("The operation {shown} is not offered by this server."))),
        None => Err(unknown(format!("{shown} is not an operation of Kinesis ({TARGET_PREFIX}…)."))),
    }
}

/// The body must be JSON; a request that does not say what it is, is taken at its target's word.
fn check_format(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(format) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let format = format.split(';').next().unwrap_or_default().trim();
    if [JSON, "application/json"].iter().any(|known| format.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let hint = if format.to_ascii_lowercase().contains("cbor") {
        "; in Java clients set CBOR_ENABLED=false, or AWS_CBOR_DISABLE=true for SDK 1"
    } else {
        ""
    };
    let shown: String = format.chars().take(TARGET_SHOWN_CHARS_MAX).collect();
    Err(Fault::media_type(format!("The body's format is {shown}, and only {JSON} is read here{hint}.")))
}

fn json(answer: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}
