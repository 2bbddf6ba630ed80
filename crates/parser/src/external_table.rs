//! External tables, in Athena's and Redshift Spectrum's words.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::column::ColumnDef;
use crate::cursor::Cursor;
use crate::options;
use crate::row_format::RowFormat;
use crate::statement::Statement;

/// `CREATE EXTERNAL TABLE t (…) PARTITIONED BY (…) ROW FORMAT … STORED AS … LOCATION '…' TBLPROPERTIES (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateExternalTable {
    /// Whether an existing table is left alone.
    pub if_not_exists: bool,
    /// The table.
    pub name: ObjectName,
    /// Its columns; inferred from the files where there are none.
    pub columns: Vec<ColumnDef>,
    /// The columns that the folders' names carry.
    pub partitioned_by: Vec<ColumnDef>,
    /// How a row lies in a text file.
    pub row_format: Option<RowFormat>,
    /// The format of the files, in upper case.
    pub stored_as: Option<String>,
    /// A file, a folder or a glob.
    pub location: String,
    /// TBLPROPERTIES, in the order written.
    pub properties: Vec<(String, String)>,
}

/// The clauses as they come, in any order.
#[derive(Default)]
struct Clauses {
    partitioned_by: Vec<ColumnDef>,
    row_format: Option<RowFormat>,
    stored_as: Option<String>,
    location: Option<String>,
    properties: Vec<(String, String)>,
}

impl CreateExternalTable {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.name()?;
        let columns = match cursor.peek() {
            Token::LParen => cursor.parenthesized(ColumnDef::parse)?,
            _ => Vec::new(),
        };
        let mut clauses = Clauses::default();
        while *cursor.peek() != Token::EOF {
            clauses.clause(cursor)?;
        }
        let Clauses { partitioned_by, row_format, stored_as, location, properties } = clauses;
        let location = location.ok_or_else(|| {
            Error::new(Kind::InvalidDefinition, format!("external table {name} has no LOCATION"))
                .hint("Add LOCATION 's3://bucket/prefix/' or LOCATION 'file:///folder/'.")
        })?;
        Ok(Statement::CreateExternalTable(CreateExternalTable {
            if_not_exists,
            name,
            columns,
            partitioned_by,
            row_format,
            stored_as,
            location,
            properties,
        }))
    }
}

impl Clauses {
    fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        if cursor.accept(&["COMMENT"]) {
            cursor.string()?;
        } else if self.partitioned_by.is_empty() && cursor.accept(&["PARTITIONED", "BY"]) {
            self.partitioned_by = cursor.parenthesized(ColumnDef::parse)?;
        } else if self.row_format.is_none() && cursor.accept(&["ROW", "FORMAT"]) {
            self.row_format = Some(RowFormat::parse(cursor)?);
        } else if cursor.looks(&["WITH", "SERDEPROPERTIES"]) {
            let Some(RowFormat::Serde(_, known)) = &mut self.row_format else {
                return Err(cursor.syntax_error());
            };
            cursor.expect(&["WITH", "SERDEPROPERTIES"])?;
            known.extend(properties(cursor)?);
        } else if self.stored_as.is_none() && cursor.accept(&["STORED", "AS"]) {
            self.stored_as = Some(stored_as(cursor)?);
        } else if self.location.is_none() && cursor.accept(&["LOCATION"]) {
            self.location = Some(cursor.string()?);
        } else if cursor.accept(&["TBLPROPERTIES"]) || cursor.accept(&["TABLE", "PROPERTIES"]) {
            self.properties.extend(properties(cursor)?);
        } else {
            return Err(cursor.unknown_clause("CREATE EXTERNAL TABLE"));
        }
        Ok(())
    }
}

/// `('key' = 'value', …)`, with keys as they were written.
pub(crate) fn properties(cursor: &mut Cursor) -> Result<Vec<(String, String)>> {
    cursor.parenthesized(|cursor| {
        let key = match cursor.take_string() {
            Some(key) => key,
            None => cursor.ident()?.value,
        };
        cursor.need(&Token::Eq)?;
        Ok((key, options::value(cursor)?))
    })
}

/// A format by its name, or by the Hadoop classes that stand for it.
fn stored_as(cursor: &mut Cursor) -> Result<String> {
    if !cursor.accept(&["INPUTFORMAT"]) {
        return Ok(cursor.ident()?.value.to_ascii_uppercase());
    }
    let position = cursor.position();
    let class = cursor.string()?;
    if cursor.accept(&["OUTPUTFORMAT"]) {
        cursor.string()?;
    }
    let format = match class.rsplit('.').next() {
        Some("TextInputFormat") => "TEXTFILE",
        Some("MapredParquetInputFormat") => "PARQUET",
        Some("OrcInputFormat") => "ORC",
        Some("AvroContainerInputFormat") => "AVRO",
        _ => return Err(Error::new(Kind::Unsupported, format!("INPUTFORMAT '{class}' is not supported")).at(position)),
    };
    Ok(format.to_owned())
}

/// `ALTER TABLE t ADD [IF NOT EXISTS] PARTITION (y = 1) [LOCATION '…'] …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPartitions {
    /// The external table.
    pub table: ObjectName,
    /// Whether existing partitions are left alone.
    pub if_not_exists: bool,
    /// The partitions.
    pub partitions: Vec<Partition>,
}

/// One partition: its values, and where it lies if not in the folder of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Column and value.
    pub values: Vec<(Ident, String)>,
    /// Its folder.
    pub location: Option<String>,
}

impl AddPartitions {
    /// Whether the statement ahead, after ALTER TABLE, adds partitions with Athena's words.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let table = cursor.name()?;
        cursor.expect(&["ADD"])?;
        let if_not_exists = cursor.if_not_exists();
        let mut partitions = Vec::new();
        while partitions.is_empty() || *cursor.peek() != Token::EOF {
            cursor.expect(&["PARTITION"])?;
            let values = cursor.parenthesized(|cursor| {
                let column = cursor.ident()?;
                cursor.need(&Token::Eq)?;
                Ok((column, options::value(cursor)?))
            })?;
            let location = if cursor.accept(&["LOCATION"]) { Some(cursor.string()?) } else { None };
            partitions.push(Partition { values, location });
        }
        Ok(Statement::AddPartitions(AddPartitions { table, if_not_exists, partitions }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    fn create(sql: &str) -> CreateExternalTable {
        match one(sql) {
            Statement::CreateExternalTable(create) => create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_table() {
        let found = create(
            "CREATE EXTERNAL TABLE IF NOT EXISTS s.t (a int, `b` string COMMENT 'x', c array<struct<d:int>>) \
             COMMENT 'y' PARTITIONED BY (y int, m int) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS textfile \
             LOCATION 's3://b/p/' TBLPROPERTIES ('skip.header.line.count'='1', 'Credential' = 'c')"
                .replace('`', "\"")
                .as_str(),
        );
        assert!(found.if_not_exists);
        let columns: Vec<_> = found.columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
        assert_eq!(columns, ["a INT", "\"b\" TEXT", "c ARRAY<STRUCT<d INT>>"]);
        assert_eq!(found.partitioned_by.len(), 2);
        assert!(matches!(found.row_format, Some(RowFormat::Delimited { fields: Some(f), .. }) if f == ","));
        assert_eq!(found.stored_as.as_deref(), Some("TEXTFILE"));
        assert_eq!(found.location, "s3://b/p/");
        let expected = [("skip.header.line.count", "1"), ("Credential", "c")];
        assert!(found.properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
    }

    #[test]
    fn short_forms() {
        let found = create("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'file:///x/*.parquet'");
        assert!(found.columns.is_empty() && found.properties.is_empty());
        let found = create(
            "CREATE EXTERNAL TABLE t (a int) ROW FORMAT SERDE 'org.x.OpenCSVSerde' WITH SERDEPROPERTIES \
             ('separatorChar' = ';') STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat' OUTPUTFORMAT 'y' LOCATION 'x'",
        );
        assert_eq!(found.stored_as.as_deref(), Some("TEXTFILE"));
        assert_eq!(
            found.row_format,
            Some(RowFormat::Serde("org.x.OpenCSVSerde".into(), vec![("separatorChar".into(), ";".into())]))
        );
    }

    #[test]
    fn partitions() {
        let sql =
            "ALTER TABLE s.t ADD IF NOT EXISTS PARTITION (y=1, m='02') LOCATION 's3://b/x' PARTITION (y=2, m='03')";
        let Statement::AddPartitions(add) = one(sql) else { panic!() };
        assert!(add.if_not_exists && add.partitions.len() == 2);
        assert_eq!(add.partitions[0].values[1], (Ident::new("m"), "02".to_owned()));
        assert_eq!(add.partitions[0].location.as_deref(), Some("s3://b/x"));
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            (
                "CREATE EXTERNAL TABLE t (a int) CLUSTERED BY (a)",
                Kind::Unsupported,
                33,
                "CREATE EXTERNAL TABLE: clause CLUSTERED is not supported",
            ),
            ("CREATE EXTERNAL TABLE t (a int,) LOCATION 'x'", Kind::Syntax, 32, "syntax error at or near \")\""),
            (
                "CREATE EXTERNAL TABLE t STORED AS INPUTFORMAT 'a.B' LOCATION 'x'",
                Kind::Unsupported,
                47,
                "INPUTFORMAT 'a.B' is not supported",
            ),
        ]);
        let error = crate::parse(&crate::split("CREATE EXTERNAL TABLE t (a int)").unwrap()[0]).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::InvalidDefinition, "external table t has no LOCATION"));
    }
}
