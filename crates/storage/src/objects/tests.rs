//! Places that URLs name, and local objects that keep their word.

use super::*;
use futures::TryStreamExt;
use object_store::{Error as E, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::fs;
use tidegate_core::Kind;

fn key(url: &str) -> Result<(String, String), Kind> {
    let place = Stores::new().resolve(url, &S3Access::default()).map_err(|error| error.kind())?;
    let url = place.registry_url.as_str();
    let registry = url.split_once("tidegate-s3-").map_or(url, |(_, rest)| rest.split_once("://").unwrap().1);
    Ok((registry.to_string(), place.path.to_string()))
}

#[test]
fn a_url_names_a_place_and_its_key_stands_as_written() {
    for (url, registry, path) in [
        ("s3://bucket/key", "bucket", "key"),
        ("S3://Bucket_1.a-b/a/b.csv", "Bucket_1.a-b", "a/b.csv"),
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/folder/", "bucket", "folder"),
        ("s3://bucket/a b/c=1/100%25/ü/x#y?z", "bucket", "a b/c=1/100%25/ü/x#y?z"),
        ("s3://bucket/**/[ab]*.{csv,json}?", "bucket", "**/[ab]*.{csv,json}?"),
        ("file:///tmp/a b/%41.csv", "file:///", "tmp/a b/%41.csv"),
        ("file://localhost/tmp/x", "file:///", "tmp/x"),
        ("/tmp//a/./b*.csv", "file:///", "tmp/a/b*.csv"),
        ("/", "file:///", ""),
        ("/a/s3://b", "file:///", "a/s3:/b"),
    ] {
        assert_eq!(key(url), Ok((registry.to_string(), path.to_string())), "{url}");
    }
}

#[test]
fn what_is_no_place_is_refused() {
    for (url, kind) in [
        ("gs://bucket/key", Kind::Unsupported),
        ("hdfs://name/key", Kind::Unsupported),
        ("a/b.csv", Kind::InvalidParameter),
        ("./b.csv", Kind::InvalidParameter),
        ("", Kind::InvalidParameter),
        ("file:/tmp/x", Kind::InvalidParameter),
        ("file://host/x", Kind::InvalidParameter),
        ("s3:///key", Kind::InvalidParameter),
        ("s3://", Kind::InvalidParameter),
        ("s3://buck et/key", Kind::InvalidParameter),
        ("s3://bucket:1/key", Kind::InvalidParameter),
        ("s3://bucket/a//b", Kind::InvalidParameter),
        ("s3://bucket/../other", Kind::InvalidParameter),
        ("s3://bucket/a\nb", Kind::InvalidParameter),
        ("/tmp/../etc/passwd", Kind::InvalidParameter),
        ("://x", Kind::InvalidParameter),
    ] {
        let error = Stores::new().resolve(url, &S3Access::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{url}");
    }
    let error = Stores::new().resolve("gs://b/k", &S3Access::default()).unwrap_err();
    assert!(error.message().contains("gs://"), "{error}");
    let error = Stores::new().resolve("s3://KEY:SECRET@b/k", &S3Access::default()).unwrap_err();
    assert!(!error.message().contains("SECRET"), "{error}");
}

fn access(key: &str, secret: &str) -> S3Access {
    S3Access { key: Some(key.into()), secret: Some(secret.into()), ..S3Access::default() }
}

#[test]
fn a_store_is_kept_for_each_bucket_and_access() {
    let stores = Stores::new();
    let url = |bucket: &str, access: &S3Access| stores.resolve(&format!("s3://{bucket}/k"), access).unwrap();
    let first = url("b", &access("k", "s"));
    let same = url("b", &access("k", "s"));
    assert!(Arc::ptr_eq(&first.store, &same.store));
    assert_eq!(first.registry_url, same.registry_url);
    let endpoint = S3Access { endpoint: Some("http://127.0.0.1:1".into()), ..access("k", "s") };
    let others = [access("k", "t"), access("ks", ""), S3Access::default(), endpoint];
    for (bucket, access) in others.iter().map(|access| ("b", access)).chain([("c", &access("k", "s"))]) {
        let other = url(bucket, access);
        assert!(!Arc::ptr_eq(&first.store, &other.store), "{access:?}");
        assert_ne!(first.registry_url, other.registry_url, "{access:?}");
    }
    assert_eq!(Stores::new().resolve("s3://b/k", &access("k", "s")).unwrap().registry_url, first.registry_url);
    let local = stores.resolve("/x", &access("k", "s")).unwrap();
    assert!(Arc::ptr_eq(&local.store, &stores.resolve("file:///y", &S3Access::default()).unwrap().store));
}

#[test]
fn an_access_that_makes_no_sense_is_refused_and_a_secret_is_not_shown() {
    let half = S3Access { key: Some("k".into()), ..S3Access::default() };
    let endpoint = |text: &str| S3Access { endpoint: Some(text.into()), ..S3Access::default() };
    for access in [half, endpoint("127.0.0.1:9000"), endpoint("ftp://host"), endpoint("")] {
        let error = Stores::new().resolve("s3://b/k", &access).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidParameter, "{access:?}");
    }
    let secret = S3Access { token: Some("mytoken".into()), ..access("mykey", "mysecret") };
    let shown = format!("{secret:?}");
    assert!(shown.contains("mykey") && !shown.contains("mysecret") && !shown.contains("mytoken"), "{shown}");
}

#[tokio::test]
async fn a_dead_endpoint_fails_within_seconds() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let access = S3Access { endpoint: Some(format!("http://127.0.0.1:{port}")), ..access("k", "s") };
    let place = Stores::new().resolve("s3://b/k", &access).unwrap();
    let get = tokio::time::timeout(std::time::Duration::from_secs(15), place.store.get(&place.path));
    let error = object_error(get.await.unwrap().unwrap_err(), "s3://b/k");
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.message().starts_with("s3://b/k: ") && error.message().contains("refused"), "{error}");
}

/// Answers every request on a port of its own.
async fn server(status: &str, body: &str) -> S3Access {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let response = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    S3Access { endpoint, ..access("k", "s") }
}

#[tokio::test]
async fn what_a_service_answers_is_told() {
    let said = |code: &str| format!("<Error><Code>{code}</Code><Message>Said so</Message><Key>k</Key></Error>");
    for (status, body, kind, message) in [
        ("404 Not Found", said("NoSuchBucket"), Kind::UndefinedFile, "the bucket of s3://b/k does not exist"),
        ("404 Not Found", String::new(), Kind::UndefinedFile, "s3://b/k does not exist"),
        (
            "401 Unauthorized",
            "<html><body>a page</body></html>".to_string(),
            Kind::InsufficientPrivilege,
            "access to s3://b/k was refused: Server returned non-2xx status code: 401 Unauthorized",
        ),
        (
            "403 Forbidden",
            said("InvalidAccessKeyId"),
            Kind::InsufficientPrivilege,
            "access to s3://b/k was refused: InvalidAccessKeyId: Said so",
        ),
        (
            "400 Bad Request",
            said("ExpiredToken"),
            Kind::InsufficientPrivilege,
            "access to s3://b/k was refused: ExpiredToken: Said so",
        ),
    ] {
        let place = Stores::new().resolve("s3://b/k", &server(status, &body).await).unwrap();
        let get = object_error(place.store.get(&place.path).await.unwrap_err(), "s3://b/k");
        assert_eq!((get.kind(), get.message()), (kind, message));
        let list = place.store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
        let list = object_error(list, "s3://b/k");
        assert_eq!((list.kind(), list.message()), (kind, message));
    }
}

struct Local {
    folder: tempfile::TempDir,
    stores: Stores,
}

impl Local {
    fn new() -> Self {
        Local { folder: tempfile::tempdir().unwrap(), stores: Stores::new() }
    }

    fn place(&self, name: &str) -> Place {
        let url = format!("{}/{name}", self.folder.path().display());
        self.stores.resolve(&url, &S3Access::default()).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Names of files, unfinished ones included.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn create() -> PutOptions {
    PutOptions::from(PutMode::Create)
}

#[tokio::test]
async fn a_local_object_is_put_if_absent_or_replaced() {
    let local = Local::new();
    let Place { store, path, .. } = local.place("new/folder/a b=%41 ü.txt");
    let first = store.put_opts(&path, "one".into(), create()).await.unwrap();
    assert!(first.e_tag.is_some());
    let error = store.put_opts(&path, "two".into(), create()).await.unwrap_err();
    assert!(matches!(error, E::AlreadyExists { .. }), "{error}");
    assert_eq!(local.read("new/folder/a b=%41 ü.txt"), "one");
    store.put(&path, PutPayload::from_iter([bytes::Bytes::from("th"), bytes::Bytes::from("ree")])).await.unwrap();
    assert_eq!(local.read("new/folder/a b=%41 ü.txt"), "three");
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "three");
    assert_eq!(local.names("new/folder"), ["a b=%41 ü.txt"]);
    let folder = local.place("new").path;
    let listed: Vec<_> = store.list(Some(&folder)).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|meta| &meta.location).collect::<Vec<_>>(), [&path]);
}

#[tokio::test]
async fn of_many_that_put_if_absent_one_succeeds() {
    let local = Local::new();
    let Place { store, path, .. } = local.place("one");
    let puts = (0..20).map(|n| store.put_opts(&path, format!("{n}").into(), create()));
    let results = futures::future::join_all(puts).await;
    let winners: Vec<_> = (0..20).zip(&results).filter(|(_, result)| result.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(local.read("one"), winners[0].to_string());
    assert_eq!(local.names(""), ["one"]);
}

#[tokio::test]
async fn parts_appear_together_or_not_at_all() {
    let local = Local::new();
    let Place { store, path, .. } = local.place("x/parts");
    let mut upload = store.put_multipart(&path).await.unwrap();
    let (first, second) = (upload.put_part("one".into()), upload.put_part("two".into()));
    second.await.unwrap();
    first.await.unwrap();
    assert_eq!(local.names("x"), ["parts#1"]);
    upload.complete().await.unwrap();
    assert_eq!(local.read("x/parts"), "onetwo");
    assert!(upload.complete().await.is_err());

    let mut aborted = store.put_multipart(&path).await.unwrap();
    aborted.put_part("lost".into()).await.unwrap();
    aborted.abort().await.unwrap();
    let mut dropped = store.put_multipart(&path).await.unwrap();
    dropped.put_part("lost".into()).await.unwrap();
    drop(dropped);
    let mut missing = store.put_multipart(&path).await.unwrap();
    drop(missing.put_part("never sent".into()));
    missing.put_part("sent".into()).await.unwrap();
    assert!(missing.complete().await.is_err());
    drop(missing);
    assert_eq!((local.names("x"), local.read("x/parts")), (vec!["parts".to_string()], "onetwo".to_string()));
}

#[tokio::test]
async fn objects_are_copied_renamed_and_deleted() {
    let local = Local::new();
    let Place { store, path: a, .. } = local.place("a");
    let (b, c, none) = (local.place("deep/er/b").path, local.place("else/c").path, local.place("none").path);
    store.put(&a, "text".into()).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    store.rename(&a, &c).await.unwrap();
    assert_eq!((local.read("deep/er/b"), local.read("else/c")), ("text".to_string(), "text".to_string()));
    assert!(matches!(store.copy_if_not_exists(&b, &c).await.unwrap_err(), E::AlreadyExists { .. }));
    assert!(matches!(store.rename_if_not_exists(&b, &c).await.unwrap_err(), E::AlreadyExists { .. }));
    for error in [
        store.copy(&none, &local.place("stray/x").path).await.unwrap_err(),
        store.get(&none).await.unwrap_err(),
        store.delete(&none).await.unwrap_err(),
    ] {
        assert_eq!(object_error(error, "/none").kind(), Kind::UndefinedFile);
    }
    assert!(!local.folder.path().join("stray").exists());
    store.delete(&c).await.unwrap();
    assert!(local.names("else").is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let local = Local::new();
    let Place { store, path, .. } = local.place("file");
    store.put(&path, "text".into()).await.unwrap();
    let inside = local.place("file/inside").path;
    let error = object_error(store.put(&inside, "text".into()).await.unwrap_err(), "/file/inside");
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.message().contains("Not a directory"), "{error}");
}
