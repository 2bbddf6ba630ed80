//! Uploads that were begun and never completed, as a crash leaves them: the parts of an object in S3, or a file on disk
//! under a hidden name. They take room that no listing of objects shows.

use super::connector::Connector;
use super::url::Location;
use super::{S3Access, Stores, object_error, s3};
use object_store::ClientOptions;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use std::io::ErrorKind;
use std::path::PathBuf;
use tidegate_core::{Error, Kind, Result};

/// Pages of uploads that are looked at: each goes before the next is asked for.
const PAGES_MAX: usize = 1000;
/// Folders on disk that are looked into.
const FOLDERS_MAX: usize = 100_000;

impl Stores {
    /// Takes back the unfinished uploads of objects whose names begin with a URL and end as the caller says. Gives their
    /// number. Nobody may be writing there now.
    pub async fn take_back_uploads(&self, url: &str, access: &S3Access, ours: fn(&str) -> bool) -> Result<usize> {
        match Location::parse(url)? {
            Location::Local { path } => {
                let prefix = format!("/{path}{}", if url.ends_with('/') { "/" } else { "" });
                let removed = tokio::task::spawn_blocking(move || remove_staged(&prefix, ours)).await;
                removed.map_err(Error::internal)?.map_err(|error| Error::from(error).context(url))
            }
            Location::S3 { bucket, path } => {
                self.egress.check(&access.host(&bucket), url)?;
                let in_folder = url.ends_with('/') && !path.as_ref().is_empty();
                let prefix = format!("{path}{}", if in_folder { "/" } else { "" });
                self.abort_uploads(&bucket, &prefix, access, ours).await.map_err(|error| error.context(url))
            }
        }
    }

    async fn abort_uploads(
        &self,
        bucket: &str,
        prefix: &str,
        access: &S3Access,
        ours: fn(&str) -> bool,
    ) -> Result<usize> {
        let store = s3::open(bucket, access, &self.egress, bucket)?;
        let mut aborted = 0;
        for _ in 0..PAGES_MAX {
            let page = self.uploads(&store, bucket, prefix, access).await?;
            let ours: Vec<_> =
                page.into_iter().filter(|upload| upload.key.strip_prefix(prefix).is_some_and(ours)).collect();
            if ours.is_empty() {
                break;
            }
            for upload in ours {
                let path = Path::parse(&upload.key).map_err(Error::internal)?;
                match store.abort_multipart(&path, &upload.id).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => aborted += 1,
                    Err(error) => return Err(object_error(error, &upload.key)),
                }
            }
        }
        Ok(aborted)
    }

    /// ListMultipartUploads, which the client of the store does not offer.
    async fn uploads(
        &self,
        store: &object_store::aws::AmazonS3,
        bucket: &str,
        prefix: &str,
        access: &S3Access,
    ) -> Result<Vec<Upload>> {
        let mut url = ::url::Url::parse(&access.bucket_url(bucket)).map_err(Error::internal)?;
        url.query_pairs_mut().append_pair("prefix", prefix).append_pair("uploads", "");
        let mut request: HttpRequest =
            http::Request::get(url.as_str()).body(HttpRequestBody::empty()).map_err(Error::internal)?;
        let failed = |error: &dyn std::fmt::Display| Error::new(Kind::Io, format!("listing uploads: {error}"));
        if access.key.is_some() {
            let credential = store.credentials().get_credential().await.map_err(|error| object_error(error, prefix))?;
            AwsAuthorizer::new(&credential, "s3", access.signed_region()).authorize(&mut request, None);
        }
        let client = Connector(self.egress.clone()).connect(&ClientOptions::new());
        let client = client.map_err(|error| object_error(error, prefix))?;
        let answer = client.execute(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(|error| failed(&error))?;
        match status.is_success() {
            true => Ok(parse(&String::from_utf8_lossy(&body))),
            false => Err(failed(&format_args!("status {status}"))),
        }
    }
}

/// One upload.
#[derive(Debug, PartialEq, Eq)]
struct Upload {
    key: String,
    id: String,
}

/// The uploads of an answer.
fn parse(xml: &str) -> Vec<Upload> {
    let element = |text: &str, name: &str| -> Option<String> {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(unescaped(inner))
    };
    let upload = |text: &str| Some(Upload { key: element(text, "Key")?, id: element(text, "UploadId")? });
    xml.split("<Upload>").skip(1).filter_map(upload).collect()
}

fn unescaped(text: &str) -> String {
    // The ampersand last: what it makes is not read again.
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_string(), |text, (entity, character)| text.replace(entity, character))
}

/// Removes the files that [`super::local`] was writing: they lie beside the object, with `#` and a number at the end.
fn remove_staged(prefix: &str, ours: fn(&str) -> bool) -> std::io::Result<usize> {
    let mut removed = 0;
    let mut folders = vec![PathBuf::from(prefix.rsplit_once('/').map_or("/", |(folder, _)| folder))];
    for _ in 0..FOLDERS_MAX {
        let Some(folder) = folders.pop() else { break };
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let text = path.to_string_lossy();
            if path.is_dir() {
                if text.starts_with(prefix) {
                    folders.push(path);
                }
            } else if staged(&text).and_then(|text| text.strip_prefix(prefix)).is_some_and(ours) {
                std::fs::remove_file(&path)?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// The path of the object that a hidden file was to become.
fn staged(path: &str) -> Option<&str> {
    let (object, number) = path.rsplit_once('#')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_read_from_an_answer() {
        let xml = "<R><Prefix>a</Prefix><Upload><Key>a/b&amp;c</Key><UploadId>1</UploadId></Upload>\n\
                   <Upload><UploadId>2</UploadId><Key>a/d</Key></Upload><Upload><Key>x</Key></Upload></R>";
        let upload = |key: &str, id: &str| Upload { key: key.into(), id: id.into() };
        assert_eq!(parse(xml), [upload("a/b&c", "1"), upload("a/d", "2")]);
        assert_eq!(parse(""), []);
    }

    #[tokio::test]
    async fn staged_files_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("out/y=1")).unwrap();
        let files = ["out/000#1", "out/000", "out/x#1", "out/y=1/000#2", "out/000#a", "other#1"];
        for file in files {
            std::fs::write(at(file), "x").unwrap();
        }
        let url = format!("file://{}/out/", folder.path().display());
        let ours = |name: &str| name.ends_with("000");
        assert_eq!(Stores::new().take_back_uploads(&url, &S3Access::default(), ours).await.unwrap(), 2);
        let left: Vec<&str> = files.into_iter().filter(|file| at(file).exists()).collect();
        assert_eq!(left, ["out/000", "out/x#1", "out/000#a", "other#1"]);
    }
}
