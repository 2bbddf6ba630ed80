//! Bytes pushed in, batches and bad rows taken out: the core of COPY from files and from a client, and of text scans.

mod fields;
mod json;

use self::fields::{parsed, push_field};
use self::json::first_members;
use super::columns::ColumnBuilder;
use super::load::{JsonColumns, LoadOptions, TextFormat};
use super::load_error::{Fault, LoadError};
use super::records::{self, Dialect, Field, Step};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use memchr::memchr;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Bytes of one record: what a row of text may be at most.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same in Redshift's COPY.
pub const REDSHIFT_RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bad rows that are kept to be told of; more are counted.
const ERRORS_KEPT_MAX: usize = 100_000;
/// Rows with replaced bytes that are kept to be told of.
const REPLACED_KEPT_MAX: usize = 100;
/// Bytes of text in one batch; a batch is cut at its rows or at this, so that 32-bit offsets hold.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What begins a UTF-8 file that some editors write.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Turns the text of one file into batches. Bounded: what it holds is one batch, the batches of the last `feed`, and
/// the unfinished record.
pub struct RowParser {
    file: String,
    options: LoadOptions,
    dialect: Dialect,
    schema: SchemaRef,
    /// Names of all columns of the file, in the file's order.
    names: Vec<String>,
    /// The columns that are wanted, with their place in the file.
    columns: Vec<(usize, ColumnBuilder)>,
    /// Names that JSON paths begin with, each once: one walk over an object finds them all.
    first_members: Option<Vec<String>>,
    carry: Vec<u8>,
    fields: Vec<Field>,
    scratch: Vec<u8>,
    line: u64,
    skip_lines: usize,
    rows: usize,
    batch_bytes: usize,
    started: bool,
    ended: bool,
    /// Bytes of the file before the next record.
    at: u64,
    /// Where in the file no record begins that is ours.
    end: u64,
    ready: VecDeque<RecordBatch>,
    errors: Vec<LoadError>,
    error_count: usize,
    replaced: Vec<Replaced>,
}

/// A value in which bytes were replaced (`stl_replacements`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Replaced {
    /// The line, from 1.
    pub line: u64,
    /// The column.
    pub column: String,
    /// The row.
    pub raw_line: String,
}

impl RowParser {
    /// A parser of a file whose columns are `schema`'s, in the file's order (for JSON the order does not matter).
    pub fn new(file: impl Into<String>, schema: &SchemaRef, options: LoadOptions) -> Result<Self> {
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        Self::with_projection(file, schema, &all, options)
    }

    /// Like [`Self::new`], and of the file's columns only those at `projection` are parsed.
    pub fn with_projection(
        file: impl Into<String>,
        schema: &SchemaRef,
        projection: &[usize],
        options: LoadOptions,
    ) -> Result<Self> {
        let wanted = schema.project(projection).map_err(Error::internal)?;
        let rules = Arc::new(options.rules.clone());
        let builders = wanted.fields().iter().map(|field| ColumnBuilder::new(Arc::clone(field), &rules));
        let columns = projection.iter().copied().zip(builders).map(|(at, b)| Ok((at, b?))).collect::<Result<_>>()?;
        let dialect = options.dialect();
        let first_members = match &options.format {
            TextFormat::Json(JsonColumns::Paths(paths)) => first_members(paths),
            _ => None,
        };
        Ok(RowParser {
            file: file.into(),
            dialect,
            skip_lines: options.ignore_header + usize::from(options.header),
            options,
            schema: Arc::new(Schema::new(wanted.fields().clone())),
            names: schema.fields().iter().map(|f| f.name().clone()).collect(),
            columns,
            first_members,
            carry: Vec::new(),
            fields: Vec::new(),
            scratch: Vec::new(),
            line: 1,
            rows: 0,
            batch_bytes: 0,
            started: false,
            ended: false,
            at: 0,
            end: u64::MAX,
            ready: VecDeque::new(),
            errors: Vec::new(),
            error_count: 0,
            replaced: Vec::new(),
        })
    }

    /// What it is given begins there in the file, and what begins behind the range's end is not its own.
    pub fn within(&mut self, range: Range<u64>) {
        if range.start > 0 {
            (self.started, self.skip_lines) = (true, 0);
        }
        (self.at, self.end) = (range.start, range.end);
        self.ended = self.at >= self.end;
    }

    /// Bytes of the file before the first record that has not been read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Lines before it, in what this parser was given.
    pub fn lines(&self) -> u64 {
        self.line.saturating_sub(1)
    }

    /// Bad rows so far, kept or not.
    pub fn error_count(&self) -> usize {
        self.error_count
    }

    /// Values with replaced bytes since the last call; not all where there are many.
    pub fn take_replaced(&mut self) -> Vec<Replaced> {
        std::mem::take(&mut self.replaced)
    }

    /// Takes more of the file. An error ends the load: more bad rows than `max_errors`, or text that is no text.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        // The record that has begun is ended first, so that only that is copied: with the next line, and then with twice
        // as much each time, as all of it is looked at again.
        let mut least = 0;
        while !bytes.is_empty() && (!self.carry.is_empty() || !self.started) {
            let from = least.min(bytes.len());
            let line_end = bytes.get(from..).and_then(|rest| memchr(b'\n', rest));
            let (lines, rest) = bytes.split_at(line_end.map_or(bytes.len(), |at| from + at + 1));
            self.carry.extend_from_slice(lines);
            bytes = rest;
            // Without an end in it there is no new record, and no reason to look at the old bytes again.
            let end = if matches!(self.options.format, TextFormat::Json(_)) { b'}' } else { b'\n' };
            let ends = memchr(end, lines).is_some() || lines.ends_with(b"\n");
            if ends && self.carry.len() >= BYTE_ORDER_MARK.len() {
                self.consume_carry(false)?;
            }
            least = self.carry.len();
        }
        if !bytes.is_empty() {
            let used = self.consume(bytes, false)?;
            self.carry.extend_from_slice(bytes.get(used..).unwrap_or_default());
        }
        let most = if self.options.rules.redshift { REDSHIFT_RECORD_BYTES_MAX } else { RECORD_BYTES_MAX };
        if self.carry.len() > most {
            let message = format!("file {}, line {}: the row is longer than {most} bytes", self.file, self.line);
            return Err(Error::new(Kind::ProgramLimit, message).hint("check the quotes around it, or the line ends"));
        }
        Ok(())
    }

    /// The file is not in the encoding that was told: it ends here, as one bad row without a line.
    pub(super) fn mismatch(&mut self, error: &std::io::Error) -> Result<()> {
        (self.ended, self.line) = (true, 0);
        self.fault(Fault::row(1221, b"", error.to_string()), b"")
    }

    /// The file ends here: what is left becomes the last rows.
    pub fn finish(&mut self) -> Result<()> {
        if !self.ended {
            self.consume_carry(true)?;
        }
        self.carry = Vec::new();
        self.flush()
    }

    /// The next full batch; after [`Self::finish`], the last one too.
    pub fn next_batch(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }

    /// The bad rows since the last call.
    pub fn take_errors(&mut self) -> Vec<LoadError> {
        std::mem::take(&mut self.errors)
    }

    /// Columns of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether Postgres's end-of-data mark (`\.`) was seen, or the end of the part: what follows is not read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads one record that is a row by itself. When it does not decode, the row is there all the same, NULL in every
    /// column, and the reason is returned.
    pub(super) fn push_record(&mut self, record: &[u8]) -> Result<Option<String>> {
        let parsed = match self.options.format {
            TextFormat::JsonLines | TextFormat::Json(_) => self.json_whole(record.trim_ascii()),
            _ => self.delimited_whole(record.strip_suffix(b"\n").unwrap_or(record)),
        };
        let reason = parsed.err().map(|fault| {
            for (_, column) in &mut self.columns {
                column.truncate(self.rows);
                column.push_null();
            }
            fault.told()
        });
        self.row_done(record.len())?;
        Ok(reason)
    }

    fn delimited_whole(&mut self, record: &[u8]) -> Result<(), Fault> {
        let mut fields = std::mem::take(&mut self.fields);
        let parsed = match records::next_record(record, true, &self.dialect, &mut fields) {
            Step::Record { .. } if self.is_blank(&fields) => Err(Fault::row(1211, record, "the record is empty")),
            Step::Record { bytes, .. } if bytes == record.len() => self.delimited_row(record, &fields, false),
            Step::Record { .. } => Err(Fault::row(1216, record, "the record holds more than one row")),
            Step::Broken { reason, .. } => Err(Fault::row(1216, record, reason)),
            Step::More => Err(Fault::row(1216, record, "the record is not whole")),
        };
        self.fields = fields;
        parsed
    }

    fn consume_carry(&mut self, last: bool) -> Result<()> {
        let mut carry = std::mem::take(&mut self.carry);
        let used = self.consume(&carry, last)?;
        carry.drain(..used);
        self.carry = carry;
        Ok(())
    }

    /// Reads the whole records of `input`; returns how many bytes they are.
    fn consume(&mut self, input: &[u8], last: bool) -> Result<usize> {
        let mut at = 0;
        if !self.started {
            self.started = true;
            at = if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            self.at += at as u64;
        }
        // What of the input is text, which need not be asked again of a record before its end.
        let text = std::str::from_utf8(input).unwrap_or_else(|error| {
            let valid = input.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        });
        while at < input.len() && !self.ended {
            let rest = input.get(at..).unwrap_or_default();
            let used = if self.skip_lines > 0 {
                self.skip_line(rest, last)
            } else {
                let text = text.get(at..).unwrap_or_default();
                match self.options.format {
                    TextFormat::JsonLines => self.json_line(rest, last, text)?,
                    TextFormat::Json(_) => self.json_value(rest, last, text)?,
                    TextFormat::Fixed(_) => self.fixed_record(rest, last, text.len())?,
                    _ => self.delimited_record(rest, last, text.len())?,
                }
            };
            if used == 0 {
                return Ok(at);
            }
            at += used;
            self.at += used as u64;
            self.ended |= self.at >= self.end;
        }
        Ok(if self.ended { input.len() } else { at })
    }

    fn skip_line(&mut self, rest: &[u8], last: bool) -> usize {
        let used = line_bytes(rest, last);
        if used > 0 {
            self.skip_lines -= 1;
            self.line += 1;
        }
        used
    }

    fn delimited_record(&mut self, rest: &[u8], last: bool, utf8: usize) -> Result<usize> {
        let mut fields = std::mem::take(&mut self.fields);
        let step = records::next_record(rest, last, &self.dialect, &mut fields);
        let used = match step {
            Step::More => 0,
            Step::Broken { bytes, lines, reason } => {
                let row = rest.get(..bytes).unwrap_or_default();
                let reason = if self.options.rules.redshift && self.dialect.quote.is_some() {
                    format!("Invalid quote formatting for CSV: {reason}")
                } else {
                    reason.to_string()
                };
                self.fault(Fault::row(1216, row, reason), row)?;
                self.line += lines;
                bytes
            }
            Step::Record { bytes, lines } => {
                let record = rest.get(..bytes).unwrap_or_default();
                if self.dialect.postgres && record.trim_ascii_end() == b"\\." {
                    self.ended = true;
                } else {
                    self.row(record, &fields, bytes <= utf8)?;
                }
                self.line += lines;
                bytes
            }
        };
        self.fields = fields;
        Ok(used)
    }

    /// A line of columns of fixed widths.
    fn fixed_record(&mut self, rest: &[u8], last: bool, utf8: usize) -> Result<usize> {
        let used = line_bytes(rest, last);
        let record = rest.get(..used).unwrap_or_default();
        let line = record.strip_suffix(b"\n").unwrap_or(record);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if used > 0 {
            let mut fields = std::mem::take(&mut self.fields);
            if let TextFormat::Fixed(widths) = &self.options.format {
                records::fixed_widths(line, widths, &mut fields);
            }
            self.row(record, &fields, used <= utf8)?;
            self.fields = fields;
            self.line += 1;
        }
        Ok(used)
    }

    /// A row that has been cut into fields, if it is one.
    fn row(&mut self, record: &[u8], fields: &[Field], utf8: bool) -> Result<()> {
        if self.is_blank(fields) {
            if self.options.ignore_blank_lines {
                return Ok(());
            }
            return self.fault(Fault::row(1211, record, "Input line contained no data"), record);
        }
        match self.delimited_row(record, fields, utf8) {
            Ok(()) => self.row_done(record.len()),
            Err(fault) => self.fault(fault, record),
        }
    }

    /// An empty line is no row, unless it is the one empty value of a one-column file.
    fn is_blank(&self, fields: &[Field]) -> bool {
        let empty = fields.len() <= 1 && fields.iter().all(|f| f.start == f.end && !f.quoted);
        empty && (self.names.len() > 1 || fields.is_empty()) && !self.dialect.postgres
    }

    fn delimited_row(&mut self, record: &[u8], fields: &[Field], utf8: bool) -> Result<(), Fault> {
        self.check_width(record, fields)?;
        let (options, dialect) = (&self.options, &self.dialect);
        for (nth, (at, column)) in self.columns.iter_mut().enumerate() {
            let missing = Field { start: 0, end: 0, quoted: false, escaped: false };
            let field = fields.get(*at).copied().unwrap_or(missing);
            let pushed = push_field(column, record, field, options, dialect, utf8, &mut self.scratch);
            if let Err((bad, raw)) = pushed {
                let fault = Fault::value(column, &raw, bad);
                let told = options.rules.redshift;
                let values = if told { parsed(&self.names, options, record, fields, nth) } else { Vec::new() };
                return Err(fault.with_fields(values));
            }
        }
        if options.rules.invalid_char.is_some() {
            self.note_replaced(record);
        }
        Ok(())
    }

    fn note_replaced(&mut self, record: &[u8]) {
        for (_, column) in &mut self.columns {
            if column.take_replaced() && self.replaced.len() < REPLACED_KEPT_MAX {
                let raw_line = String::from_utf8_lossy(record.trim_ascii_end()).chars().take(1024).collect();
                self.replaced.push(Replaced { line: self.line, column: column.name().to_string(), raw_line });
            }
        }
    }

    fn check_width(&self, record: &[u8], fields: &[Field]) -> Result<(), Fault> {
        let (found, wanted) = (fields.len(), self.names.len());
        let redshift = self.options.rules.redshift;
        if found < wanted && !self.options.fill_missing {
            if redshift {
                let code = if found <= 1 { 1214 } else { 1203 };
                return Err(Fault::row(code, record, "Delimiter not found"));
            }
            let missing = self.names.get(found).map_or("", String::as_str);
            let reason = format!("missing data for column \"{missing}\": {found} fields where {wanted} are expected");
            return Err(Fault::row(1203, record, reason));
        }
        // Unquoted files often end each line with a delimiter; Redshift takes that, and so do we.
        let trailing = found == wanted + 1
            && self.dialect.quote.is_none()
            && !self.dialect.postgres
            && fields.last().is_some_and(|f| f.start == f.end);
        if found > wanted && !trailing && !self.options.ignore_extra {
            if redshift {
                return Err(Fault::row(1202, record, "Extra column(s) found"));
            }
            let reason =
                format!("extra data after the last expected column: {found} fields where {wanted} are expected");
            return Err(Fault::row(1202, record, reason));
        }
        Ok(())
    }

    fn row_done(&mut self, bytes: usize) -> Result<()> {
        self.rows += 1;
        self.batch_bytes += bytes;
        if self.rows >= self.options.batch_rows || self.batch_bytes >= BATCH_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    fn fault(&mut self, fault: Fault, row: &[u8]) -> Result<()> {
        for (_, column) in &mut self.columns {
            column.truncate(self.rows);
        }
        let error = fault.at(&self.file, self.line, row);
        self.error_count += 1;
        let ends = self.error_count > self.options.max_errors;
        let told = ends.then(|| error.to_error());
        if self.errors.len() < ERRORS_KEPT_MAX {
            self.errors.push(error);
        }
        told.map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let broken = |e| Error::internal(format!("file {}: {e}", self.file));
        let arrays = self.columns.iter_mut().map(|(_, c)| c.finish()).collect::<Result<Vec<_>, _>>().map_err(broken)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(broken)?;
        self.ready.push_back(batch);
        self.rows = 0;
        self.batch_bytes = 0;
        Ok(())
    }
}

/// Bytes up to and with the line end; 0 when the line is not whole yet.
fn line_bytes(rest: &[u8], last: bool) -> usize {
    match memchr(b'\n', rest) {
        Some(at) => at + 1,
        None if last => rest.len(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field as ArrowField};
    use arrow::util::display::array_value_to_string;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            ArrowField::new("id", DataType::Int64, true),
            ArrowField::new("name", DataType::Utf8, true),
            ArrowField::new("day", DataType::Date32, true),
        ]))
    }

    fn load(text: &[u8], chunk: usize, options: LoadOptions) -> (Vec<String>, Vec<LoadError>) {
        let mut parser = RowParser::new("f", &schema(), LoadOptions { max_errors: 100, ..options }).unwrap();
        for piece in text.chunks(chunk) {
            parser.feed(piece).unwrap();
        }
        parser.finish().unwrap();
        let mut rows = Vec::new();
        while let Some(batch) = parser.next_batch() {
            for row in 0..batch.num_rows() {
                let cell = |c: usize| {
                    let column = batch.column(c);
                    if column.is_null(row) { "∅".into() } else { array_value_to_string(column, row).unwrap() }
                };
                rows.push(format!("{}|{}|{}", cell(0), cell(1), cell(2)));
            }
        }
        (rows, parser.take_errors())
    }

    use arrow::array::Array;

    #[test]
    fn chunks_of_any_size_give_the_same_rows() {
        let text =
            b"\xef\xbb\xbfid,name,day\n1,\"a,\n\"\"b\",2013-01-01\r\n\n2,,\nx,c,2013-01-02\n4,d\n3,\"\",2013/1/2";
        let expected = ["1|a,\n\"b|2013-01-01", "2|∅|∅", "3||2013-01-02"];
        for chunk in [1, 2, 3, 7, 1000] {
            let options = LoadOptions { header: true, empty_as_null: true, ..LoadOptions::csv() };
            let (rows, errors) = load(text, chunk, options);
            assert_eq!(rows, expected, "chunks of {chunk}");
            let places: Vec<_> = errors.iter().map(|e| (e.line, e.column.as_deref(), e.raw.as_str())).collect();
            assert_eq!(places, [(6, Some("id"), "x"), (7, None, "4,d")], "chunks of {chunk}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_value() {
        for text in ["\u{feff}1,a,2013-01-01", "\u{feff}1,a,2013-01-01\n"] {
            for chunk in [1, 2, 4, 1000] {
                let (rows, errors) = load(text.as_bytes(), chunk, LoadOptions::csv());
                assert_eq!((rows, errors), (vec!["1|a|2013-01-01".to_string()], vec![]), "chunks of {chunk}");
            }
            let json = LoadOptions { format: TextFormat::Json(JsonColumns::Exact), ..LoadOptions::json() };
            for chunk in [1, 2, 4, 1000] {
                let (rows, errors) = load("\u{feff}{\"id\":1}".as_bytes(), chunk, json.clone());
                assert_eq!((rows, errors), (vec!["1|∅|∅".to_string()], vec![]), "chunks of {chunk}");
            }
        }
    }

    #[test]
    fn postgres_text() {
        let text = b"1\ta\\tb\t2013-01-01\n\\N\t\\\\N\t\\N\n\\.\nrubbish\n";
        for chunk in [1, 5, 1000] {
            let (rows, errors) = load(text, chunk, LoadOptions::postgres_text());
            assert_eq!(rows, ["1|a\tb|2013-01-01", "∅|\\N|∅"]);
            assert!(errors.is_empty());
        }
    }

    #[test]
    fn json_lines() {
        let text = b"{\"ID\":1,\"name\":\"a\\u00e9\",\"day\":\"2013-01-01\",\"more\":[1]}\n\n{\"id\":\"2\",\"name\":{\"k\":1}}\n{\"id\":tru}\n[1]\n{\"id\":1.5}";
        let (rows, errors) = load(text, 9, LoadOptions::json());
        assert_eq!(rows, ["1|aé|2013-01-01", "2|{\"k\":1}|∅"]);
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(errors[2].column.as_deref(), Some("id"));
    }

    #[test]
    fn delimited_files_may_end_lines_with_the_delimiter() {
        let options = LoadOptions {
            format: TextFormat::Csv { delimiter: b'|', quote: None, escape: None },
            ..LoadOptions::csv()
        };
        let (rows, errors) = load(b"1|a \"b\"|2013-01-01|\n2|c|2013-01-02\n", 1000, options);
        assert_eq!((rows.len(), errors.len()), (2, 0));
    }

    #[test]
    fn the_first_error_ends_a_strict_load() {
        let mut parser = RowParser::new("s3://b/f.csv", &schema(), LoadOptions::csv()).unwrap();
        let error = parser.feed(b"1,a,2013-01-01\nx,a,2013-01-01\n").unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidText);
        for part in ["s3://b/f.csv", "line 2", "\"id\"", "\"x\"", "bigint"] {
            assert!(error.message().contains(part), "{part} in {}", error.message());
        }
    }
}
