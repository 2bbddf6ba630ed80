//! Decoders trust the bytes they are given: those of Parquet and ORC panic over some that no writer makes. This is the one
//! place where that becomes an error that names the file, and ends the statement instead of the connection.

use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tidegate_core::{Error, Kind, Result};

/// Does work that decodes a file. 22P04 where it panics: what the work had in hand is dropped, and nothing else saw it.
pub async fn guarded<T>(file: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| {
        Err(Error::new(Kind::BadCopyFormat, format!("file {file} cannot be decoded"))
            .hint("It is damaged, or of another format than the statement says."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_that_names_the_file() {
        let broken = async { if true { panic!("as decoders do") } else { Ok(1) } };
        let error = guarded("s3://b/f", broken).await.unwrap_err();
        assert_eq!(error.kind(), Kind::BadCopyFormat);
        assert!(error.message().contains("s3://b/f"), "{error}");
        assert_eq!(guarded("f", async { Ok(1) }).await.unwrap(), 1);
    }
}
