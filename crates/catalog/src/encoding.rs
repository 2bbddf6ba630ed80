//! Redshift's compression encodings. They are kept and shown as declared; the files' own encodings are Parquet's.

use crate::types::SqlType;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// ENCODE of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// RAW.
    Raw,
    /// AZ64.
    Az64,
    /// BYTEDICT.
    Bytedict,
    /// DELTA.
    Delta,
    /// DELTA32K.
    Delta32k,
    /// LZO.
    Lzo,
    /// MOSTLY8.
    Mostly8,
    /// MOSTLY16.
    Mostly16,
    /// MOSTLY32.
    Mostly32,
    /// RUNLENGTH.
    Runlength,
    /// TEXT255.
    Text255,
    /// TEXT32K.
    Text32k,
    /// ZSTD.
    Zstd,
}

/// By name. RAW is shown as `none`, as Redshift does.
const NAMES: &[(Encoding, &str)] = &[
    (Encoding::Raw, "raw"),
    (Encoding::Az64, "az64"),
    (Encoding::Bytedict, "bytedict"),
    (Encoding::Delta, "delta"),
    (Encoding::Delta32k, "delta32k"),
    (Encoding::Lzo, "lzo"),
    (Encoding::Mostly8, "mostly8"),
    (Encoding::Mostly16, "mostly16"),
    (Encoding::Mostly32, "mostly32"),
    (Encoding::Runlength, "runlength"),
    (Encoding::Text255, "text255"),
    (Encoding::Text32k, "text32k"),
    (Encoding::Zstd, "zstd"),
];

impl FromStr for Encoding {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.to_ascii_lowercase();
        NAMES.iter().find(|(_, known)| *known == name).map(|(encoding, _)| *encoding).ok_or(())
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(known, _)| known == self).map_or("raw", |(_, name)| name))
    }
}

impl Encoding {
    /// What a column has that declares none (Redshift: CREATE TABLE, ENCODE).
    pub fn default_of(sql_type: &SqlType, in_sort_key: bool) -> Encoding {
        match sql_type {
            _ if in_sort_key => Encoding::Raw,
            SqlType::Bool | SqlType::Float4 | SqlType::Float8 => Encoding::Raw,
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Numeric(..) => Encoding::Az64,
            _ if is_time(sql_type) => Encoding::Az64,
            _ => Encoding::Lzo,
        }
    }

    /// Whether a type takes it (Redshift: "Compression encodings", the table of supported types).
    pub fn suits(self, sql_type: &SqlType) -> bool {
        let integer = matches!(sql_type, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
        let exact = integer || matches!(sql_type, SqlType::Numeric(..));
        let time = is_time(sql_type);
        let varied = matches!(sql_type, SqlType::Text | SqlType::Varchar(_));
        let float = matches!(sql_type, SqlType::Float4 | SqlType::Float8);
        let small = matches!(sql_type, SqlType::Int2);
        match self {
            Encoding::Raw | Encoding::Zstd | Encoding::Runlength => true,
            Encoding::Az64 | Encoding::Delta => exact || time,
            Encoding::Delta32k => (exact && !small) || time,
            Encoding::Bytedict => *sql_type != SqlType::Bool,
            Encoding::Lzo => *sql_type != SqlType::Bool && !float,
            Encoding::Mostly8 => exact,
            Encoding::Mostly16 => exact && !small,
            Encoding::Mostly32 => matches!(sql_type, SqlType::Int8 | SqlType::Numeric(..)),
            Encoding::Text255 | Encoding::Text32k => varied,
        }
    }
}

fn is_time(sql_type: &SqlType) -> bool {
    use SqlType::{Date, Time, Timestamp, Timestamptz, Timetz};
    matches!(sql_type, Date | Time | Timetz | Timestamp | Timestamptz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types() {
        for (encoding, name) in NAMES {
            assert_eq!((name.to_uppercase().parse(), encoding.to_string().as_str()), (Ok(*encoding), *name));
        }
        assert!("zip".parse::<Encoding>().is_err());
        let cases = [
            (Encoding::Az64, SqlType::Int4, true),
            (Encoding::Az64, SqlType::Varchar(9), false),
            (Encoding::Text255, SqlType::Text, true),
            (Encoding::Text255, SqlType::Char(1), false),
            (Encoding::Mostly32, SqlType::Int4, false),
            (Encoding::Lzo, SqlType::Float8, false),
            (Encoding::Zstd, SqlType::Bool, true),
        ];
        for (encoding, sql_type, suits) in cases {
            assert_eq!(encoding.suits(&sql_type), suits, "{encoding} {sql_type}");
        }
        assert_eq!(Encoding::default_of(&SqlType::Int4, true), Encoding::Raw);
        assert_eq!(Encoding::default_of(&SqlType::Int4, false), Encoding::Az64);
    }
}
