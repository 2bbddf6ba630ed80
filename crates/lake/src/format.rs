//! How the bytes of an external table's files are read: STORED AS, ROW FORMAT and TBLPROPERTIES, brought under Hive's own
//! names when the table is made, and made a format of when it is read.

use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CreateExternalTable, RowFormat};
use tidegate_query::formats::{CsvOptions, FileFormat};

/// The credential by which the files are reached.
pub const CREDENTIAL: &str = "credential";
const DELIMITER: &str = "field.delim";
const QUOTE: &str = "quote.delim";
const ESCAPE: &str = "escape.delim";
const NULL: &str = "serialization.null.format";
const SKIP_LINES: &str = "skip.header.line.count";

/// Hive's own between fields, Control-A.
const HIVE_DELIMITER: &str = "\u{1}";
/// Hive's own for NULL in text.
const HIVE_NULL: &str = "\\N";
/// Lines that may be passed over at a file's start.
const SKIP_LINES_MAX: usize = 1_000_000;

/// Properties that say nothing about how files are read here: of writers, crawlers and catalogs.
const NO_OPS: [&str; 17] = [
    "areColumnsQuoted",
    "averageRecordSize",
    "classification",
    "columnsOrdered",
    "comment",
    "compressionType",
    "delimiter",
    "EXTERNAL",
    "external.table.purge",
    "has_encrypted_data",
    "numRows",
    "objectCount",
    "orc.compress",
    "parquet.compression",
    "recordCount",
    "sizeKey",
    "typeOfData",
];

/// Properties by name.
pub type Properties = BTreeMap<String, String>;

/// What CREATE EXTERNAL TABLE says about its files.
#[derive(Debug)]
pub struct Told {
    /// PARQUET, CSV, JSON or ORC.
    pub format: String,
    /// Under Hive's names.
    pub properties: Properties,
    /// Properties without an effect.
    pub no_ops: Vec<String>,
}

/// Reads the clauses. 0A000 for what is not offered, by its name.
pub fn told(create: &CreateExternalTable) -> Result<Told> {
    let stored = stored_as(create)?;
    let mut told = Told { format: stored.to_string(), properties: Properties::new(), no_ops: Vec::new() };
    match &create.row_format {
        None if stored == "TEXTFILE" => told.hive_text(),
        None => {}
        Some(RowFormat::Serde(class, known)) => told.serde(class, known)?,
        Some(delimited) => told.delimited(delimited)?,
    }
    if told.format == "TEXTFILE" {
        told.format = "CSV".to_string();
    }
    for (key, value) in &create.properties {
        told.table_property(key, value)?;
    }
    // A value that cannot be read is refused now, not by each query.
    file_format(&told.format, &told.properties)?;
    Ok(told)
}

/// The word after STORED AS; without one what the location's ending tells, or text if there is a ROW FORMAT.
fn stored_as(create: &CreateExternalTable) -> Result<&'static str> {
    let Some(word) = &create.stored_as else {
        if create.row_format.is_some() {
            return Ok("TEXTFILE");
        }
        let told = FileFormat::of_name(&create.location).map(|format| match format {
            FileFormat::Parquet => "PARQUET",
            FileFormat::Csv(_) => "CSV",
            FileFormat::Json => "JSON",
            FileFormat::Orc => "ORC",
        });
        return told.ok_or_else(|| {
            Error::new(Kind::InvalidDefinition, format!("external table {} has no format", create.name))
                .hint("Add STORED AS PARQUET, CSV, TEXTFILE, JSON or ORC.")
        });
    };
    match word.as_str() {
        "PARQUET" => Ok("PARQUET"),
        "CSV" => Ok("CSV"),
        "TEXTFILE" => Ok("TEXTFILE"),
        "JSON" | "JSONFILE" => Ok("JSON"),
        "ORC" => Ok("ORC"),
        other => Err(Error::new(Kind::Unsupported, format!("STORED AS {other} is not supported"))
            .hint("The formats are PARQUET, CSV, TEXTFILE, JSON and ORC.")),
    }
}

impl Told {
    fn set(&mut self, key: &str, value: &str) {
        self.properties.insert(key.to_string(), value.to_string());
    }

    fn default(&mut self, key: &str, value: &str) {
        self.properties.entry(key.to_string()).or_insert_with(|| value.to_string());
    }

    /// What text is like for Hive when nobody says so.
    fn hive_text(&mut self) {
        self.default(DELIMITER, HIVE_DELIMITER);
        self.default(NULL, HIVE_NULL);
    }

    fn delimited(&mut self, row_format: &RowFormat) -> Result<()> {
        let RowFormat::Delimited { fields, escaped, items, keys, lines, null } = row_format else { return Ok(()) };
        if !matches!(self.format.as_str(), "TEXTFILE" | "CSV") {
            let message = format!("ROW FORMAT DELIMITED is of text files, not of {}", self.format);
            return Err(Error::new(Kind::InvalidDefinition, message));
        }
        let refused = [("COLLECTION ITEMS TERMINATED BY", items), ("MAP KEYS TERMINATED BY", keys)];
        if let Some((clause, _)) = refused.iter().find(|(_, given)| given.is_some()) {
            return Err(Error::new(Kind::Unsupported, format!("ROW FORMAT: clause {clause} is not supported"))
                .hint("Declare the column as text; nested values are read from JSON, Parquet and ORC."));
        }
        if lines.as_ref().is_some_and(|end| !matches!(end.as_str(), "\n" | "\\n" | "\\012" | "\r\n" | "\\r\\n")) {
            return Err(Error::new(
                Kind::Unsupported,
                "ROW FORMAT: LINES TERMINATED BY other than '\\n' is not supported",
            ));
        }
        for (key, given) in [(DELIMITER, fields), (ESCAPE, escaped), (NULL, null)] {
            if let Some(given) = given {
                self.set(key, given);
            }
        }
        self.hive_text();
        Ok(())
    }

    fn serde(&mut self, class: &str, known: &[(String, String)]) -> Result<()> {
        let name = class.rsplit('.').next().unwrap_or(class);
        let format = match name {
            "LazySimpleSerDe" | "OpenCSVSerde" => "CSV",
            "JsonSerDe" | "JsonSerde" => "JSON",
            "ParquetHiveSerDe" => "PARQUET",
            "OrcSerde" => "ORC",
            _ => {
                let message = format!("ROW FORMAT SERDE '{class}' is not supported");
                return Err(Error::new(Kind::Unsupported, message)
                    .hint("Known are LazySimpleSerDe, OpenCSVSerde, JsonSerDe, ParquetHiveSerDe and OrcSerde."));
            }
        };
        if self.format != format && self.format != "TEXTFILE" {
            let message = format!("ROW FORMAT SERDE '{class}' and STORED AS {} do not go together", self.format);
            return Err(Error::new(Kind::InvalidDefinition, message));
        }
        self.format = format.to_string();
        for (key, value) in known {
            match key.as_str() {
                DELIMITER | "separatorChar" => self.set(DELIMITER, value),
                QUOTE | "quoteChar" => self.set(QUOTE, value),
                ESCAPE | "escapeChar" => self.set(ESCAPE, value),
                NULL => self.set(NULL, value),
                "serialization.format" if value != "1" => self.default(DELIMITER, value),
                "serialization.format" | "line.delim" | "paths" => {}
                _ => return Err(unknown("SERDEPROPERTIES", key)),
            }
        }
        match name {
            "LazySimpleSerDe" => self.hive_text(),
            "OpenCSVSerde" => self.default(ESCAPE, "\\"),
            _ => {}
        }
        Ok(())
    }

    fn table_property(&mut self, key: &str, value: &str) -> Result<()> {
        let lower = key.to_ascii_lowercase();
        match lower.as_str() {
            CREDENTIAL | DELIMITER | QUOTE | ESCAPE | NULL | SKIP_LINES => self.set(&lower, value),
            "separatorchar" => self.set(DELIMITER, value),
            "quotechar" => self.set(QUOTE, value),
            "escapechar" => self.set(ESCAPE, value),
            "skip.footer.line.count" | "projection.enabled" if matches!(value, "0" | "false") => {}
            _ if NO_OPS.iter().any(|name| name.eq_ignore_ascii_case(key)) => self.no_ops.push(key.to_string()),
            _ => return Err(unknown("TBLPROPERTIES", key)),
        }
        Ok(())
    }
}

fn unknown(clause: &str, key: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{clause}: '{key}' is not supported"))
        .hint(format!("Known are {SKIP_LINES}, {CREDENTIAL}, {DELIMITER}, {QUOTE}, {ESCAPE} and {NULL}."))
}

/// The format that a table's word and properties describe.
pub fn file_format(format: &str, properties: &Properties) -> Result<FileFormat> {
    match format {
        "PARQUET" => Ok(FileFormat::Parquet),
        "JSON" => Ok(FileFormat::Json),
        "ORC" => Ok(FileFormat::Orc),
        "CSV" => csv(properties).map(FileFormat::Csv),
        other => Err(Error::internal(format_args!("the format {other} is not known"))),
    }
}

/// The same for reading columns' names: the last line that is passed over has them.
pub fn with_header(format: FileFormat) -> FileFormat {
    match format {
        FileFormat::Csv(csv) if csv.skip_lines > 0 => {
            FileFormat::Csv(CsvOptions { skip_lines: csv.skip_lines - 1, header: true, ..csv })
        }
        other => other,
    }
}

fn csv(properties: &Properties) -> Result<CsvOptions> {
    let get = |key: &str| properties.get(key).map(String::as_str);
    let byte = |key: &str| get(key).filter(|text| !text.is_empty()).map(|text| one_byte(key, text)).transpose();
    let skip = get(SKIP_LINES).map(|text| text.trim().parse::<usize>().ok().filter(|lines| *lines <= SKIP_LINES_MAX));
    let skip_lines = match skip {
        None => 0,
        Some(Some(lines)) => lines,
        Some(None) => {
            let message = format!("'{SKIP_LINES}' is not a whole number from 0 to {SKIP_LINES_MAX}");
            return Err(Error::new(Kind::InvalidParameter, message));
        }
    };
    let default = CsvOptions::default();
    Ok(CsvOptions {
        delimiter: byte(DELIMITER)?.unwrap_or(default.delimiter),
        // An empty one turns quotes off.
        quote: if get(QUOTE) == Some("") { None } else { byte(QUOTE)?.or(default.quote) },
        escape: byte(ESCAPE)?,
        header: false,
        skip_lines,
        null: get(NULL).map(str::to_string),
    })
}

/// The character that a text means: itself, or `\t`, `\001`, `\u0001`.
fn one_byte(key: &str, text: &str) -> Result<u8> {
    let escaped = text.strip_prefix('\\').filter(|rest| !rest.is_empty());
    let found = match escaped {
        None => text.parse::<char>().ok().and_then(|c| u8::try_from(c).ok()),
        Some("t") => Some(b'\t'),
        Some("n") => Some(b'\n'),
        Some("\\") => Some(b'\\'),
        Some(hex) if hex.starts_with(['u', 'x']) => hex.get(1..).and_then(|digits| u8::from_str_radix(digits, 16).ok()),
        Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            u8::from_str_radix(digits, 8).ok()
        }
        Some(rest) => rest.parse::<char>().ok().and_then(|c| u8::try_from(c).ok()),
    };
    found.filter(u8::is_ascii).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("'{key}' must be a single one-byte character, not {text:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_parser::{Statement, parse_one};

    fn read(clauses: &str) -> Result<FileFormat> {
        let Statement::CreateExternalTable(create) = parse_one(&format!("CREATE EXTERNAL TABLE t (a int) {clauses}"))?
        else {
            panic!("{clauses}")
        };
        let told = told(&create)?;
        file_format(&told.format, &told.properties)
    }

    #[test]
    fn clauses_become_formats() {
        let plain = CsvOptions::default();
        let hive = CsvOptions { delimiter: 1, null: Some("\\N".into()), ..plain.clone() };
        let open = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde' WITH SERDEPROPERTIES \
                    ('separatorChar'=';','quoteChar'='''') STORED AS TEXTFILE LOCATION '/x'";
        let cases = [
            ("STORED AS PARQUET LOCATION '/x'", FileFormat::Parquet),
            ("STORED AS orc LOCATION '/x'", FileFormat::Orc),
            ("LOCATION '/x/a.jsonl'", FileFormat::Json),
            ("STORED AS CSV LOCATION '/x'", FileFormat::Csv(plain.clone())),
            ("STORED AS TEXTFILE LOCATION '/x'", FileFormat::Csv(hive.clone())),
            (
                "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\t' LOCATION '/x'",
                FileFormat::Csv(CsvOptions { delimiter: b'\t', ..hive.clone() }),
            ),
            (
                open,
                FileFormat::Csv(CsvOptions {
                    delimiter: b';',
                    quote: Some(b'\''),
                    escape: Some(b'\\'),
                    ..plain.clone()
                }),
            ),
            ("ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION '/x'", FileFormat::Json),
            (
                "STORED AS CSV LOCATION '/x' TBLPROPERTIES ('Skip.header.line.count'='2', 'quote.delim'='', 'EXTERNAL'='TRUE')",
                FileFormat::Csv(CsvOptions { skip_lines: 2, quote: None, ..plain }),
            ),
        ];
        for (clauses, expected) in cases {
            assert_eq!(read(clauses).unwrap(), expected, "{clauses}");
        }
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let cases = [
            ("STORED AS AVRO LOCATION '/x'", Kind::Unsupported, "AVRO"),
            ("LOCATION '/x'", Kind::InvalidDefinition, "no format"),
            ("ROW FORMAT DELIMITED MAP KEYS TERMINATED BY ':' LOCATION '/x'", Kind::Unsupported, "MAP KEYS"),
            ("ROW FORMAT DELIMITED STORED AS ORC LOCATION '/x'", Kind::InvalidDefinition, "ORC"),
            ("ROW FORMAT SERDE 'a.b.RegexSerDe' LOCATION '/x'", Kind::Unsupported, "RegexSerDe"),
            (
                "STORED AS CSV LOCATION '/x' TBLPROPERTIES ('projection.enabled'='true')",
                Kind::Unsupported,
                "projection",
            ),
            ("STORED AS CSV LOCATION '/x' TBLPROPERTIES ('field.delim'='ab')", Kind::InvalidParameter, "field.delim"),
            (
                "STORED AS CSV LOCATION '/x' TBLPROPERTIES ('skip.header.line.count'='-1')",
                Kind::InvalidParameter,
                "skip",
            ),
        ];
        for (clauses, kind, part) in cases {
            let error = read(clauses).unwrap_err();
            assert_eq!(error.kind(), kind, "{clauses}");
            assert!(error.message().contains(part), "{clauses}: {error}");
        }
    }

    #[test]
    fn delimiters_are_written_in_many_ways() {
        for (text, byte) in [("|", b'|'), ("\\t", b'\t'), ("\\001", 1), ("\\u0001", 1), ("\\x7c", b'|'), ("\\", b'\\')]
        {
            assert_eq!(one_byte("d", text).unwrap(), byte, "{text}");
        }
        for text in ["ab", "é", "\\u00e9", "\\999"] {
            assert!(one_byte("d", text).is_err(), "{text}");
        }
    }
}
