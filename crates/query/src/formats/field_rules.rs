//! How COPY's conversion options bend the values of single fields.

use super::pattern::{Pattern, TimeFormat};
use super::values::{self, Bad};
use crate::datetime::{self, Reading};
use serde::{Deserialize, Serialize};
use tidegate_core::{Kind, Result};

/// What becomes of text that is longer than its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lengths {
    /// It is not looked at: whoever takes the batch does.
    #[default]
    Free,
    /// The row is bad.
    Checked,
    /// It is cut (TRUNCATECOLUMNS).
    Cut,
}

/// Rules for fields. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FieldRules {
    /// Redshift's COPY rather than Postgres': its codes, its words, its tolerance of blanks around quotes.
    pub redshift: bool,
    /// Text that is too long.
    pub lengths: Lengths,
    /// Blank text is NULL (BLANKSASNULL).
    pub blanks_as_null: bool,
    /// Blanks at the end of varchar are cut (TRIMBLANKS).
    pub trim_blanks: bool,
    /// Quotes of either kind around a field are taken off (REMOVEQUOTES).
    pub remove_quotes: bool,
    /// Digits beyond a decimal's scale are cut rather than rounded: unless ROUNDEC.
    pub cut_decimals: bool,
    /// What does not read as a date or time is NULL (ACCEPTANYDATE).
    pub any_date: bool,
    /// What stands in for each byte that is not UTF-8 (ACCEPTINVCHARS).
    pub invalid_char: Option<u8>,
    /// DATEFORMAT; None: the usual spellings.
    pub date_format: Option<Pattern>,
    /// TIMEFORMAT.
    pub time_format: TimeFormat,
    /// Dates and times in any spelling of Postgres' are read, those without a zone being of this one: rows of a client.
    pub zone: Option<String>,
}

impl FieldRules {
    /// Days since 1970.
    pub(super) fn date(&self, text: &[u8]) -> Result<i32, Bad> {
        values::date(text).or_else(|bad| self.as_postgres(text, bad, datetime::date))
    }

    /// Microseconds of the day; of one in UTC with `zoned`.
    pub(super) fn time(&self, text: &[u8], zoned: bool) -> Result<i64, Bad> {
        match zoned {
            true => values::time_in_utc(text).or_else(|bad| self.as_postgres(text, bad, datetime::timetz)),
            false => values::time(text).or_else(|bad| self.as_postgres(text, bad, datetime::time)),
        }
    }

    /// Microseconds since 1970; in UTC with `zoned`.
    pub(super) fn timestamp(&self, text: &[u8], zoned: bool) -> Result<i64, Bad> {
        let is_elsewhere = zoned && self.zone.as_deref().is_some_and(|zone| zone != "UTC");
        let plain = if is_elsewhere { Err(Bad::Syntax) } else { self.time_format.read(text, zoned) };
        let read = if zoned { datetime::timestamptz } else { datetime::timestamp };
        plain.or_else(|bad| self.as_postgres(text, bad, read))
    }

    fn as_postgres<T>(&self, text: &[u8], bad: Bad, read: fn(&str, &Reading) -> Result<T>) -> Result<T, Bad> {
        let (Some(zone), Ok(text)) = (&self.zone, std::str::from_utf8(text)) else { return Err(bad) };
        let read = Reading::new(zone, None).and_then(|reading| read(text, &reading));
        read.map_err(|error| if error.kind() == Kind::DatetimeOverflow { Bad::Range } else { Bad::Syntax })
    }
}
