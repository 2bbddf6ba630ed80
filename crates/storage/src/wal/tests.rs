//! The log against crashes at every byte, damage, full disks and failed syncs.

use super::file::FILE_HEADER_BYTES;
use super::*;
use crate::fault::tests::with;
use tempfile::TempDir;

fn payloads(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
}

/// The frames above `after`, as text, and the log.
fn recover(folder: &Path, after: u64) -> Result<(Vec<(u64, String)>, Wal)> {
    let mut seen = Vec::new();
    let wal = Wal::recover(folder, after, |frame| {
        seen.push((frame.position, String::from_utf8_lossy(&frame.payload).into_owned()));
        Ok(())
    })?;
    Ok((seen, wal))
}

fn texts(folder: &Path) -> Vec<String> {
    recover(folder, 0).unwrap().0.into_iter().map(|(_, text)| text).collect()
}

fn damage(folder: &Path, after: u64) -> String {
    let error = recover(folder, after).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), Kind::DataCorrupted, "{error}");
    error.message().to_string()
}

fn log_of(groups: &[&[&str]]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut wal) = recover(folder.path(), 0).unwrap();
    for group in groups {
        wal.append(&payloads(group)).unwrap();
    }
    folder
}

fn first_file(folder: &TempDir) -> PathBuf {
    folder.path().join("00000000000000000001.wal")
}

/// A log of four files, two frames in each: 1-2, 3-4, 5-6, 7-8.
fn log_of_four_files() -> (TempDir, Wal) {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut wal) = recover(folder.path(), 0).unwrap();
    wal.file_bytes_max = FILE_HEADER_BYTES + HEADER_BYTES as u64 + 4;
    for number in 1..=8 {
        assert_eq!(wal.append(&payloads(&[&format!("no {number}")])).unwrap(), number);
    }
    (folder, wal)
}

fn firsts(folder: &TempDir) -> Vec<u64> {
    list(folder.path()).unwrap().iter().map(|file| file.first).collect()
}

#[test]
fn what_was_appended_is_read_back_after_a_position() {
    let folder = log_of(&[&["a", "b"], &[""], &["c"]]);
    let all = [(1, "a"), (2, "b"), (3, ""), (4, "c")];
    for after in 0..=4u64 {
        let (seen, wal) = recover(folder.path(), after).unwrap();
        let expected: Vec<_> = all.iter().skip(after as usize).map(|(p, t)| (*p, t.to_string())).collect();
        assert_eq!(seen, expected, "after {after}");
        assert_eq!(wal.next_position(), 5);
    }
    let (_, mut wal) = recover(folder.path(), 4).unwrap();
    assert_eq!(wal.append(&[]).unwrap(), 4);
    assert_eq!(wal.append(&payloads(&["d"])).unwrap(), 5);
    assert_eq!(wal.bytes(), fs::metadata(first_file(&folder)).unwrap().len());
    assert_eq!(texts(folder.path()), ["a", "b", "", "c", "d"]);
}

#[test]
fn payloads_larger_than_the_write_buffer_are_kept_whole() {
    let sizes = [1, WRITE_BUFFER_BYTES - 40, 30, WRITE_BUFFER_BYTES, WRITE_BUFFER_BYTES + 1, 3];
    let group: Vec<_> = (1u8..).zip(sizes).map(|(byte, size)| Bytes::from(vec![byte; size])).collect();
    let folder = log_of(&[]);
    let (_, mut wal) = recover(folder.path(), 0).unwrap();
    wal.append(&group).unwrap();
    let mut seen = Vec::new();
    Wal::recover(folder.path(), 0, |frame| {
        seen.push(frame.payload);
        Ok(())
    })
    .unwrap();
    assert!(seen == group);
}

#[test]
fn a_tail_cut_at_any_byte_goes_and_the_rest_stays() {
    let folder = log_of(&[&["first"], &["second", "third"]]);
    let whole = fs::read(first_file(&folder)).unwrap();
    let last = whole.len() - (HEADER_BYTES + 5);
    for length in last..whole.len() {
        for fill in [0, 1, 40] {
            let mut torn = whole[..length].to_vec();
            torn.resize(length + fill, 0);
            fs::write(first_file(&folder), &torn).unwrap();
            assert_eq!(texts(folder.path()), ["first", "second"], "{length} bytes and {fill} zeros");
            assert_eq!(fs::metadata(first_file(&folder)).unwrap().len(), last as u64);
            let (_, mut wal) = recover(folder.path(), 2).unwrap();
            assert_eq!(wal.append(&payloads(&["again"])).unwrap(), 3);
            assert_eq!(texts(folder.path()), ["first", "second", "again"], "{length} bytes and {fill} zeros");
        }
    }
}

#[test]
fn a_changed_byte_is_a_tear_in_the_last_group_and_damage_before_it() {
    let folder = log_of(&[&["first", "second"], &["third", "fourth"]]);
    let whole = fs::read(first_file(&folder)).unwrap();
    let second_group = whole.len() - 2 * HEADER_BYTES - 11;
    for index in FILE_HEADER_BYTES as usize..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 0x10;
        fs::write(first_file(&folder), &changed).unwrap();
        if index < second_group {
            let message = damage(folder.path(), 0);
            assert!(message.contains("0001.wal") && message.contains("offset "), "{message}");
            assert_eq!(fs::read(first_file(&folder)).unwrap(), changed, "a damaged file must be left alone");
        } else {
            let kept = if index < second_group + HEADER_BYTES + 5 { 2 } else { 3 };
            assert_eq!(texts(folder.path()).len(), kept, "byte {index}");
        }
    }
}

#[test]
fn damage_is_told_from_a_tear_across_a_large_frame() {
    let folder = log_of(&[]);
    let (_, mut wal) = recover(folder.path(), 0).unwrap();
    wal.append(&[Bytes::from(vec![7; 3 << 20])]).unwrap();
    wal.append(&payloads(&["after"])).unwrap();
    let mut bytes = fs::read(first_file(&folder)).unwrap();
    bytes[FILE_HEADER_BYTES as usize + 1000] ^= 1;
    fs::write(first_file(&folder), &bytes).unwrap();
    assert!(damage(folder.path(), 0).contains("the later frame 2 is whole"));
    bytes.truncate(bytes.len() - 1);
    fs::write(first_file(&folder), &bytes).unwrap();
    assert!(texts(folder.path()).is_empty());
}

#[test]
fn files_follow_each_other_and_go_from_the_oldest() {
    let (folder, mut wal) = log_of_four_files();
    assert_eq!(firsts(&folder), [1, 3, 5, 7]);
    let all: Vec<_> = (1..=8).map(|number| format!("no {number}")).collect();
    assert_eq!(texts(folder.path()), all);
    for (keep, left) in [(0, vec![1, 3, 5, 7]), (2, vec![1, 3, 5, 7]), (3, vec![3, 5, 7]), (6, vec![5, 7])] {
        wal.truncate_before(keep).unwrap();
        assert_eq!(firsts(&folder), left, "keep {keep}");
        let bytes: u64 = list(folder.path()).unwrap().iter().map(|file| file.bytes).sum();
        assert_eq!(wal.bytes(), bytes);
    }
    wal.truncate_before(u64::MAX).unwrap();
    assert_eq!(firsts(&folder), [7]);
    assert_eq!(wal.append(&payloads(&["no 9"])).unwrap(), 9);
    assert_eq!(recover(folder.path(), 7).unwrap().0, [(8, "no 8".to_string()), (9, "no 9".to_string())]);
    assert!(damage(folder.path(), 3).contains("frame 4 should follow"));
}

#[test]
fn a_hole_among_files_or_a_log_behind_the_state_is_damage() {
    let (folder, _) = log_of_four_files();
    assert!(damage(folder.path(), 9).contains("ends at frame 8, but 9 is applied"));
    let third = folder.path().join("00000000000000000005.wal");
    let whole = fs::read(&third).unwrap();
    fs::write(&third, &whole[..whole.len() - 1]).unwrap();
    assert!(damage(folder.path(), 0).contains("a later file follows"));
    fs::write(&third, &whole[..FILE_HEADER_BYTES as usize]).unwrap();
    assert!(damage(folder.path(), 0).contains("frame 5 should follow, frame 7 does"));
    fs::write(&third, []).unwrap();
    assert!(damage(folder.path(), 0).contains("no header"));
    fs::remove_file(&third).unwrap();
    assert!(damage(folder.path(), 0).contains("frame 5 should follow, frame 7 does"));
    let empty = tempfile::tempdir().unwrap();
    assert!(damage(empty.path(), 3).contains("is missing"));
}

#[test]
fn a_file_whose_making_was_cut_short_is_made_anew() {
    let (folder, _) = log_of_four_files();
    let next = folder.path().join("00000000000000000009.wal");
    for length in [0, 5, 23] {
        fs::write(&next, vec![b'T'; length]).unwrap();
        let (seen, mut wal) = recover(folder.path(), 0).unwrap();
        assert_eq!((seen.len(), wal.next_position()), (8, 9), "{length}");
        wal.append(&payloads(&["no 9"])).unwrap();
        assert_eq!(texts(folder.path()).len(), 9);
    }
}

#[test]
fn a_full_disk_fails_one_append_and_leaves_the_log_usable() {
    for (fault, kind) in [("wal.write=enospc@2", Kind::DiskFull), ("wal.write=eio@2", Kind::Io)] {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut wal) = recover(folder.path(), 0).unwrap();
        with(fault, || {
            wal.append(&payloads(&["a"])).unwrap();
            let error = wal.append(&payloads(&["lost", "lost too"])).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains("0001.wal"), "{error}");
            assert_eq!(wal.bytes(), fs::metadata(first_file(&folder)).unwrap().len());
            assert_eq!(wal.append(&payloads(&["b"])).unwrap(), 2);
        });
        assert_eq!(texts(folder.path()), ["a", "b"]);
    }
}

#[test]
fn a_file_that_cannot_be_begun_leaves_the_log_with_the_one_before() {
    let (folder, mut wal) = log_of_four_files();
    with("wal.rotate=enospc@1", || {
        assert_eq!(wal.append(&payloads(&["lost"])).unwrap_err().kind(), Kind::DiskFull);
        assert_eq!(firsts(&folder), [1, 3, 5, 7]);
        assert_eq!(wal.append(&payloads(&["no 9"])).unwrap(), 9);
        assert_eq!(firsts(&folder), [1, 3, 5, 7, 9]);
    });
    assert_eq!(texts(folder.path()).len(), 9);
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_until_a_restart() {
    for fault in ["wal.sync=eio@2", "wal.sync=enospc@2", "wal.synced=eio@2"] {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut wal) = recover(folder.path(), 0).unwrap();
        with(fault, || {
            wal.append(&payloads(&["a"])).unwrap();
            for _ in 0..3 {
                let error = wal.append(&payloads(&["unknown"])).unwrap_err();
                assert_eq!(error.kind(), Kind::Io);
                assert!(error.hint_text().unwrap().contains("must be restarted"), "{fault}");
            }
        });
        let (seen, mut wal) = recover(folder.path(), 0).unwrap();
        assert_eq!(seen.first(), Some(&(1, "a".to_string())), "{fault}");
        wal.append(&payloads(&["b"])).unwrap();
        assert_eq!(texts(folder.path()).last().unwrap(), "b", "{fault}");
    }
}

#[test]
fn what_is_too_large_for_a_frame_is_refused_before_anything_is_written() {
    let folder = log_of(&[&["a"]]);
    let (_, mut wal) = recover(folder.path(), 0).unwrap();
    let huge = Bytes::from(vec![0; WAL_FRAME_BYTES_MAX + 1]);
    let error = wal.append(&[Bytes::from_static(b"b"), huge]).unwrap_err();
    assert_eq!(error.kind(), Kind::ProgramLimit);
    assert_eq!(wal.append(&payloads(&["c"])).unwrap(), 2);
    assert_eq!(texts(folder.path()), ["a", "c"]);
}

#[test]
fn an_error_of_the_reader_ends_the_recovery() {
    let folder = log_of(&[&["a", "b"]]);
    let result = Wal::recover(folder.path(), 0, |_| Err(Error::internal("no")));
    assert_eq!(result.unwrap_err().kind(), Kind::Internal);
}
