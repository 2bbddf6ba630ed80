//! The object stores of a plan, as its workers need them: which buckets, and with what they are reached.
//!
//! They travel in a header of each task, on the cluster's port only, and are gone with the query.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::execution::runtime_env::RuntimeEnv;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;
use tidegate_core::{Error, Result};
use tidegate_storage::{BucketAccess, Stores};

/// The header.
const STORES: HeaderName = HeaderName::from_static("x-tidegate-stores");

/// The header for a plan that reads these stores; none where no bucket is among them.
pub fn header(urls: &BTreeSet<String>, stores: &Stores) -> Result<HeaderMap> {
    let buckets = buckets(urls, stores);
    let mut headers = HeaderMap::new();
    if !buckets.is_empty() {
        let text = STANDARD.encode(serde_json::to_vec(&buckets).map_err(Error::internal)?);
        let mut value = HeaderValue::from_str(&text).map_err(Error::internal)?;
        value.set_sensitive(true);
        headers.insert(STORES, value);
    }
    Ok(headers)
}

/// The buckets among these stores.
pub fn buckets(urls: &BTreeSet<String>, stores: &Stores) -> Vec<BucketAccess> {
    urls.iter().filter_map(|url| stores.bucket_of(url)).collect()
}

/// Opens what a header names, for the plans of this node.
pub fn open(headers: &HeaderMap, stores: &Stores, runtime: &RuntimeEnv) -> Result<()> {
    let buckets: Vec<BucketAccess> = match headers.get(STORES) {
        Some(value) => {
            let text = STANDARD.decode(value.as_bytes()).map_err(Error::internal)?;
            serde_json::from_slice(&text).map_err(Error::internal)?
        }
        None => Vec::new(),
    };
    open_all(&buckets, stores, runtime)
}

/// Opens buckets, and the files of this machine.
pub fn open_all(buckets: &[BucketAccess], stores: &Stores, runtime: &RuntimeEnv) -> Result<()> {
    let local = stores.resolve("file:///", &Default::default())?;
    runtime.register_object_store(&local.registry_url, local.store);
    for bucket in buckets {
        let place = stores.resolve(&format!("s3://{}/", bucket.bucket), &bucket.access)?;
        runtime.register_object_store(&place.registry_url, place.store);
    }
    Ok(())
}
