//! The text of one file into batches: our parser where it can, arrow's for JSON with nested columns.

use super::load::LoadOptions;
use super::row_parser::RowParser;
use super::{CsvOptions, io_cause};
use crate::fault::carried;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use datafusion::common::Result as EngineResult;
use datafusion::error::DataFusionError;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// How one file's text becomes rows.
#[derive(Debug, Clone)]
pub(super) enum Text {
    /// Delimited.
    Csv(CsvOptions),
    /// One object a line.
    Json,
}

/// The rows of one file, or of a part of it.
pub(super) struct TextRows {
    name: String,
    /// The first character is still to come, and may tell that a JSON file is one array.
    at_start: bool,
    parser: Parser,
}

enum Parser {
    Ours(Box<RowParser>),
    Arrow(Box<Decoder>),
}

impl TextRows {
    /// Rows of the schema's columns at `projection`.
    pub(super) fn new(
        text: &Text,
        name: String,
        schema: &SchemaRef,
        projection: &[usize],
        batch_rows: usize,
        first_part: bool,
    ) -> EngineResult<Self> {
        let schema = Arc::new(nullable(schema));
        let nested = schema.project(projection)?.fields().iter().any(|field| field.data_type().is_nested());
        let (options, at_start) = match text {
            Text::Csv(csv) => {
                let options = LoadOptions::of_lake_csv(csv);
                (LoadOptions { header: csv.header && first_part, ..options }, false)
            }
            Text::Json => (LoadOptions::json(), first_part),
        };
        let parser = if nested && matches!(text, Text::Json) {
            let builder = ReaderBuilder::new(Arc::new(schema.project(projection)?)).with_batch_size(batch_rows);
            Parser::Arrow(Box::new(builder.with_coerce_primitive(true).build_decoder()?))
        } else {
            let options = LoadOptions { batch_rows, ..options };
            let parser = RowParser::with_projection(name.clone(), &schema, projection, options);
            Parser::Ours(Box::new(parser.map_err(carried)?))
        };
        Ok(TextRows { name, at_start, parser })
    }

    /// Takes bytes, returns the batches they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> EngineResult<Vec<RecordBatch>> {
        self.check_start(bytes)?;
        match &mut self.parser {
            Parser::Ours(parser) => {
                parser.feed(bytes).map_err(carried)?;
                Ok(std::iter::from_fn(|| parser.next_batch()).collect())
            }
            Parser::Arrow(decoder) => {
                let mut batches = Vec::new();
                let mut rest = bytes;
                while !rest.is_empty() {
                    let used = decoder.decode(rest).map_err(|e| json_error(&self.name, &e))?;
                    rest = rest.get(used..).unwrap_or_default();
                    if used == 0 || !rest.is_empty() {
                        batches.extend(decoder.flush().map_err(|e| json_error(&self.name, &e))?);
                    }
                }
                Ok(batches)
            }
        }
    }

    /// The error about bytes that the store or the compression could not give.
    pub(super) fn unreadable(&self, error: &std::io::Error) -> DataFusionError {
        let kind = io_cause(error).unwrap_or(Kind::Io);
        carried(
            Error::new(kind, format!("file {}: {error}", self.name))
                .hint("check that the file is whole and of the compression that is named"),
        )
    }

    /// The last batches.
    pub(super) fn finish(&mut self) -> EngineResult<Vec<RecordBatch>> {
        match &mut self.parser {
            Parser::Ours(parser) => {
                parser.finish().map_err(carried)?;
                Ok(std::iter::from_fn(|| parser.next_batch()).collect())
            }
            Parser::Arrow(decoder) => {
                Ok(decoder.flush().map_err(|e| json_error(&self.name, &e))?.into_iter().collect())
            }
        }
    }

    /// A file that is one JSON array is told apart by its first character.
    fn check_start(&mut self, bytes: &[u8]) -> EngineResult<()> {
        if self.at_start
            && let Some(first) = bytes.iter().find(|b| !b.is_ascii_whitespace())
        {
            self.at_start = false;
            if *first == b'[' {
                return Err(carried(not_lines(&self.name)));
            }
        }
        Ok(())
    }
}

/// The error about a file that holds one array.
pub(super) fn not_lines(name: &str) -> Error {
    let message = format!("file {name}: FORMAT JSON expects one JSON object per line, and this file is an array");
    Error::new(Kind::BadCopyFormat, message).hint("write it again as JSON lines, for example with jq -c '.[]'")
}

fn json_error(name: &str, error: &ArrowError) -> DataFusionError {
    carried(Error::new(Kind::BadCopyFormat, format!("file {name}: {error}")))
}

/// Files promise nothing about NULL, whatever the table declares.
fn nullable(schema: &SchemaRef) -> Schema {
    Schema::new(schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>())
}
