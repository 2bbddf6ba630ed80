//! What COPY's options ask for together: which exclude each other, and how files are read.

use crate::dynamo;
use serde::{Deserialize, Serialize};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, CopyOptions};
use tidegate_query::formats::{
    Compression, Encoding, FileFormat, JsonColumns, LoadOptions, TextFormat, apply_copy_options, compression_of,
    redshift_rules,
};

/// The largest MAXERROR (Redshift).
const MAX_ERROR_MAX: u64 = 100_000;
/// Widths of FIXEDWIDTH: as many as a table has columns at most (Redshift).
const WIDTHS_MAX: usize = 1600;

/// What the bytes of a file mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reading {
    /// Text, row by row.
    Text(Box<TextReading>),
    /// Parquet or ORC. The flag: missing columns at the end are NULL (FILLRECORD).
    Columns(FileFormat, bool),
}

/// Where text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextSource {
    /// The bytes of the file.
    File,
    /// The records of an Avro file, as JSON.
    Avro,
    /// The items of a DynamoDB table, as JSON; the number is READRATIO.
    Dynamo(u64),
}

/// How text is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextReading {
    /// Where it comes from.
    pub source: TextSource,
    /// How it is cut and read.
    pub options: LoadOptions,
    /// How it is packed; `None`: the first bytes tell.
    pub compression: Compression,
    /// How characters are written.
    pub encoding: Encoding,
}

impl TextReading {
    /// Whether a file can be cut near any place: at a line end, or where a JSON object begins a line. A line end in quotes
    /// is found out later.
    pub fn can_be_cut(&self) -> bool {
        let has_places = match self.options.format {
            TextFormat::Csv { escape, .. } => escape.is_none() && !self.options.rules.remove_quotes,
            TextFormat::Json(_) => true,
            _ => false,
        };
        self.source == TextSource::File
            && has_places
            && self.compression == Compression::None
            && self.encoding == Encoding::Utf8
    }
}

/// How files are read, as the options say; `paths` are those of a JSONPaths file.
pub fn reading(options: &CopyOptions, json: JsonColumns) -> Result<Reading> {
    let rules = redshift_rules(options)?;
    let mut load = match options.format {
        Some(CopyFormat::Parquet) => return Ok(Reading::Columns(FileFormat::Parquet, options.fill_record)),
        Some(CopyFormat::Orc) => return Ok(Reading::Columns(FileFormat::Orc, options.fill_record)),
        // What is not quoted and empty is NULL, as UNLOAD writes it.
        Some(CopyFormat::Csv) => LoadOptions::postgres_csv(),
        Some(CopyFormat::Json | CopyFormat::Avro) => {
            LoadOptions { format: TextFormat::Json(json), ..LoadOptions::json() }
        }
        _ if options.read_ratio.is_some() => {
            LoadOptions { format: TextFormat::Json(JsonColumns::Exact), ..LoadOptions::json() }
        }
        _ => {
            let format = match &options.fixed_width {
                Some(text) => TextFormat::Fixed(widths(text)?),
                None => TextFormat::Csv { delimiter: b'|', quote: None, escape: None },
            };
            LoadOptions { format, null: Some("\\N".into()), ..LoadOptions::csv() }
        }
    };
    apply_copy_options(&mut load, options)?;
    load.ignore_blank_lines = options.ignore_blank_lines;
    load.rules = rules;
    load.max_errors = allowed_errors(options);
    let compression = compression_of(options.compression).unwrap_or(Compression::None);
    let encoding = options.encoding.as_deref().map(Encoding::of_name).transpose()?.unwrap_or_default();
    let source = match (options.format, options.read_ratio) {
        (Some(CopyFormat::Avro), _) => TextSource::Avro,
        (_, Some(ratio)) => TextSource::Dynamo(ratio),
        _ => TextSource::File,
    };
    Ok(Reading::Text(Box::new(TextReading { source, options: load, compression, encoding })))
}

/// Bad rows that are passed over: MAXERROR is the number that makes the load fail, 0 means the same as 1.
fn allowed_errors(options: &CopyOptions) -> usize {
    if options.ignore_all_errors {
        return usize::MAX;
    }
    usize::try_from(options.max_error.unwrap_or(0).max(1) - 1).unwrap_or(usize::MAX)
}

/// `label:width,…`.
fn widths(text: &str) -> Result<Vec<usize>> {
    let bad = || {
        Error::new(Kind::InvalidParameter, format!("FIXEDWIDTH '{text}' cannot be read"))
            .hint("It is 'label:width,label:width,…', one for each column.")
    };
    let width = |part: &str| {
        let width = part.rsplit_once(':').and_then(|(_, width)| width.trim().parse::<usize>().ok());
        width.filter(|width| *width > 0).ok_or_else(bad)
    };
    let widths: Vec<usize> = text.split(',').map(width).collect::<Result<_>>()?;
    if widths.len() > WIDTHS_MAX { Err(bad()) } else { Ok(widths) }
}

/// 42601 for options that exclude each other, 0A000 for those that a format does not have, 22023 for values.
pub fn check(options: &CopyOptions, url: &str) -> Result<()> {
    let given = given(options);
    let refuse = |names: &[&str], with: &str, kind: Kind| match given.iter().find(|name| names.contains(name)) {
        Some(name) => Err(Error::new(kind, format!("COPY: {name} is not allowed with {with}"))),
        None => Ok(()),
    };
    match options.format {
        Some(CopyFormat::Csv) => refuse(&["FIXEDWIDTH", "REMOVEQUOTES", "ESCAPE"], "CSV", Kind::Syntax)?,
        Some(CopyFormat::Json) => refuse(NOT_WITH_JSON, "FORMAT JSON", Kind::Syntax)?,
        Some(CopyFormat::Avro) => refuse(NOT_WITH_JSON, "FORMAT AVRO", Kind::Syntax)?,
        Some(CopyFormat::Parquet) => refuse(NOT_WITH_COLUMNS, "FORMAT PARQUET", Kind::Unsupported)?,
        Some(CopyFormat::Orc) => refuse(NOT_WITH_COLUMNS, "FORMAT ORC", Kind::Unsupported)?,
        Some(CopyFormat::Binary) => {
            return Err(Error::new(Kind::Unsupported, "COPY: FORMAT BINARY is not supported"));
        }
        _ => refuse(&["QUOTE"], "delimited text: it is CSV's", Kind::Syntax)?,
    }
    if options.fixed_width.is_some() {
        refuse(&["DELIMITER", "ESCAPE", "REMOVEQUOTES"], "FIXEDWIDTH", Kind::Syntax)?;
    }
    if options.ignore_all_errors {
        refuse(&["MAXERROR"], "IGNOREALLERRORS", Kind::Syntax)?;
    }
    if options.max_error.is_some_and(|most| most > MAX_ERROR_MAX) {
        return Err(Error::new(Kind::InvalidParameter, format!("MAXERROR is at most {MAX_ERROR_MAX}")));
    }
    if options.null.as_deref().is_some_and(|null| null.contains('\n') || null == "\\n") {
        return Err(Error::new(Kind::InvalidParameter, "NULL AS cannot be a line end"));
    }
    match (url.starts_with(dynamo::SCHEME), options.read_ratio) {
        (true, None) => Err(Error::new(Kind::Syntax, "COPY from DynamoDB needs READRATIO")
            .hint("READRATIO 50 takes half of the capacity that the table is provisioned with.")),
        (true, Some(ratio)) if !(1..=200).contains(&ratio) => {
            Err(Error::new(Kind::InvalidParameter, "READRATIO is from 1 to 200"))
        }
        (true, _) if options.format.is_some() => {
            Err(Error::new(Kind::Syntax, "COPY: a format is not allowed with DynamoDB"))
        }
        (true, _) => refuse(NOT_WITH_DYNAMO, "DynamoDB", Kind::Syntax),
        (false, Some(_)) => Err(Error::new(Kind::Syntax, "COPY: READRATIO is of DynamoDB tables only")),
        (false, None) => Ok(()),
    }
}

const NOT_WITH_DYNAMO: &[&str] = &[
    "ACCEPTINVCHARS",
    "DELIMITER",
    "ENCODING",
    "ESCAPE",
    "FILLRECORD",
    "FIXEDWIDTH",
    "HEADER",
    "IGNOREBLANKLINES",
    "IGNOREHEADER",
    "MANIFEST",
    "NULL AS",
    "QUOTE",
    "REMOVEQUOTES",
    "compression",
];

const NOT_WITH_JSON: &[&str] = &[
    "DELIMITER",
    "ESCAPE",
    "FILLRECORD",
    "FIXEDWIDTH",
    "IGNOREBLANKLINES",
    "NULL AS",
    "QUOTE",
    "READRATIO",
    "REMOVEQUOTES",
    "HEADER",
    "IGNOREHEADER",
];

const NOT_WITH_COLUMNS: &[&str] = &[
    "ACCEPTANYDATE",
    "BLANKSASNULL",
    "DATEFORMAT",
    "DELIMITER",
    "EMPTYASNULL",
    "ENCODING",
    "ESCAPE",
    "FIXEDWIDTH",
    "HEADER",
    "IGNOREALLERRORS",
    "IGNOREBLANKLINES",
    "IGNOREHEADER",
    "MAXERROR",
    "NOLOAD",
    "NULL AS",
    "QUOTE",
    "REMOVEQUOTES",
    "ROUNDEC",
    "TIMEFORMAT",
    "TRIMBLANKS",
    "TRUNCATECOLUMNS",
];

/// The options that were written, by name.
fn given(options: &CopyOptions) -> Vec<&'static str> {
    let all = [
        ("ACCEPTANYDATE", options.accept_any_date),
        ("ACCEPTINVCHARS", options.accept_invalid_chars.is_some()),
        ("MANIFEST", options.manifest),
        ("compression", options.compression.is_some()),
        ("BLANKSASNULL", options.blanks_as_null),
        ("DATEFORMAT", options.date_format.is_some()),
        ("DELIMITER", options.delimiter.is_some()),
        ("EMPTYASNULL", options.empty_as_null),
        ("ENCODING", options.encoding.is_some()),
        ("ESCAPE", options.backslash_escape),
        ("FILLRECORD", options.fill_record),
        ("FIXEDWIDTH", options.fixed_width.is_some()),
        ("HEADER", options.header.is_some()),
        ("IGNOREALLERRORS", options.ignore_all_errors),
        ("IGNOREBLANKLINES", options.ignore_blank_lines),
        ("IGNOREHEADER", options.ignore_header > 0),
        ("MAXERROR", options.max_error.is_some()),
        ("NOLOAD", options.no_load),
        ("NULL AS", options.null.is_some()),
        ("QUOTE", options.quote.is_some()),
        ("READRATIO", options.read_ratio.is_some()),
        ("REMOVEQUOTES", options.remove_quotes),
        ("ROUNDEC", options.round_decimals),
        ("TIMEFORMAT", options.time_format.is_some()),
        ("TRIMBLANKS", options.trim_blanks),
        ("TRUNCATECOLUMNS", options.truncate_columns),
    ];
    all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_parser::{Statement, parse_one};

    fn options(clauses: &str) -> CopyOptions {
        match parse_one(&format!("COPY t FROM 's3://b/x' {clauses}")).unwrap() {
            Statement::Copy(copy) => copy.options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        let cases = [
            ("CSV ESCAPE", Some(Kind::Syntax)),
            ("CSV REMOVEQUOTES", Some(Kind::Syntax)),
            ("CSV FIXEDWIDTH 'a:1'", Some(Kind::Syntax)),
            ("FIXEDWIDTH 'a:1' DELIMITER ','", Some(Kind::Syntax)),
            ("JSON 'auto' DELIMITER ','", Some(Kind::Syntax)),
            ("JSON 'auto' NULL AS 'x'", Some(Kind::Syntax)),
            ("PARQUET MAXERROR 5", Some(Kind::Unsupported)),
            ("ORC IGNOREHEADER 1", Some(Kind::Unsupported)),
            ("PARQUET FILLRECORD ACCEPTINVCHARS STATUPDATE ON", None),
            ("MAXERROR 5 IGNOREALLERRORS", Some(Kind::Syntax)),
            ("MAXERROR 100001", Some(Kind::InvalidParameter)),
            ("MAXERROR 100000", None),
            ("NULL AS '\\n'", Some(Kind::InvalidParameter)),
            ("READRATIO 50", Some(Kind::Syntax)),
            ("CSV QUOTE '|'", None),
            ("QUOTE '|'", Some(Kind::Syntax)),
        ];
        for (clauses, expected) in cases {
            assert_eq!(check(&options(clauses), "s3://b/x").err().map(|error| error.kind()), expected, "{clauses}");
        }
    }

    #[test]
    fn dynamodb_has_few_options() {
        let cases = [
            ("READRATIO 50", None),
            ("", Some(Kind::Syntax)),
            ("READRATIO 0", Some(Kind::InvalidParameter)),
            ("READRATIO 201", Some(Kind::InvalidParameter)),
            ("READRATIO 50 CSV", Some(Kind::Syntax)),
            ("READRATIO 50 NULL AS 'x'", Some(Kind::Syntax)),
            ("READRATIO 50 GZIP", Some(Kind::Syntax)),
            ("READRATIO 50 MAXERROR 5 EMPTYASNULL", None),
        ];
        for (clauses, expected) in cases {
            let found = check(&options(clauses), "dynamodb://t").err().map(|error| error.kind());
            assert_eq!(found, expected, "{clauses}");
        }
    }

    #[test]
    fn maxerror_is_the_number_that_fails() {
        let cases = [("", 0), ("MAXERROR 0", 0), ("MAXERROR 1", 0), ("MAXERROR 5", 4), ("IGNOREALLERRORS", usize::MAX)];
        for (clauses, allowed) in cases {
            assert_eq!(allowed_errors(&options(clauses)), allowed, "{clauses}");
        }
    }

    #[test]
    fn widths_are_read() {
        assert_eq!(widths("a:1, b:20,0:3").unwrap(), [1, 20, 3]);
        for text in ["", "a", "a:0", "a:x", "a:1,"] {
            assert_eq!(widths(text).unwrap_err().kind(), Kind::InvalidParameter, "{text}");
        }
    }
}
