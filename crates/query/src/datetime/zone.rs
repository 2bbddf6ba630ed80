//! Time zones in texts: offsets, abbreviations and names of the IANA database.

use super::Fault;
use arrow::array::timezone::Tz;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Most hours from Greenwich (Postgres: `MAX_TZDISP_HOUR`).
const HOURS_MAX: i32 = 15;

/// Where a clock stands.
#[derive(Debug, Clone, Copy)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Offset(i32),
    /// As its rules have it on that day.
    Named(Tz),
}

/// Names in small letters, as Postgres takes them in any.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| (zone.name().to_ascii_lowercase(), zone.name())).collect()
});

/// A zone by its name, in any letters.
pub fn by_name(name: &str) -> Option<Tz> {
    NAMES.get(&name.to_ascii_lowercase())?.parse().ok()
}

/// A zone by its name, or as POSIX writes one without rules: `utc+3` is three hours west, `pst8pdt` a name.
pub fn named(text: &str) -> Result<Zone, Fault> {
    if let Some(zone) = by_name(text) {
        return Ok(Zone::Named(zone));
    }
    let unknown = || Fault::Zone(text.to_string());
    let at = text.find(['+', '-']).filter(|at| *at >= 3).ok_or_else(unknown)?;
    let (letters, west) = text.split_at(at);
    let offset = offset(west).ok().filter(|_| letters.bytes().all(|byte| byte.is_ascii_lowercase()));
    offset.map(|seconds| Zone::Offset(-seconds)).ok_or_else(unknown)
}

/// The name of a zone in the database's letters, or an offset as `+hh:mm`.
pub fn canonical(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Some(name) = NAMES.get(&lower) {
        return Some((*name).to_string());
    }
    let east = match lower.parse::<f64>() {
        // Hours, as people write them.
        Ok(hours) if hours.abs() <= f64::from(HOURS_MAX) => Some((hours * 3600.0).round() as i32),
        Ok(_) => None,
        Err(_) => match (offset(&lower), named(&lower)) {
            (Ok(seconds), _) => Some(seconds),
            (_, Ok(Zone::Offset(seconds))) => Some(seconds),
            _ => None,
        },
    }?;
    let (sign, minutes) = (if east < 0 { '-' } else { '+' }, east.abs() / 60);
    Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

/// `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss` as seconds east of Greenwich.
pub fn offset(text: &str) -> Result<i32, Fault> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return Err(Fault::Format),
    };
    let number = |text: &str| text.parse::<i32>().map_err(|_| Fault::Format);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    let (mut hours, mut minutes) = (number(first)?, 0);
    match parts.next() {
        Some(text) => minutes = number(text)?,
        None if first.len() > 2 => (hours, minutes) = (hours / 100, hours % 100),
        None => {}
    }
    let seconds = parts.next().map_or(Ok(0), number)?;
    if parts.next().is_some() {
        return Err(Fault::Format);
    }
    match hours <= HOURS_MAX && minutes < 60 && seconds < 60 {
        true => Ok(sign * ((hours * 60 + minutes) * 60 + seconds)),
        false => Err(Fault::Displacement),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        let cases = [
            ("+8", Ok(28_800)),
            ("-08:30", Ok(-30_600)),
            ("+0530", Ok(19_800)),
            ("-01:02:03", Ok(-3_723)),
            ("+16", Err(Fault::Displacement)),
            ("+8:60", Err(Fault::Displacement)),
            ("+1:2:3:4", Err(Fault::Format)),
            ("8", Err(Fault::Format)),
        ];
        for (text, expected) in cases {
            assert_eq!(offset(text), expected, "{text}");
        }
    }

    #[test]
    fn zones_of_sessions() {
        let cases = [
            ("america/new_york", Some("America/New_York")),
            ("utc", Some("UTC")),
            ("-8", Some("-08:00")),
            ("5.5", Some("+05:30")),
            ("+05:30", Some("+05:30")),
            ("UTC-2", Some("+02:00")),
            ("CST7CDT,M4.1.0,M10.5.0", None),
            ("nowhere", None),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        assert!(matches!(named("america/new_york"), Ok(Zone::Named(_))));
        assert!(matches!(named("utc+3"), Ok(Zone::Offset(-10_800))));
        assert_eq!(named("america/does_not_exist").unwrap_err(), Fault::Zone("america/does_not_exist".to_string()));
    }
}
