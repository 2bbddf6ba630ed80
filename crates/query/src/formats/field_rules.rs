//! How COPY's conversion options bend the values of single fields.

use super::pattern::{Pattern, TimeFormat};
use serde::{Deserialize, Serialize};

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
}
