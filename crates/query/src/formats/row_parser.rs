//! Bytes pushed in, batches and bad rows taken out: the core of COPY from files and from a client, and of text scans.

use super::columns::ColumnBuilder;
use super::json_rows::{Members, scalar_text};
use super::load::{LoadError, LoadOptions, TextFormat};
use super::records::{self, Dialect, Field, Step};
use super::values::Bad;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::VecDeque;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Bytes of one record: what a row of text may be at most.
pub const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
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
    carry: Vec<u8>,
    fields: Vec<Field>,
    scratch: Vec<u8>,
    line: u64,
    skip_lines: usize,
    rows: usize,
    batch_bytes: usize,
    started: bool,
    ended: bool,
    ready: VecDeque<RecordBatch>,
    errors: Vec<LoadError>,
    error_count: usize,
}

/// What is wrong with a row, before the file and line are known.
struct Fault {
    column: Option<String>,
    raw: Vec<u8>,
    reason: String,
    kind: Kind,
}

impl Fault {
    fn row(raw: &[u8], reason: impl Into<String>) -> Self {
        Fault { column: None, raw: raw.to_vec(), reason: reason.into(), kind: Kind::BadCopyFormat }
    }

    fn value(column: &ColumnBuilder, raw: &[u8], bad: Bad) -> Self {
        let name = column.type_name();
        let (kind, reason) = match bad {
            Bad::Syntax => (Kind::InvalidText, format!("invalid input syntax for type {name}")),
            Bad::Range => (Kind::OutOfRange, format!("value out of range for type {name}")),
            Bad::Encoding => (Kind::BadCopyFormat, "invalid byte sequence for encoding UTF8".to_string()),
        };
        Fault { column: Some(column.name().to_string()), raw: raw.to_vec(), reason, kind }
    }
}

impl Fault {
    /// In one sentence, without a place.
    fn told(self) -> String {
        let error = LoadError::new("", 0, self.column, &self.raw, self.reason, self.kind);
        match error.column {
            Some(column) => format!("column \"{column}\": {}: \"{}\"", error.reason, error.raw),
            None => error.reason,
        }
    }
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
        let builders = wanted.fields().iter().map(|field| ColumnBuilder::new(Arc::clone(field)));
        let columns = projection.iter().copied().zip(builders).map(|(at, b)| Ok((at, b?))).collect::<Result<_>>()?;
        let dialect = options.format.dialect();
        Ok(RowParser {
            file: file.into(),
            dialect,
            skip_lines: options.ignore_header + usize::from(options.header),
            options,
            schema: Arc::new(Schema::new(wanted.fields().clone())),
            names: schema.fields().iter().map(|f| f.name().clone()).collect(),
            columns,
            carry: Vec::new(),
            fields: Vec::new(),
            scratch: Vec::new(),
            line: 1,
            rows: 0,
            batch_bytes: 0,
            started: false,
            ended: false,
            ready: VecDeque::new(),
            errors: Vec::new(),
            error_count: 0,
        })
    }

    /// Takes more of the file. An error ends the load: more bad rows than `max_errors`, or text that is no text.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        if self.carry.is_empty() && self.started {
            let used = self.consume(bytes, false)?;
            self.carry.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.carry.extend_from_slice(bytes);
            // Without a line end in it there is no new record, and no reason to look at the old bytes again.
            if bytes.contains(&b'\n') && self.carry.len() >= BYTE_ORDER_MARK.len() {
                self.consume_carry(false)?;
            }
        }
        if self.carry.len() > RECORD_BYTES_MAX {
            let message =
                format!("file {}, line {}: the row is longer than {RECORD_BYTES_MAX} bytes", self.file, self.line);
            return Err(Error::new(Kind::ProgramLimit, message).hint("check the quotes around it, or the line ends"));
        }
        Ok(())
    }

    /// The file ends here: what is left becomes the last rows.
    pub fn finish(&mut self) -> Result<()> {
        self.consume_carry(true)?;
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

    /// Whether Postgres's end-of-data mark (`\.`) was seen: what follows is not read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads one record that is a row by itself. When it does not decode, the row is there all the same, NULL in every
    /// column, and the reason is returned.
    pub(super) fn push_record(&mut self, record: &[u8]) -> Result<Option<String>> {
        let parsed = match self.options.format {
            TextFormat::JsonLines => self.json_whole(record.trim_ascii()),
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

    fn json_whole(&mut self, record: &[u8]) -> Result<(), Fault> {
        if record.is_empty() { Err(Fault::row(record, "the record is empty")) } else { self.json_row(record) }
    }

    fn delimited_whole(&mut self, record: &[u8]) -> Result<(), Fault> {
        let mut fields = std::mem::take(&mut self.fields);
        let parsed = match records::next_record(record, true, &self.dialect, &mut fields) {
            Step::Record { .. } if self.is_blank(&fields) => Err(Fault::row(record, "the record is empty")),
            Step::Record { bytes, .. } if bytes == record.len() => self.delimited_row(record, &fields),
            Step::Record { .. } => Err(Fault::row(record, "the record holds more than one row")),
            Step::Broken { reason, .. } => Err(Fault::row(record, reason)),
            Step::More => Err(Fault::row(record, "the record is not whole")),
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
        }
        while at < input.len() && !self.ended {
            let rest = input.get(at..).unwrap_or_default();
            let used = if self.skip_lines > 0 {
                self.skip_line(rest, last)
            } else if matches!(self.options.format, TextFormat::JsonLines) {
                self.json_record(rest, last)?
            } else {
                self.delimited_record(rest, last)?
            };
            if used == 0 {
                return Ok(at);
            }
            at += used;
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

    fn delimited_record(&mut self, rest: &[u8], last: bool) -> Result<usize> {
        let mut fields = std::mem::take(&mut self.fields);
        let step = records::next_record(rest, last, &self.dialect, &mut fields);
        let used = match step {
            Step::More => 0,
            Step::Broken { bytes, lines, reason } => {
                self.fault(Fault::row(rest.get(..bytes).unwrap_or_default(), reason))?;
                self.line += lines;
                bytes
            }
            Step::Record { bytes, lines } => {
                let record = rest.get(..bytes).unwrap_or_default();
                if self.dialect.postgres && record.trim_ascii_end() == b"\\." {
                    self.ended = true;
                } else if !self.is_blank(&fields) {
                    if let Err(fault) = self.delimited_row(record, &fields) {
                        self.fault(fault)?;
                    } else {
                        self.row_done(bytes)?;
                    }
                }
                self.line += lines;
                bytes
            }
        };
        self.fields = fields;
        Ok(used)
    }

    /// An empty line is no row, unless it is the one empty value of a one-column file.
    fn is_blank(&self, fields: &[Field]) -> bool {
        let empty = fields.len() == 1 && fields.iter().all(|f| f.start == f.end && !f.quoted);
        empty && self.names.len() > 1 && !self.dialect.postgres
    }

    fn delimited_row(&mut self, record: &[u8], fields: &[Field]) -> Result<(), Fault> {
        self.check_width(record, fields)?;
        for (at, column) in &mut self.columns {
            let Some(field) = fields.get(*at).copied() else {
                push_null(column, b"")?;
                continue;
            };
            let raw = record.get(field.start..field.end).unwrap_or_default();
            // NULL is told before escapes are undone: `\N` is NULL, `\\N` is text.
            let is_null = !field.quoted && self.options.null.as_deref().is_some_and(|null| null.as_bytes() == raw);
            let empty_null = raw.is_empty()
                && !field.quoted
                && (self.options.empty_as_null || (!column.holds_empty() && !self.dialect.postgres));
            if is_null || empty_null {
                push_null(column, raw)?;
                continue;
            }
            let text = records::text(record, field, &self.dialect, &mut self.scratch);
            column.push(text).map_err(|bad| Fault::value(column, text, bad))?;
        }
        Ok(())
    }

    fn check_width(&self, record: &[u8], fields: &[Field]) -> Result<(), Fault> {
        let (found, wanted) = (fields.len(), self.names.len());
        if found < wanted && !self.options.fill_missing {
            let missing = self.names.get(found).map_or("", String::as_str);
            let reason = format!("missing data for column \"{missing}\": {found} fields where {wanted} are expected");
            return Err(Fault::row(record, reason));
        }
        // Unquoted files often end each line with a delimiter; Redshift takes that, and so do we.
        let trailing = found == wanted + 1
            && self.dialect.quote.is_none()
            && !self.dialect.postgres
            && fields.last().is_some_and(|f| f.start == f.end);
        if found > wanted && !trailing && !self.options.ignore_extra {
            let reason =
                format!("extra data after the last expected column: {found} fields where {wanted} are expected");
            return Err(Fault::row(record, reason));
        }
        Ok(())
    }

    fn json_record(&mut self, rest: &[u8], last: bool) -> Result<usize> {
        let used = line_bytes(rest, last);
        let line = rest.get(..used).unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            match self.json_row(line) {
                Ok(()) => self.row_done(used)?,
                Err(fault) => self.fault(fault)?,
            }
        }
        self.line += u64::from(used > 0);
        Ok(used)
    }

    fn json_row(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.starts_with(b"[") {
            return Err(Fault::row(line, "a JSON file here holds one JSON object per line, not an array"));
        }
        let text =
            std::str::from_utf8(line).map_err(|_| Fault::row(line, "invalid byte sequence for encoding UTF8"))?;
        let members = Members::read(text, &self.names).map_err(|e| Fault::row(line, format!("invalid JSON: {e}")))?;
        for (at, column) in &mut self.columns {
            let raw = members.found.get(*at).copied().flatten().map_or("null", |raw| raw.get());
            if column.takes_json() && raw != "null" {
                column.push(raw.as_bytes()).map_err(|bad| Fault::value(column, raw.as_bytes(), bad))?;
                continue;
            }
            let text = scalar_text(raw).map_err(|e| Fault::row(line, format!("invalid JSON: {e}")))?;
            let null = self.options.null.as_deref();
            match text.filter(|text| null != Some(text.as_ref())) {
                None => push_null(column, raw.as_bytes())?,
                Some(text) if text.is_empty() && !column.holds_empty() => push_null(column, b"")?,
                Some(text) => {
                    let text = if raw.starts_with('"') { text } else { column.json_number(text) };
                    column.push(text.as_bytes()).map_err(|bad| Fault::value(column, text.as_bytes(), bad))?;
                }
            }
        }
        Ok(())
    }

    fn row_done(&mut self, bytes: usize) -> Result<()> {
        self.rows += 1;
        self.batch_bytes += bytes;
        if self.rows >= self.options.batch_rows || self.batch_bytes >= BATCH_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    fn fault(&mut self, fault: Fault) -> Result<()> {
        for (_, column) in &mut self.columns {
            column.truncate(self.rows);
        }
        let error = LoadError::new(&self.file, self.line, fault.column, &fault.raw, fault.reason, fault.kind);
        self.error_count += 1;
        if self.error_count > self.options.max_errors {
            return Err(error.to_error());
        }
        self.errors.push(error);
        Ok(())
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

fn push_null(column: &mut ColumnBuilder, raw: &[u8]) -> Result<(), Fault> {
    if column.nullable() {
        column.push_null();
        return Ok(());
    }
    let reason = format!("null value in column \"{}\" violates not-null constraint", column.name());
    let name = Some(column.name().to_string());
    Err(Fault { column: name, raw: raw.to_vec(), reason, kind: Kind::NotNullViolation })
}

/// Bytes up to and with the line end; 0 when the line is not whole yet.
fn line_bytes(rest: &[u8], last: bool) -> usize {
    match rest.iter().position(|&b| b == b'\n') {
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
