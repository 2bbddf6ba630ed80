//! What the user asks of a delivery, checked.

use crate::prefix;
use std::collections::BTreeMap;
use tidegate_catalog::{DeliverySpec, DeliveryTarget, Relation, RelationKind};
use tidegate_core::{Error, Kind, Result, millis};
use tidegate_parser::{CreateDelivery, Options, Target};
use tidegate_query::Work;

/// Firehose's own default: 5 MiB.
const BUFFER_BYTES_DEFAULT: u64 = 5 << 20;
/// Firehose's own default.
const BUFFER_INTERVAL_DEFAULT_MS: i64 = 300_000;
/// Firehose's own maximum: 15 minutes.
const BUFFER_INTERVAL_MAX_MS: i64 = 900_000;
/// Firehose's own maximum: 128 MiB.
const BUFFER_BYTES_MAX: u64 = 128 << 20;

/// The spec of CREATE DELIVERY STREAM.
pub fn of(work: &Work<'_>, create: &CreateDelivery) -> Result<DeliverySpec> {
    let Some(from) = &create.from else {
        return Err(Error::new(Kind::Unsupported, "a delivery stream without FROM is not supported")
            .hint("Name a stream: FROM s."));
    };
    let source = work.relation(from)?;
    if !matches!(source.kind, RelationKind::Stream(_)) {
        return Err(Error::new(
            Kind::WrongObjectType,
            format!("\"{}\" is a {}, not a stream", source.name, source.kind.noun()),
        ));
    }
    let target = target(work, &create.target)?;
    let format = format(create.format.as_deref(), &target)?;
    let mut spec = DeliverySpec {
        source: source.oid,
        select: create.select.clone(),
        target,
        format,
        buffer_bytes: BUFFER_BYTES_DEFAULT,
        buffer_interval_ms: BUFFER_INTERVAL_DEFAULT_MS,
        options: BTreeMap::new(),
    };
    apply(&mut spec, create.options.clone(), "CREATE DELIVERY STREAM")?;
    if let Some(name) = spec.options.get("credential") {
        tidegate_query::access(work.state(), work.engine(), "s3://", Some(name))?;
    }
    Ok(spec)
}

/// Puts options over a spec.
pub fn apply(spec: &mut DeliverySpec, mut options: Options, statement: &str) -> Result<()> {
    if let Some(text) = options.take("buffer_size") {
        let size = bytes(&text).filter(|size| (1..=BUFFER_BYTES_MAX).contains(size));
        spec.buffer_bytes =
            size.ok_or_else(|| wrong("buffer_size", &text, "a size of at most 128 MB, such as '64 MB'"))?;
    }
    if let Some(text) = options.take("buffer_interval") {
        let interval = millis(&text).filter(|ms| (0..=BUFFER_INTERVAL_MAX_MS).contains(ms));
        spec.buffer_interval_ms =
            interval.ok_or_else(|| wrong("buffer_interval", &text, "a time of at most 900 s, such as '60 s'"))?;
    }
    for name in ["credential", "compression"] {
        if let Some(text) = options.take(name) {
            if name == "compression" && !["none", "gzip", "bzip2", "zstd"].contains(&text.to_lowercase().as_str()) {
                return Err(wrong(name, &text, "none, gzip, bzip2 or zstd"));
            }
            spec.options.insert(name.to_string(), text);
        }
    }
    options.expect_empty(statement)
}

fn wrong(name: &str, value: &str, wanted: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{name} = '{value}' is not {wanted}"))
}

/// `64 MB`, `1MiB`, `500 kB`, `4096`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn target(work: &Work<'_>, target: &Target) -> Result<DeliveryTarget> {
    match target {
        Target::Table(name) => {
            let relation: Relation = work.relation(name)?;
            match relation.kind {
                RelationKind::Table(_) => Ok(DeliveryTarget::Table(relation.oid)),
                other => Err(Error::new(
                    Kind::WrongObjectType,
                    format!("\"{}\" is a {}, not a table", relation.name, other.noun()),
                )),
            }
        }
        Target::Url(url) => {
            prefix::expand(url, 0)?;
            if !url.starts_with("s3://") && !url.starts_with("file://") {
                return Err(Error::new(Kind::Unsupported, format!("deliveries to {url} are not supported"))
                    .hint("Deliver to 's3://…', 'file:///…' or TABLE t."));
            }
            tidegate_query::check_files(&work.scope, url)?;
            Ok(DeliveryTarget::Objects(url.clone()))
        }
        Target::Stream(name) => {
            Err(Error::new(Kind::Unsupported, format!("deliveries to stream {name} are not supported")))
        }
        Target::Other { kind, .. } => {
            Err(Error::new(Kind::Unsupported, format!("deliveries to {kind} are not supported")))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
