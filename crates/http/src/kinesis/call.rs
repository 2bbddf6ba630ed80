//! One request on its way through an operation: who asks, of which stream, and AWS's sentences about streams.

use super::Inner;
use super::errors::Fault;
use super::names;
use super::service::{ShardDescription, StreamDescription, Streams};
use super::validate::Check;
use serde::Deserialize;
use tidegate_core::{Error, Kind};

/// What an operation knows besides its input.
pub(crate) struct Call<'a> {
    pub inner: &'a Inner,
    /// The region that the client thinks it talks to.
    pub region: &'a str,
}

/// The stream that a request names, in either way.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Target {
    pub stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub stream_arn: Option<String>,
    pub stream_id: Option<String>,
}

impl Target {
    /// Whether the request names a stream.
    pub fn is_given(&self) -> bool {
        self.stream_name.is_some() || self.stream_arn.is_some() || self.stream_id.is_some()
    }
}

impl Call<'_> {
    /// The engine.
    pub fn streams(&self) -> &dyn Streams {
        self.inner.streams.as_ref()
    }

    /// Now, in milliseconds after the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// The ARN of a stream, as this client knows it.
    pub fn arn(&self, name: &str) -> String {
        names::stream_arn(self.region, &self.inner.account, name)
    }

    /// Ends the check of the input, and gives the name of the stream that it asks for.
    pub fn stream(&self, target: Target, mut check: Check) -> Result<String, Fault> {
        if let Some(name) = &target.stream_name {
            check.name(name, "streamName");
        }
        check.done()?;
        if target.stream_id.is_some() {
            return Err(Fault::argument("StreamId is not known here; name the stream by StreamName or StreamARN."));
        }
        let by_arn =
            target.stream_arn.as_deref().map(|arn| names::name_in_arn(arn, &self.inner.account)).transpose()?;
        match (target.stream_name, by_arn) {
            (Some(name), Some(other)) if name != other => {
                Err(Fault::argument(format!("StreamName {name} and StreamARN of {other} are two streams.")))
            }
            (Some(name), _) => Ok(name),
            (None, Some(name)) => Ok(name.to_string()),
            (None, None) => Err(Fault::argument("Either StreamName or StreamARN must be given.")),
        }
    }

    /// A stream as it stands.
    pub fn describe(&self, name: &str) -> Result<StreamDescription, Fault> {
        self.streams().describe(name).map_err(|error| self.fault(name, error))
    }

    /// A stream as it stands, if it is still the one that was made then.
    pub fn describe_made(&self, name: &str, created_ms: i64) -> Result<StreamDescription, Fault> {
        let stream = self.describe(name)?;
        if stream.created_ms == created_ms { Ok(stream) } else { Err(self.missing(name)) }
    }

    /// A shard of a stream.
    pub fn shard<'s>(&self, stream: &'s StreamDescription, number: u32) -> Result<&'s ShardDescription, Fault> {
        stream.shards.iter().find(|shard| shard.number == number).ok_or_else(|| {
            let (id, name, account) = (names::shard_id(number), &stream.name, &self.inner.account);
            Fault::missing(format!("Shard {id} in stream {name} under account {account} does not exist"))
        })
    }

    /// What AWS says of a stream that is not there.
    pub fn missing(&self, name: &str) -> Fault {
        Fault::missing(format!("Stream {name} under account {} not found.", self.inner.account))
    }

    /// An error of the engine about a stream, in AWS's words where it has some.
    pub fn fault(&self, name: &str, error: Error) -> Fault {
        match error.kind() {
            Kind::UndefinedTable => self.missing(name),
            Kind::DuplicateTable => {
                let sentence = format!("Stream {name} under account {} already exists.", self.inner.account);
                Fault::refused("ResourceInUseException", sentence)
            }
            _ => Fault::from(error),
        }
    }
}

/// What is said instead of doing it, when the request was only to be tried.
pub(crate) fn dry_run(asked: Option<bool>) -> Result<(), Fault> {
    if asked == Some(true) {
        let sentence = "Request would have succeeded, but DryRun flag is set.";
        return Err(Fault::refused("DryRunOperationException", sentence));
    }
    Ok(())
}
