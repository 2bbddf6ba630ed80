//! Names that are nearly right.

use strsim::osa_distance;

/// Changes of a letter that a slip makes at most (Postgres).
const DISTANCE_MAX: usize = 3;

/// The name that was probably meant: at most three letters away, and not more than half of them (Postgres, for columns).
/// The first of those that are equally near.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let length = name.chars().count();
    let near = known.into_iter().map(|other| (osa_distance(name, other), other));
    let near = near.filter(|(distance, _)| *distance <= DISTANCE_MAX && *distance * 2 <= length);
    near.min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        let known = ["departures", "delay", "dest", "a"];
        let cases = [
            ("departuers", Some("departures")),
            ("depature", Some("departures")),
            ("dely", Some("delay")),
            ("dst", Some("dest")),
            ("b", None),
            ("origin", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
