//! Reads the URLs that users write for objects. Keys are taken as they stand: `%20` is three characters.

use object_store::path::Path;
use tidegate_core::{Error, Kind, Result};

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    Local { path: Path },
    S3 { bucket: String, path: Path },
}

impl Location {
    pub(super) fn parse(url: &str) -> Result<Self> {
        if url.starts_with('/') {
            return local(url, url);
        }
        let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            let message = format!("{url:?} is not an absolute path or URL");
            return Err(Error::new(Kind::InvalidParameter, message)
                .hint("Write s3://bucket/key, file:///path or an absolute /path."));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => s3(url, rest),
            "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
                path if path.starts_with('/') => local(url, path),
                _ => Err(malformed(url, "a file URL names no host").hint("Write file:///path, with three slashes.")),
            },
            _ => Err(Error::new(Kind::Unsupported, format!("URLs of scheme {scheme}:// are not supported"))
                .hint("Supported are s3://bucket/key, file:///path and an absolute /path.")),
        }
    }
}

/// A local path; doubled slashes and `.` mean nothing in it, as in any other.
fn local(url: &str, path: &str) -> Result<Location> {
    let segments: Vec<_> = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    let path = Path::parse(segments.join("/")).map_err(|error| refused(url, &error))?;
    Ok(Location::Local { path })
}

fn s3(url: &str, rest: &str) -> Result<Location> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') {
        // It may hold a secret, so the URL is not repeated.
        let error = Error::new(Kind::InvalidParameter, "an s3:// URL takes no user and password");
        return Err(error.hint("Name a credential: CREATE CREDENTIAL."));
    }
    if bucket.is_empty() {
        return Err(malformed(url, "it names no bucket").hint("Write s3://bucket/key."));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !bucket.chars().all(plain) || matches!(bucket, "." | "..") {
        return Err(malformed(url, &format!("{bucket:?} is not a bucket's name")));
    }
    let path = Path::parse(key).map_err(|error| refused(url, &error))?;
    Ok(Location::S3 { bucket: bucket.to_string(), path })
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn malformed(url: &str, what: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("malformed URL {url:?}: {what}"))
}

fn refused(url: &str, error: &object_store::path::Error) -> Error {
    use object_store::path::Error::{BadSegment, EmptySegment};
    match error {
        EmptySegment { .. } => malformed(url, "a key with two slashes in a row, or one at its start, is not supported"),
        BadSegment { .. } => malformed(url, "the segments '.' and '..' and control characters are not allowed"),
        other => malformed(url, &other.to_string()),
    }
}
