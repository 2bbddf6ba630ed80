//! The limits of the API's model, and AWS's own sentences about what is beyond them.

use super::errors::Fault;
use std::fmt::Display;

/// Characters of a stream's name.
pub(crate) const NAME_CHARS_MAX: usize = 128;
/// Characters of a partition key.
const KEY_CHARS_MAX: usize = 256;
/// Bytes of one record's data.
pub(crate) const DATA_BYTES_MAX: usize = 1 << 20;
/// The same in KiB, as streams tell it.
pub(crate) const RECORD_KIB_MAX: i64 = 1024;
/// Records of one PutRecords.
pub(crate) const RECORDS_MAX: usize = 500;
/// Bytes of data and keys in one PutRecords.
pub(crate) const BATCH_BYTES_MAX: usize = 10 << 20;
/// Bytes of data in one answer to GetRecords.
pub(crate) const READ_BYTES_MAX: usize = 10 << 20;
/// Records of one GetRecords; also the largest page of a list.
pub(crate) const LIMIT_MAX: i64 = 10_000;
/// Characters of a shard iterator.
pub(crate) const ITERATOR_CHARS_MAX: usize = 512;
/// Characters of a list's token.
pub(crate) const TOKEN_CHARS_MAX: usize = 1 << 20;
/// Tags that one stream may have.
pub(crate) const TAGS_MAX: usize = 50;
/// Faults that one answer tells.
const FAULTS_MAX: usize = 10;
/// Characters of a refused value that are said back.
const SHOWN_CHARS_MAX: usize = 512;

const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";
const HASH_PATTERN: &str = r"0|([1-9]\d{0,38})";
const SEQUENCE_PATTERN: &str = r"0|([1-9]\d{0,128})";

/// Collects what is wrong with a request; [`Check::done`] tells it in one sentence.
#[derive(Default)]
pub(crate) struct Check {
    faults: Vec<String>,
    count: usize,
}

impl Check {
    /// Ends the check.
    pub fn done(self) -> Result<(), Fault> {
        if self.count == 0 {
            return Ok(());
        }
        let noun = if self.count == 1 { "error" } else { "errors" };
        let text = format!("{} validation {noun} detected: {}", self.count, self.faults.join("; "));
        Err(Fault::refused("ValidationException", text))
    }

    /// Notes a fault. The place is made only when there is one, as PutRecords asks for each record.
    fn require(&mut self, holds: bool, value: impl FnOnce() -> String, at: impl Display, constraint: impl Display) {
        if holds {
            return;
        }
        self.count += 1;
        if self.faults.len() < FAULTS_MAX {
            let value: String = value().chars().take(SHOWN_CHARS_MAX).collect();
            let value = if value == "null" { value } else { format!("'{value}'") };
            self.faults.push(format!("Value {value} at '{at}' failed to satisfy constraint: {constraint}"));
        }
    }

    /// A member that must be there.
    pub fn needed<T>(&mut self, value: Option<T>, at: impl Display) -> Option<T> {
        self.require(value.is_some(), || "null".into(), at, "Member must not be null");
        value
    }

    /// A text's length in characters.
    pub fn length(&mut self, value: &str, (min, max): (usize, usize), at: impl Display) {
        // Mostly there are no more bytes than there may be characters, which then need not be counted.
        if value.len() >= min && (value.len() <= max || value.chars().count() <= max) {
            return;
        }
        let least = value.len() < min;
        let bound = if least { min } else { max };
        self.require(false, || value.into(), at, length_constraint(least, bound));
    }

    /// A whole number in a range.
    pub fn range(&mut self, value: Option<i64>, (min, max): (i64, i64), at: impl Display) {
        let Some(value) = value else { return };
        let shown = || value.to_string();
        self.require(value >= min, shown, &at, format_args!("Member must have value greater than or equal to {min}"));
        self.require(value <= max, shown, &at, format_args!("Member must have value less than or equal to {max}"));
    }

    /// One of some words.
    pub fn one_of(&mut self, value: Option<&str>, words: &[&str], at: impl Display) {
        let Some(value) = value else { return };
        let constraint = format!("Member must satisfy enum value set: [{}]", words.join(", "));
        self.require(words.contains(&value), || value.into(), at, constraint);
    }

    /// The name of a stream.
    pub fn name(&mut self, name: &str, at: &str) {
        self.pattern(is_name(name), name, at, NAME_PATTERN);
        self.length(name, (1, NAME_CHARS_MAX), at);
    }

    /// A text that should read as a pattern.
    fn pattern(&mut self, holds: bool, value: &str, at: impl Display, pattern: &str) {
        let constraint = format_args!("Member must satisfy regular expression pattern: {pattern}");
        self.require(holds, || value.into(), at, constraint);
    }

    /// A sequence number.
    pub fn sequence(&mut self, number: Option<&str>, at: impl Display) {
        if let Some(number) = number {
            self.pattern(is_decimal(number, 129), number, at, SEQUENCE_PATTERN);
        }
    }

    /// How many there may be of something; too many are told by their number alone.
    pub fn count(&mut self, count: usize, (min, max): (usize, usize), noun: &str, at: &str) {
        let least = count < min;
        let bound = if least { min } else { max };
        let holds = (min..=max).contains(&count);
        self.require(holds, || format!("[{count} {noun}]"), at, length_constraint(least, bound));
    }

    /// The members of a record to put, as far as they are there.
    pub fn record(&mut self, key: Option<&str>, hash: Option<&str>, data: usize, at: At) {
        if let Some(key) = key {
            self.length(key, (1, KEY_CHARS_MAX), at.member("partitionKey"));
        }
        if data > DATA_BYTES_MAX {
            let shown = || format!("java.nio.HeapByteBuffer[pos=0 lim={data} cap={data}]");
            self.require(false, shown, at.member("data"), length_constraint(false, DATA_BYTES_MAX));
        }
        if let Some(hash) = hash
            && !is_decimal(hash, 39)
        {
            self.pattern(false, hash, at.member("explicitHashKey"), HASH_PATTERN);
        }
    }
}

fn length_constraint(least: bool, bound: usize) -> String {
    let side = if least { "greater" } else { "less" };
    format!("Member must have length {side} than or equal to {bound}")
}

/// Where a record stands in a request.
#[derive(Clone, Copy)]
pub(crate) enum At {
    /// It is the request.
    Top,
    /// It is the list's member of this index, from 0.
    Member(usize),
}

/// A member of a record, written as AWS does.
pub(crate) struct Place<'a>(At, &'a str);

impl At {
    /// The place of a member of the record.
    pub fn member(self, name: &str) -> Place<'_> {
        Place(self, name)
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            At::Top => f.write_str(self.1),
            At::Member(index) => write!(f, "records.{}.member.{}", index + 1, self.1),
        }
    }
}

/// Whether a text is made of the characters of names.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Whether a text is a whole number without leading zeros.
fn is_decimal(text: &str, digits_max: usize) -> bool {
    let plain = !text.is_empty() && text.len() <= digits_max && text.bytes().all(|b| b.is_ascii_digit());
    plain && (text == "0" || !text.starts_with('0'))
}

/// The hash key that was asked for; the pattern has been checked.
pub(crate) fn explicit_hash(text: Option<&str>) -> Result<Option<u128>, Fault> {
    text.map(|text| {
        text.parse::<u128>().map_err(|_| {
            let range = "ExplicitHashKey must be in the range: [0, 2^128-1].";
            Fault::argument(format!("Invalid ExplicitHashKey. {range} Specified value was {text}"))
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fill: impl FnOnce(&mut Check)) -> String {
        let mut check = Check::default();
        fill(&mut check);
        check.done().err().map_or_else(String::new, |fault| fault.message)
    }

    #[test]
    fn names_and_numbers_are_held_to_their_patterns() {
        for (name, good) in [("a", true), ("A_b-9.z", true), ("", false), ("with space", false), ("ä", false)] {
            assert_eq!(is_name(name), good, "{name}");
        }
        let cases =
            [("0", true), ("00", false), ("01", false), ("17", true), ("", false), ("-1", false), ("1e3", false)];
        for (text, good) in cases {
            assert_eq!(is_decimal(text, 39), good, "{text}");
        }
        assert!(is_decimal(&"9".repeat(39), 39) && !is_decimal(&"9".repeat(40), 39));
    }

    #[test]
    fn hash_keys_end_at_2_to_the_128() {
        assert_eq!(explicit_hash(None), Ok(None));
        assert_eq!(explicit_hash(Some("340282366920938463463374607431768211455")), Ok(Some(u128::MAX)));
        let beyond = explicit_hash(Some("340282366920938463463374607431768211456")).unwrap_err();
        assert_eq!(beyond.code, "InvalidArgumentException");
    }

    #[test]
    fn sentences_are_those_of_aws() {
        assert_eq!(said(|c| c.name("fine", "streamName")), "");
        assert_eq!(
            said(|c| c.name("no no", "streamName")),
            "1 validation error detected: Value 'no no' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        );
        assert_eq!(
            said(|c| c.range(Some(0), (1, 10), "limit")),
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: \
             Member must have value greater than or equal to 1"
        );
        assert_eq!(
            said(|c| assert_eq!(c.needed(None::<u8>, "shardId"), None)),
            "1 validation error detected: Value null at 'shardId' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(
            said(|c| c.record(Some(""), Some("x"), DATA_BYTES_MAX + 1, At::Member(0))),
            "3 validation errors detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: \
             Member must have length greater than or equal to 1; \
             Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at 'records.1.member.data' failed to satisfy \
             constraint: Member must have length less than or equal to 1048576; \
             Value 'x' at 'records.1.member.explicitHashKey' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})"
        );
    }

    #[test]
    fn keys_are_counted_in_characters() {
        assert_eq!(said(|c| c.record(Some(&"ä".repeat(256)), None, DATA_BYTES_MAX, At::Top)), "");
        assert!(said(|c| c.record(Some(&"ä".repeat(257)), None, 0, At::Top)).contains("less than or equal to 256"));
    }

    #[test]
    fn only_so_many_faults_are_spelled_out() {
        let text = said(|c| (0..600).for_each(|n| c.record(Some(""), None, 0, At::Member(n))));
        assert!(text.starts_with("600 validation errors detected: "), "{text}");
        assert_eq!(text.matches("failed to satisfy").count(), FAULTS_MAX);
    }
}
