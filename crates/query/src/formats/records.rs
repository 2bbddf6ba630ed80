//! Delimited text cut into records and fields, without copying: quotes, escapes and line ends of CSV, of Redshift's
//! delimited files and of Postgres's text format.

use memchr::{memchr, memchr2, memchr3};

/// The characters that cut text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: Option<u8>,
    /// Before a character that stands for itself.
    pub escape: Option<u8>,
    /// Escapes have the meanings of Postgres's text format (`\n`, `\t`, `\x41` …).
    pub postgres: bool,
    /// Blanks around quotes are passed over (Redshift's CSV).
    pub loose: bool,
    /// Without a quote: a field may stand in quotes of either kind (REMOVEQUOTES).
    pub any_quote: bool,
}

/// One field: where it lies in the record, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// It stood in quotes.
    pub quoted: bool,
    /// It holds escapes or doubled quotes.
    pub escaped: bool,
}

/// What was found at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record of so many bytes (with its line end) over so many lines, its fields in the vector.
    Record { bytes: usize, lines: u64 },
    /// A record that breaks the rules, up to the next line end.
    Broken { bytes: usize, lines: u64, reason: &'static str },
    /// More input is needed.
    More,
}

/// Cuts the first record of `input`; `last` tells that no more input follows.
pub(super) fn next_record(input: &[u8], last: bool, dialect: &Dialect, fields: &mut Vec<Field>) -> Step {
    fields.clear();
    let mut at = 0;
    let mut lines = 0;
    loop {
        let start = if dialect.loose { past_blanks(input, at, dialect) } else { at };
        let quoted = dialect.quote.is_some() && input.get(start).copied() == dialect.quote;
        let cut = if quoted {
            quoted_field(input, start, last, dialect, &mut lines)
        } else if dialect.any_quote && matches!(input.get(at), Some(b'"' | b'\'')) {
            removed_quotes(input, at, last, dialect)
        } else {
            plain_field(input, at, last, dialect, &mut lines)
        };
        let (mut field, end) = match cut {
            Cut::Field(field, end) => (field, end),
            Cut::More => return Step::More,
            Cut::Broken(from, reason) => return broken(input, from, last, lines, reason),
        };
        if input.get(end) == Some(&dialect.delimiter) {
            fields.push(field);
            at = end + 1;
            continue;
        }
        if end >= input.len() && !last {
            return Step::More;
        }
        if !field.quoted && ends_with_return(input.get(field.start..field.end).unwrap_or_default(), dialect) {
            field.end -= 1;
        }
        fields.push(field);
        return Step::Record { bytes: (end + 1).min(input.len()), lines: lines + 1 };
    }
}

/// Whether a plain field ends with the carriage return of its line's end, and not with one that is escaped.
fn ends_with_return(field: &[u8], dialect: &Dialect) -> bool {
    let Some((b'\r', before)) = field.split_last() else { return false };
    let escape = dialect.escape.filter(|_| dialect.quote.is_none());
    before.iter().rev().take_while(|byte| Some(**byte) == escape).count() % 2 == 0
}

/// Where the quote of a field stands, blanks aside; the field's start where none does.
fn past_blanks(input: &[u8], at: usize, dialect: &Dialect) -> usize {
    let blanks = input.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b' ').count();
    if blanks > 0 && dialect.quote.is_some() && input.get(at + blanks).copied() == dialect.quote {
        at + blanks
    } else {
        at
    }
}

enum Cut {
    /// The field, and the place of the delimiter or line end behind it.
    Field(Field, usize),
    More,
    Broken(usize, &'static str),
}

fn plain_field(input: &[u8], start: usize, last: bool, dialect: &Dialect, lines: &mut u64) -> Cut {
    let (delimiter, escape) = (dialect.delimiter, dialect.escape.filter(|_| dialect.quote.is_none()));
    let mut at = start;
    let mut escaped = false;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let found = match escape {
            None => memchr2(delimiter, b'\n', rest),
            Some(escape) => memchr3(delimiter, b'\n', escape, rest),
        };
        let Some(found) = found else {
            let field = Field { start, end: input.len(), quoted: false, escaped };
            return if last { Cut::Field(field, input.len()) } else { Cut::More };
        };
        at += found;
        if escape.is_none() || input.get(at).copied() != escape {
            return Cut::Field(Field { start, end: at, quoted: false, escaped }, at);
        }
        match input.get(at + 1) {
            Some(next) => *lines += u64::from(*next == b'\n'),
            None if !last => return Cut::More,
            None => {}
        }
        escaped = true;
        at = (at + 2).min(input.len());
    }
}

/// A field in quotes of either kind, up to the quote that a delimiter or the line's end follows.
fn removed_quotes(input: &[u8], open: usize, last: bool, dialect: &Dialect) -> Cut {
    let Some(&quote) = input.get(open) else { return Cut::More };
    let rest = input.get(open..).unwrap_or_default();
    let line_end = match memchr(b'\n', rest) {
        Some(at) => open + at,
        None if last => input.len(),
        None => return Cut::More,
    };
    let line = input.get(..line_end).unwrap_or(input);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let ends = |at: usize| line.get(at).is_none_or(|next| *next == dialect.delimiter);
    let is_close = |at: &usize| line.get(*at) == Some(&quote) && ends(at + 1);
    match (open + 1..line.len()).find(is_close) {
        Some(close) => {
            let escaped = dialect
                .escape
                .is_some_and(|escape| line.get(open + 1..close).is_some_and(|inside| inside.contains(&escape)));
            let end = if close + 1 == line.len() { line_end } else { close + 1 };
            Cut::Field(Field { start: open + 1, end: close, quoted: true, escaped }, end)
        }
        None => Cut::Broken(open, "Missing quote: a field begins with a quote that does not end"),
    }
}

fn quoted_field(input: &[u8], open: usize, last: bool, dialect: &Dialect, lines: &mut u64) -> Cut {
    let Some(quote) = dialect.quote else { return Cut::Broken(open, "no quote character is set") };
    let escape = dialect.escape.filter(|&e| e != quote).unwrap_or(quote);
    let start = open + 1;
    let mut at = start;
    let mut escaped = false;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let Some(found) = memchr3(quote, escape, b'\n', rest) else {
            return if last { Cut::Broken(open, "a quoted field has no end") } else { Cut::More };
        };
        at += found;
        let byte = input.get(at).copied().unwrap_or_default();
        let next = input.get(at + 1).copied();
        if byte == b'\n' {
            *lines += 1;
            at += 1;
        } else if next.is_none() && !last {
            return Cut::More;
        } else if next.is_some() && (byte != quote || next == Some(quote)) {
            escaped = true;
            *lines += u64::from(next == Some(b'\n'));
            at += 2;
        } else {
            return behind_quote(input, Field { start, end: at, quoted: true, escaped }, last, dialect);
        }
    }
}

/// What may stand behind the quote that ends a field.
fn behind_quote(input: &[u8], field: Field, last: bool, dialect: &Dialect) -> Cut {
    let mut at = field.end + 1;
    while dialect.loose && dialect.delimiter != b' ' && input.get(at) == Some(&b' ') {
        at += 1;
    }
    match input.get(at).copied() {
        None if last || at == field.end + 1 => Cut::Field(field, at),
        None => Cut::More,
        Some(b'\n') => Cut::Field(field, at),
        Some(b'\r') if matches!(input.get(at + 1), Some(b'\n')) => Cut::Field(field, at + 1),
        Some(b'\r') if input.len() == at + 1 => {
            if last {
                Cut::Field(field, at + 1)
            } else {
                Cut::More
            }
        }
        Some(byte) if byte == dialect.delimiter => Cut::Field(field, at),
        Some(_) => Cut::Broken(field.end, "text follows the quote that ends a field"),
    }
}

/// Cuts a line at the places of columns of a fixed width, in characters (FIXEDWIDTH). The last one takes what it has.
pub(super) fn fixed_widths(line: &[u8], widths: &[usize], fields: &mut Vec<Field>) {
    fields.clear();
    let mut start = 0;
    for width in widths {
        let rest = line.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let starts = rest.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80).map(|(at, _)| at);
        let end = start + starts.chain([rest.len()]).nth(*width).unwrap_or(rest.len());
        fields.push(Field { start, end, quoted: false, escaped: false });
        start = end;
    }
}

/// Passes over the rest of the line, so that the next record can be read.
fn broken(input: &[u8], from: usize, last: bool, lines: u64, reason: &'static str) -> Step {
    match memchr(b'\n', input.get(from..).unwrap_or_default()) {
        Some(found) => Step::Broken { bytes: from + found + 1, lines: lines + 1, reason },
        None if last => Step::Broken { bytes: input.len(), lines: lines + 1, reason },
        None => Step::More,
    }
}

/// The text of a field: its own bytes, or unescaped in `scratch`.
pub(super) fn text<'a>(record: &'a [u8], field: Field, dialect: &Dialect, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let raw = record.get(field.start..field.end).unwrap_or_default();
    if !field.escaped {
        return raw;
    }
    scratch.clear();
    let escape = match (field.quoted, dialect.quote, dialect.escape) {
        (true, Some(quote), None) => quote,
        (_, _, Some(escape)) => escape,
        _ => return raw,
    };
    let mut at = 0;
    while at < raw.len() {
        let byte = raw[at];
        let doubled = field.quoted && Some(byte) == dialect.quote;
        if (byte != escape && !doubled) || at + 1 >= raw.len() {
            scratch.push(byte);
            at += 1;
        } else if dialect.postgres {
            at += 1 + postgres_escape(&raw[at + 1..], scratch);
        } else {
            scratch.push(raw[at + 1]);
            at += 2;
        }
    }
    scratch
}

/// What stands behind a backslash in Postgres's text format; returns the bytes used.
fn postgres_escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let digits = |from: usize, most: usize, radix: u32| {
        let run = rest.iter().skip(from).take(most).map_while(|&b| char::from(b).to_digit(radix));
        run.fold((0u32, 0usize), |(value, count), digit| (value * radix + digit, count + 1))
    };
    let first = rest.first().copied().unwrap_or(b'\\');
    let (byte, used) = match first {
        b'b' => (8, 1),
        b'f' => (12, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (11, 1),
        b'0'..=b'7' => {
            let (value, count) = digits(0, 3, 8);
            ((value & 0xff) as u8, count)
        }
        b'x' if digits(1, 2, 16).1 > 0 => {
            let (value, count) = digits(1, 2, 16);
            (value as u8, count + 1)
        }
        other => (other, 1),
    };
    out.push(byte);
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Dialect =
        Dialect { delimiter: b',', quote: None, escape: None, postgres: false, loose: false, any_quote: false };
    const CSV: Dialect = Dialect { quote: Some(b'"'), ..PLAIN };
    const TEXT: Dialect = Dialect { delimiter: b'\t', escape: Some(b'\\'), postgres: true, ..PLAIN };
    const LOOSE: Dialect = Dialect { loose: true, ..CSV };
    const REMOVE: Dialect = Dialect { any_quote: true, ..PLAIN };

    fn cut(input: &[u8], last: bool, dialect: &Dialect) -> (Step, Vec<String>) {
        let mut fields = Vec::new();
        let step = next_record(input, last, dialect, &mut fields);
        let mut scratch = Vec::new();
        let texts = fields.iter().map(|f| String::from_utf8_lossy(text(input, *f, dialect, &mut scratch)).into_owned());
        (step, texts.collect())
    }

    #[test]
    fn records_are_cut() {
        type Case<'a> = (&'a [u8], bool, &'a Dialect, Step, &'a [&'a str]);
        let cases: [Case<'_>; 14] = [
            (b"a,b\r\nc", false, &CSV, Step::Record { bytes: 5, lines: 1 }, &["a", "b"]),
            (b"a,\n", false, &CSV, Step::Record { bytes: 3, lines: 1 }, &["a", ""]),
            (b"\"a\nb\",\"x\"\"y\"\n", false, &CSV, Step::Record { bytes: 13, lines: 2 }, &["a\nb", "x\"y"]),
            (b"\"a\"\r\n", false, &CSV, Step::Record { bytes: 5, lines: 1 }, &["a"]),
            (b"a,b", true, &CSV, Step::Record { bytes: 3, lines: 1 }, &["a", "b"]),
            (b"a,b", false, &CSV, Step::More, &[]),
            (b"\"a\"", false, &CSV, Step::More, &[]),
            (b"1\\tx\t\\x41\\\n2\n", false, &TEXT, Step::Record { bytes: 13, lines: 2 }, &["1\tx", "A\n2"]),
            (b"\\101\\\\\n", false, &TEXT, Step::Record { bytes: 7, lines: 1 }, &["A\\"]),
            (b"\n", false, &CSV, Step::Record { bytes: 1, lines: 1 }, &[""]),
            (b"a,  \"b\" , c\n", false, &LOOSE, Step::Record { bytes: 12, lines: 1 }, &["a", "b", " c"]),
            (b"'a,b',\"c\",d'\r\n", false, &REMOVE, Step::Record { bytes: 14, lines: 1 }, &["a,b", "c", "d'"]),
            (b"' ' 'a' ' ',1\n", false, &REMOVE, Step::Record { bytes: 14, lines: 1 }, &[" ' 'a' ' ", "1"]),
            (b"'a'", false, &REMOVE, Step::More, &[]),
        ];
        for (input, last, dialect, step, texts) in cases {
            let (found, found_texts) = cut(input, last, dialect);
            assert_eq!(found, step, "{input:?}");
            if found != Step::More {
                assert_eq!(found_texts, texts, "{input:?}");
            }
        }
    }

    #[test]
    fn widths_are_of_characters() {
        let mut fields = Vec::new();
        fixed_widths("1  né x".as_bytes(), &[3, 2, 5, 4], &mut fields);
        let places: Vec<_> = fields.iter().map(|field| (field.start, field.end)).collect();
        assert_eq!(places, [(0, 3), (3, 6), (6, 8)]);
    }

    #[test]
    fn broken_quotes_are_told() {
        assert!(matches!(cut(b"'a,b\nd\n", false, &REMOVE).0, Step::Broken { bytes: 5, lines: 1, .. }));
        assert!(matches!(cut(b"\"a\"b,c\nd\n", false, &CSV).0, Step::Broken { bytes: 7, lines: 1, .. }));
        assert!(matches!(cut(b"\"abc\nd\n", true, &CSV).0, Step::Broken { bytes: 5, .. }));
    }
}
