//! The state file against damage, other programs' files and full disks.

use super::*;
use crate::fault::tests::with;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{self, OpenOptions};
use std::sync::atomic::{AtomicI64, Ordering};

type Changes = Vec<(String, Option<Vec<u8>>)>;

fn changes(entries: &[(&str, Option<&str>)]) -> Changes {
    entries.iter().map(|(key, value)| (key.to_string(), value.map(|v| v.as_bytes().to_vec()))).collect()
}

fn entries(store: &StateStore) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let each = |key: &str, value: &[u8]| {
        seen.push((key.to_string(), String::from_utf8_lossy(value).into_owned()));
        Ok(())
    };
    store.load(each).unwrap();
    seen
}

fn pairs(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn entries_and_position_survive_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = StateStore::open(&path).unwrap();
    assert_eq!((store.applied().unwrap(), entries(&store)), (0, vec![]));
    store.commit(3, 1, &changes(&[("b", Some("2")), ("a", Some("1")), ("c", Some(""))])).unwrap();
    store.commit(9, 5, &changes(&[("b", None), ("a", Some("one")), ("none", None)])).unwrap();
    drop(store);
    let store = StateStore::open(&path).unwrap();
    assert_eq!((store.applied().unwrap(), store.needed().unwrap()), (9, 5));
    assert_eq!(entries(&store), pairs(&[("a", "one"), ("c", "")]));
}

#[test]
fn an_error_of_the_reader_ends_the_loading() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::open(&folder.path().join("state.redb")).unwrap();
    store.commit(1, 1, &changes(&[("a", Some("1")), ("b", Some("2"))])).unwrap();
    let mut calls = 0;
    let error = store.load(|_, _| {
        calls += 1;
        Err(Error::internal("no"))
    });
    assert_eq!((error.unwrap_err().kind(), calls), (Kind::Internal, 1));
}

#[test]
fn a_failed_commit_leaves_nothing_and_the_store_usable() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::open(&folder.path().join("state.redb")).unwrap();
    with("state.commit=enospc@2,state.commit=eio@3", || {
        store.commit(1, 1, &changes(&[("a", Some("1"))])).unwrap();
        assert_eq!(store.commit(2, 1, &changes(&[("a", Some("2"))])).unwrap_err().kind(), Kind::DiskFull);
        assert_eq!(store.commit(2, 1, &changes(&[("a", Some("2"))])).unwrap_err().kind(), Kind::Io);
        assert_eq!((store.applied().unwrap(), entries(&store)), (1, pairs(&[("a", "1")])));
        store.commit(2, 1, &changes(&[("b", Some("2"))])).unwrap();
    });
    assert_eq!((store.applied().unwrap(), entries(&store)), (2, pairs(&[("a", "1"), ("b", "2")])));
}

#[test]
fn a_foreign_or_damaged_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let kind_of = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = StateStore::open(&path).and_then(|store| store.applied()).unwrap_err();
        assert!(error.message().contains(name), "{error}");
        error.kind()
    };
    assert_eq!(kind_of("text", b"hello, I am not a state file"), Kind::DataCorrupted);
    assert_eq!(kind_of("zeros", &[0; 100_000]), Kind::DataCorrupted);

    let path = folder.path().join("whole");
    let store = StateStore::open(&path).unwrap();
    let many: Changes = (0..2000).map(|n| (format!("key {n}"), Some(vec![n as u8; 100]))).collect();
    store.commit(1, 1, &many).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for length in [10, 100, 4096, 5000, whole.len() / 2] {
        assert_eq!(kind_of("short", &whole[..length]), Kind::DataCorrupted, "{length} bytes");
    }
}

#[test]
fn another_programs_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign");
    let other = Database::create(&path).unwrap();
    let write = other.begin_write().unwrap();
    write.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap();
    write.commit().unwrap();
    drop(other);
    assert_eq!(StateStore::open(&path).unwrap_err().kind(), Kind::DataCorrupted);
}

#[test]
fn a_changed_byte_is_told_or_harmless_but_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = StateStore::open(&path).unwrap();
    let many: Changes = (0..200).map(|n| (format!("key {n:04}"), Some(vec![b'v'; 100]))).collect();
    store.commit(1, 1, &many).unwrap();
    let expected = entries(&store);
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut told = 0;
    for index in (0..whole.len()).filter(|index| whole[*index] != 0).step_by(487) {
        let mut changed = whole.clone();
        changed[index] ^= 0x55;
        fs::write(&path, &changed).unwrap();
        match StateStore::open(&path) {
            // Where the byte lies in a page that is in use no more, or in the older of two headers.
            Ok(store) => assert!([vec![], expected.clone()].contains(&entries(&store)), "byte {index}"),
            Err(error) => {
                told += 1;
                assert!([Kind::DataCorrupted, Kind::NotInState].contains(&error.kind()), "byte {index}: {error}");
            }
        }
    }
    assert!(told > 20, "{told}");
}

/// A file on a disk that has room for so many more writes.
#[derive(Debug)]
struct FullSoon(FileBackend, Arc<AtomicI64>);

impl FullSoon {
    fn spend(&self) -> Result<(), std::io::Error> {
        let full = self.1.fetch_sub(1, Ordering::Relaxed) <= 0;
        if full { Err(std::io::Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
    }
}

impl StorageBackend for FullSoon {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.spend()?;
        self.0.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.spend()?;
        self.0.write(offset, data)
    }
    fn close(&self) -> Result<(), std::io::Error> {
        self.0.close()
    }
}

#[test]
fn a_disk_that_fills_at_any_write_is_told_and_the_store_recovers() {
    let mut failed = 0;
    for room in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let budget = Arc::new(AtomicI64::new(i64::MAX));
        let left = budget.clone();
        let open = move |path: &Path| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            builder().create_with_backend(FullSoon(FileBackend::new(file)?, left.clone()))
        };
        let store = StateStore::over(&folder.path().join("state.redb"), Box::new(open)).unwrap();
        store.commit(1, 1, &changes(&[("a", Some("1"))])).unwrap();
        let many: Changes = (0..300).map(|n| (format!("key {n}"), Some(vec![0; 4000]))).collect();
        budget.store(room, Ordering::Relaxed);
        let result = store.commit(2, 1, &many);
        let again = store.commit(3, 1, &many);
        budget.store(i64::MAX, Ordering::Relaxed);
        if let Err(error) = result {
            failed += 1;
            assert_eq!(error.kind(), Kind::DiskFull, "room {room}: {error}");
            assert_eq!(again.unwrap_err().kind(), Kind::DiskFull, "room {room}");
            assert!(store.applied().unwrap() == 1, "room {room}");
            assert_eq!(entries(&store), pairs(&[("a", "1")]), "room {room}");
        }
        store.commit(4, 1, &many).unwrap();
        assert_eq!((store.applied().unwrap(), entries(&store).len()), (4, 301), "room {room}");
    }
    assert!(failed > 5, "{failed}");
}
