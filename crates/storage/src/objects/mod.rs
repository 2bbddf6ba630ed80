//! Object stores: durable local files and S3, found by URL and kept by bucket and access.

mod connector;
mod dynamo;
mod egress;
mod error;
mod local;
mod remove;
mod s3;
mod uploads;
mod url;

pub use self::dynamo::{DynamoPage, DynamoTable};
pub use self::egress::Egress;
pub use self::error::object_error;
pub use local::DurableLocal;
pub use s3::{Encryption, S3Access};

use self::url::Location;
use ::url::Url;
use object_store::ObjectStore;
use object_store::path::Path;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_core::{Error, Result};

/// How many buckets, each with one access, keep their connections. Over that, all are forgotten and made anew when
/// they are used again.
const STORES_MAX: usize = 1024;

/// Where an object, a folder or a glob lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The key in it, as it was written: a glob is not expanded, and a final `/` is dropped.
    pub path: Path,
    /// Under what the store stands in a query engine's registry: `file:///`, or one of its own for each bucket and
    /// access. It is derived from the secret, one way: not a thing to show.
    pub registry_url: Url,
}

/// A bucket, and with what it is reached.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BucketAccess {
    /// Its name.
    pub bucket: String,
    /// With what it is reached.
    pub access: S3Access,
}

/// Finds stores by URL.
#[derive(Debug)]
pub struct Stores {
    local: Arc<DurableLocal>,
    buckets: Mutex<HashMap<(String, S3Access), Arc<dyn ObjectStore>>>,
    egress: Egress,
}

impl Default for Stores {
    fn default() -> Self {
        Self::new()
    }
}

impl Stores {
    /// Without any connection yet, and allowed to reach any host.
    pub fn new() -> Self {
        Stores::within(Egress::default())
    }

    /// Without any connection yet; what is not allowed is not reached.
    pub fn within(egress: Egress) -> Self {
        Stores { local: Arc::new(DurableLocal::new()), buckets: Mutex::new(HashMap::new()), egress }
    }

    /// The place that `s3://bucket/key`, `file:///path` or `/path` names. Nothing is asked over the network.
    pub fn resolve(&self, url: &str, access: &S3Access) -> Result<Place> {
        match Location::parse(url)? {
            Location::Local { path } => {
                Ok(Place { store: self.local.clone(), path, registry_url: registry("file:///")? })
            }
            Location::S3 { bucket, path } => {
                self.egress.check(&access.host(&bucket), url)?;
                let registry_url = registry(&format!("tidegate-s3-{}://{bucket}", access.fingerprint()))?;
                Ok(Place { store: self.bucket(bucket, access, url)?, path, registry_url })
            }
        }
    }

    /// The bucket that stands under a URL in a query engine's registry, if it was resolved here.
    pub fn bucket_of(&self, registry_url: &str) -> Option<BucketAccess> {
        let (scheme, bucket) = registry_url.trim_end_matches('/').split_once("://")?;
        let fingerprint = scheme.strip_prefix("tidegate-s3-")?;
        let buckets = self.buckets.lock();
        let (bucket, access) =
            buckets.keys().find(|(name, access)| name == bucket && access.fingerprint() == fingerprint)?;
        Some(BucketAccess { bucket: bucket.clone(), access: access.clone() })
    }

    fn bucket(&self, bucket: String, access: &S3Access, url: &str) -> Result<Arc<dyn ObjectStore>> {
        let mut buckets = self.buckets.lock();
        let key = (bucket, access.clone());
        if let Some(store) = buckets.get(&key) {
            return Ok(store.clone());
        }
        let store: Arc<dyn ObjectStore> = Arc::new(s3::open(&key.0, access, &self.egress, url)?);
        if buckets.len() >= STORES_MAX {
            buckets.clear();
        }
        buckets.insert(key, store.clone());
        Ok(store)
    }
}

fn registry(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| Error::internal(format_args!("registry URL {url}: {error}")))
}

#[cfg(test)]
mod tests;
