//! How far a table is in the order of its sort key. Pure: the files' bounds in, what lies outside of the sorted region
//! out.
//!
//! The sorted region is the most rows that lie in sorted files of which no two overlap. What is not in it is unsorted,
//! as are files whose rows are in no order, and the tail.

use datafusion::common::ScalarValue;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// A file, as far as its order matters.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its number.
    pub id: u64,
    /// Its rows.
    pub rows: u64,
    /// The least and the greatest value of the key's first column, if its rows are in the key's order.
    pub bounds: Option<(ScalarValue, ScalarValue)>,
}

/// The numbers of the files outside of the sorted region.
pub fn unsorted(spans: &[Span]) -> BTreeSet<u64> {
    let mut sorted: Vec<(&Span, &ScalarValue, &ScalarValue)> =
        spans.iter().filter_map(|span| span.bounds.as_ref().map(|(min, max)| (span, min, max))).collect();
    sorted.sort_by(|(a, _, a_max), (b, _, b_max)| order(a_max, b_max).then(a.id.cmp(&b.id)));
    let mut outside: BTreeSet<u64> = spans.iter().map(|span| span.id).collect();
    // The most rows of files among the first so many, and whether the last of them is one of those.
    let mut best: Vec<(u64, bool)> = vec![(0, false)];
    let before = |min: &ScalarValue| sorted.partition_point(|(_, _, max)| order(max, min) != Ordering::Greater);
    let rows_of = |best: &[(u64, bool)], count: usize| best.get(count).map_or(0, |(rows, _)| *rows);
    for (index, (span, min, _)) in sorted.iter().enumerate() {
        let with = rows_of(&best, before(min).min(index)) + span.rows;
        let without = rows_of(&best, index);
        best.push((with.max(without), with >= without));
    }
    let mut count = sorted.len();
    while let (Some((_, taken)), Some((span, min, _))) =
        (best.get(count), count.checked_sub(1).and_then(|i| sorted.get(i)))
    {
        if *taken {
            outside.remove(&span.id);
            count = before(min).min(count - 1);
        } else {
            count -= 1;
        }
    }
    outside
}

/// What has to be sorted together so that these files come into the sorted region: they, and all that they overlap.
pub fn to_sort(spans: &[Span], outside: &BTreeSet<u64>) -> BTreeSet<u64> {
    let is_out = |span: &&Span| outside.contains(&span.id);
    if spans.iter().filter(is_out).any(|span| span.bounds.is_none()) {
        return spans.iter().map(|span| span.id).collect();
    }
    let overlaps = |span: &Span| {
        spans.iter().filter(is_out).any(|other| match (&span.bounds, &other.bounds) {
            (Some((min, max)), Some((other_min, other_max))) => {
                order(min, other_max) != Ordering::Greater && order(other_min, max) != Ordering::Greater
            }
            _ => true,
        })
    };
    spans.iter().filter(|span| is_out(span) || overlaps(span)).map(|span| span.id).collect()
}

fn order(a: &ScalarValue, b: &ScalarValue) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a file, and their bounds if they are known.
    type Told = (u64, Option<(i64, i64)>);

    fn spans(of: &[Told]) -> Vec<Span> {
        let span = |(id, (rows, bounds)): (usize, &Told)| Span {
            id: id as u64,
            rows: *rows,
            bounds: bounds.map(|(min, max)| (ScalarValue::from(min), ScalarValue::from(max))),
        };
        of.iter().enumerate().map(span).collect()
    }

    #[test]
    fn the_sorted_region_is_the_most_rows_without_overlap() {
        type Case<'a> = (&'a [Told], &'a [u64]);
        let cases: [Case<'_>; 6] = [
            (&[], &[]),
            (&[(5, Some((1, 9)))], &[]),
            (&[(5, Some((1, 9))), (5, None)], &[1]),
            (&[(5, Some((1, 5))), (5, Some((5, 9))), (5, Some((10, 12)))], &[]),
            (&[(9, Some((1, 100))), (4, Some((1, 40))), (4, Some((50, 99)))], &[1, 2]),
            (&[(7, Some((1, 100))), (4, Some((1, 40))), (4, Some((50, 99)))], &[0]),
        ];
        for (of, expected) in cases {
            assert_eq!(unsorted(&spans(of)).into_iter().collect::<Vec<_>>(), expected, "{of:?}");
        }
    }

    #[test]
    fn what_overlaps_is_sorted_along() {
        let some = spans(&[(9, Some((1, 10))), (9, Some((11, 20))), (9, Some((21, 30))), (1, Some((15, 16)))]);
        let outside = unsorted(&some);
        assert_eq!(outside, BTreeSet::from([3]));
        assert_eq!(to_sort(&some, &outside), BTreeSet::from([1, 3]));
        let unknown = spans(&[(9, Some((1, 10))), (1, None)]);
        assert_eq!(to_sort(&unknown, &unsorted(&unknown)), BTreeSet::from([0, 1]));
        assert!(to_sort(&some, &BTreeSet::new()).is_empty());
    }
}
