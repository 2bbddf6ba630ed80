//! Which files of a table are put together. Pure: sizes in, files out.
//!
//! Files are in tiers by size, each four times as large as the one before. A tier that has filled up is merged into a
//! file of a higher one, so each row is written a few times at most, and there are never more than a few files of a tier.

use std::sync::Arc;
use tidegate_catalog::DataFile;

/// Files from this size on are large enough.
const WHOLE_BYTES: u64 = 64 << 20;
/// Files below this size are of the lowest tier.
const LEAST_BYTES: u64 = 64 << 10;
/// Files of a tier at which it is merged.
const TIER_FILES: usize = 8;
/// Most files of one merge.
const FILES_MAX: usize = 64;
/// Most bytes of one merge.
const BYTES_MAX: u64 = 256 << 20;

/// What is to be merged next, if a tier is full: the files of the lowest such tier, and of those below it.
pub fn due(files: &[Arc<DataFile>]) -> Option<Vec<Arc<DataFile>>> {
    let highest = tier(WHOLE_BYTES);
    let full = (0..highest).find(|t| files.iter().filter(|file| tier(file.bytes) == *t).count() >= TIER_FILES)?;
    let low: Vec<_> = files.iter().filter(|file| tier(file.bytes) <= full).cloned().collect();
    groups(low).into_iter().next()
}

/// All files that are not large enough, in groups to be merged each into one: what VACUUM does.
pub fn all(files: &[Arc<DataFile>]) -> Vec<Vec<Arc<DataFile>>> {
    groups(files.iter().filter(|file| file.bytes < WHOLE_BYTES).cloned().collect())
}

/// Files in groups of a bounded size; a file by itself is in none.
fn groups(files: Vec<Arc<DataFile>>) -> Vec<Vec<Arc<DataFile>>> {
    let (mut groups, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
    for file in files {
        if open.len() >= FILES_MAX || bytes + file.bytes > BYTES_MAX {
            groups.push(std::mem::take(&mut open));
            bytes = 0;
        }
        bytes += file.bytes;
        open.push(file);
    }
    groups.push(open);
    groups.retain(|group| group.len() > 1);
    groups
}

fn tier(bytes: u64) -> u32 {
    (bytes / LEAST_BYTES).checked_ilog(4).map_or(0, |tier| tier + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[u64]) -> Vec<Arc<DataFile>> {
        let file = |(id, bytes): (usize, &u64)| Arc::new(DataFile::new(id as u64, id.to_string(), 1, *bytes, 0));
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn tiers_are_four_times_the_one_before() {
        let (kib, mib) = (1 << 10, 1 << 20);
        let cases =
            [(0, 0), (63 * kib, 0), (64 * kib, 1), (255 * kib, 1), (256 * kib, 2), (63 * mib, 5), (64 * mib, 6)];
        for (bytes, expected) in cases {
            assert_eq!(tier(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn a_full_tier_is_merged_with_those_below() {
        let ids = |sizes: &[u64]| due(&files(sizes)).map(|found| found.iter().map(|file| file.id).collect::<Vec<_>>());
        assert_eq!(ids(&[1; 7]), None);
        assert_eq!(ids(&[1; 8]), Some((0..8).collect()));
        let (low, high, whole) = (1, 1 << 20, WHOLE_BYTES);
        let mixed = [high, high, high, high, low, high, high, high, high, whole, whole << 1];
        assert_eq!(ids(&mixed), Some((0..9).collect()));
        assert_eq!(ids(&[whole; 20]), None);
    }

    #[test]
    fn merges_are_bounded() {
        let sizes = |sizes: &[u64]| all(&files(sizes)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1]), [0; 0]);
        assert_eq!(sizes(&[1, 1, WHOLE_BYTES]), [2]);
        assert_eq!(sizes(&[1; 130]), [64, 64, 2]);
        assert_eq!(sizes(&[WHOLE_BYTES - 1; 9]), [4, 4]);
    }

    /// Ten batches a second, flushed once a minute, for a day: few files at any time.
    #[test]
    fn there_are_never_many_files() {
        let mut live: Vec<Arc<DataFile>> = Vec::new();
        let mut most = 0;
        for minute in 0..1440 {
            live.push(Arc::new(DataFile::new(minute, "", 60_000, 400 << 10, 0)));
            while let Some(merged) = due(&live) {
                live.retain(|file| !merged.iter().any(|gone| gone.id == file.id));
                let bytes = merged.iter().map(|file| file.bytes).sum();
                let first = Arc::clone(&merged[0]);
                live.push(Arc::new(DataFile { bytes, ..first.as_ref().clone() }));
            }
            most = most.max(live.len());
        }
        assert!(most <= 50, "{most}");
    }
}
