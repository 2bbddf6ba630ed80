//! What the user asks of a delivery, checked.

use crate::prefix::Prefix;
use crate::{query, rows};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use tidegate_catalog::{Credential, DeliverySpec, DeliveryTarget, Relation, RelationKind, Rights};
use tidegate_core::{Error, Kind, Result, millis};
use tidegate_parser::{CreateDelivery, Options, Target};
use tidegate_query::{Need, Work, check_outside, undefined_credential};
use tidegate_storage::S3Access;

/// Firehose's own default: 5 MiB.
const BUFFER_BYTES_DEFAULT: u64 = 5 << 20;
/// Firehose's least is 1 MiB; a test wants less.
const BUFFER_BYTES_MIN: u64 = 1 << 10;
/// Firehose's own maximum: 128 MiB.
const BUFFER_BYTES_MAX: u64 = 128 << 20;
/// Firehose's own default.
const BUFFER_INTERVAL_DEFAULT_MS: i64 = 300_000;
/// Firehose's own maximum: 15 minutes. Its least is 0.
const BUFFER_INTERVAL_MAX_MS: i64 = 900_000;
/// Longest name, as with Firehose.
const NAME_CHARS_MAX: usize = 64;

/// Checks the name of a new delivery, which becomes a part of its objects' names.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(plain) {
        true => Ok(()),
        false => Err(Error::new(Kind::InvalidParameter, format!("\"{name}\" is not a name for a delivery stream"))
            .hint(format!("It has letters, digits, '_', '.' and '-', {NAME_CHARS_MAX} at most."))),
    }
}

/// The spec of CREATE DELIVERY STREAM.
pub async fn of(work: &Work<'_>, create: &CreateDelivery) -> Result<DeliverySpec> {
    let Some(from) = &create.from else {
        return Err(Error::new(Kind::Unsupported, "a delivery stream without FROM is not supported")
            .hint("Name a stream: FROM s."));
    };
    let source = work.relation(from, Need::All(Rights::SELECT))?;
    if !matches!(source.kind, RelationKind::Stream(_)) {
        return Err(wrong_kind(&source, "a stream"));
    }
    let target = target(work, &create.target)?;
    let format = format(create.format.as_deref(), &target)?;
    let mut spec = DeliverySpec {
        source: source.oid,
        select: create.select.clone(),
        search_path: work.scope.lasting().search_path,
        target,
        format,
        buffer_bytes: BUFFER_BYTES_DEFAULT,
        buffer_interval_ms: BUFFER_INTERVAL_DEFAULT_MS,
        options: BTreeMap::new(),
    };
    apply(work, &mut spec, create.options.clone(), "CREATE DELIVERY STREAM")?;
    check_columns(work, &spec).await?;
    Ok(spec)
}

/// Puts options over a spec.
pub fn apply(work: &Work<'_>, spec: &mut DeliverySpec, options: Options, statement: &str) -> Result<()> {
    read_options(spec, options, statement)?;
    let credential = spec.options.get("credential").map(String::as_str);
    if let Some(name) = credential.filter(|name| work.state().named::<Credential>(name).is_none()) {
        return Err(undefined_credential(name));
    }
    match &spec.target {
        DeliveryTarget::Objects(url) => check_outside(&work.scope, url, credential),
        DeliveryTarget::Table(_) => Ok(()),
    }
}

fn read_options(spec: &mut DeliverySpec, mut options: Options, statement: &str) -> Result<()> {
    if let Some(text) = options.take("buffer_size") {
        let size = bytes(&text).filter(|size| (BUFFER_BYTES_MIN..=BUFFER_BYTES_MAX).contains(size));
        spec.buffer_bytes = size.ok_or_else(|| wrong("buffer_size", &text, "a size from 1 kB to 128 MB"))?;
    }
    if let Some(text) = options.take("buffer_interval") {
        let interval = millis(&text).filter(|ms| (0..=BUFFER_INTERVAL_MAX_MS).contains(ms));
        spec.buffer_interval_ms =
            interval.ok_or_else(|| wrong("buffer_interval", &text, "a time from 0 to 900 s, such as '60 s'"))?;
    }
    for name in ["credential", "compression"] {
        let Some(text) = options.take(name) else { continue };
        if matches!(spec.target, DeliveryTarget::Table(_)) {
            let message = format!("{name} has no meaning for a delivery into a table");
            return Err(Error::new(Kind::InvalidParameter, message));
        }
        let text = if name == "compression" { compression(&text, &spec.format)? } else { text };
        spec.options.insert(name.to_string(), text);
    }
    options.expect_empty(statement)
}

fn compression(text: &str, format: &str) -> Result<String> {
    let lower = text.to_lowercase();
    let known: &[&str] = if format == "PARQUET" { &["zstd"] } else { &["none", "gzip", "bzip2", "zstd"] };
    match known.contains(&lower.as_str()) {
        true => Ok(lower),
        false => Err(wrong("compression", text, &format!("for {format}, which takes {}", known.join(", ")))),
    }
}

fn wrong(name: &str, value: &str, wanted: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{name} = '{value}' is not {wanted}"))
}

/// `64 MB`, `1MiB`, `500 kB`, `4096`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn wrong_kind(relation: &Relation, wanted: &str) -> Error {
    let message = format!("\"{}\" is a {}, not {wanted}", relation.name, relation.kind.noun());
    Error::new(Kind::WrongObjectType, message)
}

fn target(work: &Work<'_>, target: &Target) -> Result<DeliveryTarget> {
    let other = match target {
        Target::Table(name) => {
            let relation = work.relation(name, Need::All(Rights::INSERT))?;
            return match relation.kind {
                RelationKind::Table(_) => Ok(DeliveryTarget::Table(relation.oid)),
                _ => Err(wrong_kind(&relation, "a table")),
            };
        }
        Target::Url(url) => {
            // Any moment shows what is wrong with it.
            let sample = Prefix::parse(url)?.expand(0, work.engine().rng());
            work.engine().stores().resolve(&format!("{sample}x"), &S3Access::default())?;
            return Ok(DeliveryTarget::Objects(url.clone()));
        }
        Target::Stream(name) => format!("STREAM {name}"),
        Target::Other { kind, .. } => kind.clone(),
    };
    Err(Error::new(Kind::Unsupported, format!("deliveries to {other} are not supported"))
        .hint("Deliver to 's3://…', 'file:///…' or TABLE t."))
}

fn format(given: Option<&str>, target: &DeliveryTarget) -> Result<String> {
    match (given.map(str::to_uppercase), target) {
        (None, DeliveryTarget::Table(_)) => Ok(String::new()),
        (Some(format), DeliveryTarget::Table(_)) => {
            Err(Error::new(Kind::InvalidDefinition, format!("FORMAT {format} has no meaning for a table")))
        }
        (None, DeliveryTarget::Objects(_)) => Ok("JSON".to_string()),
        (Some(format), DeliveryTarget::Objects(_)) if ["JSON", "PARQUET", "CSV"].contains(&format.as_str()) => {
            Ok(format)
        }
        (Some(format), DeliveryTarget::Objects(_)) => {
            Err(Error::new(Kind::Unsupported, format!("FORMAT {format} is not supported"))
                .hint("The formats are PARQUET, JSON and CSV."))
        }
    }
}

/// What the query gives must fit where it goes.
async fn check_columns(work: &Work<'_>, spec: &DeliverySpec) -> Result<()> {
    let schema = query::schema(&work.scope, spec).await?;
    match spec.target {
        DeliveryTarget::Table(table) => {
            let lost = || Error::internal("the table of a new delivery stream is lost");
            let table = work.state().relation(table).ok_or_else(lost)?;
            rows::fit(&work.scope, table, &schema).await.map(drop)
        }
        DeliveryTarget::Objects(_) => check_csv(&schema, &spec.format),
    }
}

fn check_csv(schema: &SchemaRef, format: &str) -> Result<()> {
    match schema.fields().iter().find(|field| format == "CSV" && field.data_type().is_nested()) {
        Some(field) => {
            Err(Error::new(Kind::Unsupported, format!("column \"{}\" cannot be written as CSV", field.name()))
                .hint("Choose FORMAT JSON or PARQUET."))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn spec(target: DeliveryTarget, format: &str) -> DeliverySpec {
        DeliverySpec {
            source: 1,
            select: None,
            search_path: Vec::new(),
            target,
            format: format.into(),
            buffer_bytes: 1,
            buffer_interval_ms: 1,
            options: BTreeMap::new(),
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("64 MB", Some(64 << 20)),
            ("1mib", Some(1 << 20)),
            ("500 kB", Some(500 << 10)),
            ("7", Some(7)),
            ("much", None),
            ("1 TB", None),
            ("", None),
            // Large enough to come round to something small.
            ("17592186044416 MB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn options_are_checked() {
        let objects = || DeliveryTarget::Objects("s3://b/".into());
        let cases = [
            (objects(), "JSON", "buffer_size", "64 MB", None),
            (objects(), "JSON", "buffer_size", "1 kB", None),
            (objects(), "JSON", "buffer_size", "1023", Some(Kind::InvalidParameter)),
            (objects(), "JSON", "buffer_size", "129 MB", Some(Kind::InvalidParameter)),
            (objects(), "JSON", "buffer_interval", "0", None),
            (objects(), "JSON", "buffer_interval", "100ms", None),
            (objects(), "JSON", "buffer_interval", "901 s", Some(Kind::InvalidParameter)),
            (objects(), "JSON", "buffer_interval", "soon", Some(Kind::InvalidParameter)),
            (objects(), "JSON", "compression", "GZIP", None),
            (objects(), "JSON", "compression", "lzma", Some(Kind::InvalidParameter)),
            (objects(), "PARQUET", "compression", "zstd", None),
            (objects(), "PARQUET", "compression", "gzip", Some(Kind::InvalidParameter)),
            (objects(), "JSON", "credential", "c", None),
            (objects(), "JSON", "colour", "red", Some(Kind::Unsupported)),
            (DeliveryTarget::Table(1), "", "compression", "gzip", Some(Kind::InvalidParameter)),
            (DeliveryTarget::Table(1), "", "credential", "c", Some(Kind::InvalidParameter)),
        ];
        for (target, format, name, value, expected) in cases {
            let mut options = Options::default();
            options.set(name, value);
            let error = read_options(&mut spec(target, format), options, "CREATE DELIVERY STREAM").err();
            assert_eq!(error.as_ref().map(Error::kind), expected, "{name} = {value}: {error:?}");
            assert!(error.is_none_or(|error| error.message().contains(name)), "{name} is named");
        }
    }

    #[test]
    fn formats_and_names() {
        let formats = [
            (None, DeliveryTarget::Table(1), Some("")),
            (Some("json"), DeliveryTarget::Table(1), None),
            (None, DeliveryTarget::Objects(String::new()), Some("JSON")),
            (Some("parquet"), DeliveryTarget::Objects(String::new()), Some("PARQUET")),
            (Some("AVRO"), DeliveryTarget::Objects(String::new()), None),
        ];
        for (given, target, expected) in formats {
            assert_eq!(format(given, &target).ok().as_deref(), expected, "{given:?} {target:?}");
        }
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for (name, good) in [("to_files-1.a", true), ("", false), ("a/b", false), ("a b", false), (&long, false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", list, true)]));
        assert!(check_csv(&schema, "CSV").is_err() && check_csv(&schema, "JSON").is_ok());
    }
}
