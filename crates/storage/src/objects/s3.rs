//! S3 and what speaks like it: the access to a bucket, and a client with small limits.

use super::connector::Connector;
use super::egress::{Egress, host_of};
use md5::{Digest, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, RetryConfig};
use std::fmt::{self, Write};
use std::time::Duration;
use tidegate_core::{Error, Kind, Result};

// So that a dead endpoint fails within seconds, while one that asks for patience gets some.
const RETRIES_MAX: usize = 3;
const RETRY_SECONDS_MAX: Duration = Duration::from_secs(20);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

const REGION_DEFAULT: &str = "us-east-1";

/// With it in the environment, the server's own AWS identity serves whoever names no key.
const KEY_VARIABLE: &str = "AWS_ACCESS_KEY_ID";

/// With what a bucket is reached. The default is anonymous, or the server's own identity where it has one.
#[derive(Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct S3Access {
    /// Access key id.
    pub key: Option<String>,
    /// Secret access key.
    pub secret: Option<String>,
    /// Session token.
    pub token: Option<String>,
    /// `http://host:port` of what is not AWS.
    pub endpoint: Option<String>,
    /// `us-east-1` if not given.
    pub region: Option<String>,
    /// Puts the bucket into the path rather than into the host's name. Always so with an endpoint.
    pub path_style: bool,
    /// How the store is asked to encrypt what is written; None leaves it to the bucket.
    #[serde(default)]
    pub encryption: Option<Encryption>,
}

/// Encryption by the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Encryption {
    /// With keys of S3: `AES256`.
    S3,
    /// With this key of KMS: `aws:kms`.
    Kms(String),
}

impl fmt::Debug for S3Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("S3Access")
            .field("key", &self.key)
            .field("secret", &hidden(&self.secret))
            .field("token", &hidden(&self.token))
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .finish()
    }
}

impl S3Access {
    /// The host that is asked for a bucket, with its port where it has one of its own.
    pub(super) fn host(&self, bucket: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => host_of(endpoint),
            None => {
                let region = self.region.as_deref().unwrap_or(REGION_DEFAULT);
                if self.path_style {
                    format!("s3.{region}.amazonaws.com")
                } else {
                    format!("{bucket}.s3.{region}.amazonaws.com")
                }
            }
        }
    }

    /// The region that requests are signed for.
    pub(super) fn signed_region(&self) -> &str {
        self.region.as_deref().unwrap_or(REGION_DEFAULT)
    }

    /// The URL of a bucket.
    pub(super) fn bucket_url(&self, bucket: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None if self.path_style => format!("https://{}/{bucket}", self.host(bucket)),
            None => format!("https://{}/", self.host(bucket)),
        }
    }

    /// The same for the same access on every node, and another for any other.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Md5::new();
        for field in [&self.key, &self.secret, &self.token, &self.endpoint, &self.region] {
            let length = field.as_ref().map_or(u64::MAX, |text| text.len() as u64);
            hash.update(length.to_le_bytes());
            hash.update(field.as_deref().unwrap_or_default());
        }
        hash.update([u8::from(self.path_style)]);
        if let Some(encryption) = &self.encryption {
            hash.update(format!("{encryption:?}"));
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A client for a bucket. Connects when it is first used.
pub(super) fn open(bucket: &str, access: &S3Access, egress: &Egress, url: &str) -> Result<AmazonS3> {
    let builder = credentials(access)?
        .with_bucket_name(bucket)
        .with_retry(RetryConfig {
            backoff: BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() },
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_SECONDS_MAX,
        })
        .with_allow_http(true)
        .with_http_connector(Connector(egress.clone()));
    let builder = encrypted(place(builder, bucket, access)?, access)?;
    builder.build().map_err(|error| super::object_error(error, url))
}

fn credentials(access: &S3Access) -> Result<AmazonS3Builder> {
    match (&access.key, &access.secret) {
        (Some(key), Some(secret)) => {
            let builder = AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret);
            Ok(access.token.iter().fold(builder, AmazonS3Builder::with_token))
        }
        (None, None) if std::env::var_os(KEY_VARIABLE).is_some() => Ok(AmazonS3Builder::from_env()),
        (None, None) => Ok(AmazonS3Builder::new().with_skip_signature(true)),
        (key, _) => {
            let missing = if key.is_some() { "SECRET" } else { "KEY" };
            Err(Error::new(Kind::InvalidParameter, format!("the S3 credential has no {missing}"))
                .hint("Give both KEY and SECRET, or neither for anonymous access."))
        }
    }
}

fn encrypted(builder: AmazonS3Builder, access: &S3Access) -> Result<AmazonS3Builder> {
    Ok(match &access.encryption {
        None => builder,
        Some(Encryption::S3) => {
            let key: AmazonS3ConfigKey = "aws_server_side_encryption".parse().map_err(Error::internal)?;
            builder.with_config(key, "AES256")
        }
        Some(Encryption::Kms(id)) => builder.with_sse_kms_encryption(id),
    })
}

fn place(mut builder: AmazonS3Builder, bucket: &str, access: &S3Access) -> Result<AmazonS3Builder> {
    match &access.region {
        Some(region) => builder = builder.with_region(region),
        None if access.key.is_some() => builder = builder.with_region(REGION_DEFAULT),
        // The environment may name one; without it the builder takes the same default.
        None => {}
    }
    let Some(endpoint) = &access.endpoint else {
        let keys = [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint];
        let elsewhere = keys.iter().any(|key| builder.get_config_value(key).is_some());
        // A bucket with a dot has no certificate for its host's name.
        let in_path = elsewhere || access.path_style || bucket.contains('.');
        return Ok(builder.with_virtual_hosted_style_request(!in_path));
    };
    let parsed = url::Url::parse(endpoint).ok();
    if !parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some()) {
        let message = format!("S3 endpoint {endpoint:?} is not an http:// or https:// URL");
        return Err(Error::new(Kind::InvalidParameter, message).hint("Write http://host:port or https://host."));
    }
    Ok(builder.with_endpoint(endpoint.trim_end_matches('/')).with_virtual_hosted_style_request(false))
}
