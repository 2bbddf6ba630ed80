//! One bad row of a load: where, what, and why, with Redshift's code for it.

use super::columns::ColumnBuilder;
use super::values::Bad;
use serde::{Deserialize, Serialize};
use tidegate_core::{Error, Kind};

/// Bytes of a bad row, and of a bad value, that its error keeps (`stl_load_errors`).
const RAW_BYTES_MAX: usize = 1024;

/// One bad row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// The line where the row begins, from 1; of a JSON object, where it ends.
    pub line: u64,
    /// The column, when one value is to blame.
    pub column: Option<String>,
    /// Its type, as Redshift abbreviates it; empty without a column.
    pub column_type: String,
    /// Its length, as it was declared; empty without a column.
    pub column_length: String,
    /// Where in the value it is.
    pub position: u64,
    /// The row, cut to 1 KB.
    pub raw_line: String,
    /// The value, or the row where no value is to blame, cut to 1 KB.
    pub raw: String,
    /// Redshift's code: 1200 to 1224.
    pub code: u16,
    /// What is wrong.
    pub reason: String,
    /// The class of the error.
    pub kind: Kind,
    /// The values of the row up to the bad one: column, text, whether it is NULL.
    pub fields: Vec<(String, String, bool)>,
}

impl LoadError {
    /// As the error that ends a statement.
    pub fn to_error(&self) -> Error {
        Error::new(self.kind, self.told())
    }

    /// In one sentence.
    pub fn told(&self) -> String {
        let column = self.column.as_ref().map(|c| format!(", column \"{c}\"")).unwrap_or_default();
        format!("file {}, line {}{column}: {}: \"{}\"", self.file, self.line, self.reason, self.raw)
    }
}

/// What is wrong with a row, before the file and line are known. One pointer: rows are mostly good.
pub(super) struct Fault(Box<Details>);

struct Details {
    /// Name, type and length of the column to blame.
    column: Option<(String, String, String)>,
    raw: Vec<u8>,
    position: usize,
    code: u16,
    reason: String,
    kind: Kind,
    fields: Vec<(String, String, bool)>,
}

impl Fault {
    /// A row that is none.
    pub(super) fn row(code: u16, raw: &[u8], reason: impl Into<String>) -> Self {
        let (kind, raw, reason) = (Kind::BadCopyFormat, cut(raw).to_vec(), reason.into());
        Fault(Box::new(Details { column: None, raw, position: 0, code, reason, kind, fields: Vec::new() }))
    }

    /// A value that its column does not take.
    pub(super) fn value(column: &ColumnBuilder, raw: &[u8], bad: Bad) -> Self {
        let told = if column.rules().redshift { redshift(column, raw, bad) } else { postgres(column, bad) };
        let place = (column.name().to_string(), column.short_type(), column.length());
        let (code, kind, position, reason) = told;
        let raw = cut(raw).to_vec();
        Fault(Box::new(Details { column: Some(place), raw, position, code, reason, kind, fields: Vec::new() }))
    }

    /// With the values of the row up to the bad one.
    pub(super) fn with_fields(mut self, fields: Vec<(String, String, bool)>) -> Self {
        self.0.fields = fields;
        self
    }

    /// The error at its place.
    pub(super) fn at(self, file: &str, line: u64, row: &[u8]) -> LoadError {
        let details = *self.0;
        let (column, column_type, column_length) = match details.column {
            Some((name, data_type, length)) => (Some(name), data_type, length),
            None => (None, String::new(), String::new()),
        };
        LoadError {
            file: file.to_string(),
            line,
            column,
            column_type,
            column_length,
            position: details.position as u64,
            raw_line: shown(row),
            raw: shown(&details.raw),
            code: details.code,
            reason: details.reason,
            kind: details.kind,
            fields: details.fields,
        }
    }

    /// In one sentence, without a place.
    pub(super) fn told(self) -> String {
        match self.0.column {
            Some((column, ..)) => format!("column \"{column}\": {}: \"{}\"", self.0.reason, shown(&self.0.raw)),
            None => self.0.reason,
        }
    }
}

fn cut(raw: &[u8]) -> &[u8] {
    raw.get(..RAW_BYTES_MAX).unwrap_or(raw)
}

/// As an error shows it: NUL is no character of Postgres' text.
fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(cut(raw).trim_ascii_end()).replace('\0', "\u{2400}")
}

fn postgres(column: &ColumnBuilder, bad: Bad) -> (u16, Kind, usize, String) {
    let name = column.type_name();
    let (kind, reason) = match bad {
        Bad::Syntax => (Kind::InvalidText, format!("invalid input syntax for type {name}")),
        Bad::Range => (Kind::OutOfRange, format!("value out of range for type {name}")),
        Bad::Encoding | Bad::Nul => (Kind::BadCopyFormat, "invalid byte sequence for encoding UTF8".to_string()),
        Bad::Long => (Kind::StringTooLong, format!("value too long for type {name}")),
        Bad::Multibyte => (Kind::InvalidText, format!("invalid input syntax for type {name}")),
        Bad::Null => {
            let reason = format!("null value in column \"{}\" violates not-null constraint", column.name());
            (Kind::NotNullViolation, reason)
        }
    };
    (1200, kind, 0, reason)
}

/// Codes and reasons of Redshift's "Load error reference".
fn redshift(column: &ColumnBuilder, raw: &[u8], bad: Bad) -> (u16, Kind, usize, String) {
    let family = column.family();
    match bad {
        Bad::Long => (1204, Kind::StringTooLong, 0, "String length exceeds DDL length".to_string()),
        Bad::Null => (1213, Kind::NotNullViolation, 0, "Missing data for not-null field".to_string()),
        Bad::Nul => (1218, Kind::BadCopyFormat, 0, "Invalid null byte - field longer than 1 byte".to_string()),
        Bad::Encoding => {
            let (position, hex) = bad_bytes(raw);
            let what = "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence:";
            (1220, Kind::BadCopyFormat, position, format!("{what} {hex} (error 4)"))
        }
        Bad::Multibyte => {
            let position = raw.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
            let what = "Multibyte character not supported for CHAR (Hint: try using VARCHAR). Invalid char:";
            (1215, Kind::InvalidText, position, format!("{what} {}", hex(raw.get(position..).unwrap_or_default(), 2)))
        }
        Bad::Range if family.is_whole() => {
            (1222, Kind::OutOfRange, 0, format!("Overflow, Column type: {}", family.word()))
        }
        Bad::Range if family.is_number() => {
            (1204, Kind::OutOfRange, 0, format!("Value out of range for type {}", column.type_name()))
        }
        Bad::Syntax | Bad::Range => family.unreadable(raw),
    }
}

/// What sort of value a column takes, as Redshift's reasons tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Short,
    Integer,
    Long,
    Real,
    Double,
    Decimal,
    Boolean,
    Date,
    Time,
    Super,
    Other,
}

impl Family {
    fn word(self) -> &'static str {
        match self {
            Family::Short => "Short",
            Family::Integer => "Integer",
            Family::Long => "Long",
            Family::Real | Family::Double => "Float",
            Family::Decimal => "Decimal",
            _ => "Other",
        }
    }

    fn is_whole(self) -> bool {
        matches!(self, Family::Short | Family::Integer | Family::Long)
    }

    fn is_number(self) -> bool {
        self.is_whole() || matches!(self, Family::Real | Family::Double | Family::Decimal)
    }

    fn unreadable(self, raw: &[u8]) -> (u16, Kind, usize, String) {
        let (code, reason) = match self {
            Family::Boolean => (1210, "Unknown boolean format".to_string()),
            Family::Date if raw.trim_ascii().len() < 10 => {
                (1205, "Invalid Date Format - length must be 10 or more".to_string())
            }
            Family::Date => (1205, "Invalid Date Format".to_string()),
            Family::Time => (1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]".to_string()),
            Family::Super => (1224, "Invalid JSON format for type SUPER".to_string()),
            Family::Other => (1200, "Unknown parse error".to_string()),
            number => {
                let code = match number {
                    Family::Real | Family::Double => 1208,
                    Family::Decimal => 1209,
                    _ => 1207,
                };
                let position = bad_digit(raw, code != 1207);
                let found = raw.get(position).map(|byte| char::from(*byte)).unwrap_or(' ');
                let reason = format!("Invalid digit, Value '{found}', Pos {position}, Type: {}", number.word());
                return (code, Kind::InvalidText, position, reason);
            }
        };
        (code, Kind::InvalidText, 0, reason)
    }
}

/// Where a text stops being a number.
fn bad_digit(raw: &[u8], fraction: bool) -> usize {
    let mut points = 0;
    let mut fits = |(at, byte): (usize, &u8)| match byte {
        b'0'..=b'9' => true,
        b'-' | b'+' => at == 0,
        b'.' if fraction => {
            points += 1;
            points == 1
        }
        _ => false,
    };
    raw.iter().enumerate().position(|one| !fits(one)).unwrap_or(0)
}

/// The first bytes that are not UTF-8, and where they are.
fn bad_bytes(raw: &[u8]) -> (usize, String) {
    match std::str::from_utf8(raw) {
        Ok(_) => (0, String::new()),
        Err(error) => {
            let (at, count) = (error.valid_up_to(), error.error_len().unwrap_or(1));
            (at, hex(raw.get(at..).unwrap_or_default(), count))
        }
    }
}

fn hex(bytes: &[u8], most: usize) -> String {
    bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_digit_is_found() {
        for (text, fraction, at) in
            [("a", false, 0), ("12x", false, 2), ("-1.5", false, 2), ("-1.5.", true, 4), ("", true, 0)]
        {
            assert_eq!(bad_digit(text.as_bytes(), fraction), at, "{text}");
        }
    }
}
