//! CREATE, ALTER and DROP STREAM.

use crate::access::Need;
use crate::ddl::{drop_one, new_relation, refuse_if_needed, replace};
use crate::sql_type;
use crate::view::drop_materialized;
use crate::work::Work;
use std::collections::BTreeMap;
use tidegate_catalog::{Column, RecordFormat, Relation, RelationKind, Rights, StreamSpec};
use tidegate_core::{Error, Kind, Result, millis};
use tidegate_parser::{AlterStream, AlterStreamAction, CreateStream, DropStream, Options, fold, name_parts};
use tidegate_stream::{SYSTEM_COLUMNS, Streams};

/// Kinesis' own: 24 hours.
const RETENTION_DEFAULT_MS: i64 = 24 * 3600 * 1000;
/// Kinesis' own: 365 days.
const RETENTION_MAX_MS: i64 = 365 * 24 * 3600 * 1000;
/// Shards of a stream that names no number, as in Kinesis' on-demand mode.
const SHARDS_DEFAULT: u32 = 4;

/// CREATE STREAM.
pub fn create(streams: &Streams, work: &mut Work<'_>, create: &CreateStream) -> Result<&'static str> {
    let columns = sql_type::columns(&create.columns)?;
    refuse_system_names(&columns)?;
    let mut options = create.options.clone();
    let on_demand = on_demand(&mut options)?;
    let shards = match options.take("shards") {
        Some(text) => text.parse().map_err(|_| bad_option("shards", &text, "a number"))?,
        None => SHARDS_DEFAULT,
    };
    let retention_ms = options.take("retention").map_or(Ok(RETENTION_DEFAULT_MS), |text| retention(&text))?;
    options.expect_empty("CREATE STREAM")?;
    let partition_key: Vec<String> = create.partition_key.iter().map(fold).collect();
    if let Some(missing) = partition_key.iter().find(|key| !columns.iter().any(|column| column.name == **key)) {
        return Err(Error::new(
            Kind::UndefinedColumn,
            format!("column \"{missing}\" named in PARTITION KEY does not exist"),
        ));
    }
    let format = format(create.format.as_deref(), &columns)?;
    let watermark = create.watermark.as_ref().map(|(column, expression)| (fold(column), expression.clone()));
    let root = work.engine().objects_url().to_string();
    let spec = |oid| {
        let location = format!("{root}/streams/{oid}");
        let tags = BTreeMap::new();
        Ok(RelationKind::Stream(StreamSpec {
            partition_key,
            format,
            watermark,
            retention_ms,
            on_demand,
            tags,
            location,
        }))
    };
    if let Some(relation) = new_relation(work, &name_parts(&create.name), create.if_not_exists, columns, spec)? {
        let changes = streams.creation(relation, shards)?;
        work.push(changes)?;
    }
    Ok("CREATE STREAM")
}

/// ALTER STREAM.
pub fn alter(work: &mut Work<'_>, alter: &AlterStream) -> Result<&'static str> {
    let relation = work.relation(&alter.name, Need::OwnerOr(Rights::ALTER))?;
    let RelationKind::Stream(spec) = &relation.kind else { return Err(not_a_stream(&relation)) };
    let AlterStreamAction::SetOptions(options) = &alter.action else {
        let message = "ALTER STREAM changes the retention only";
        return Err(Error::new(Kind::Unsupported, message).hint("Use ALTER STREAM … SET (retention = '…')."));
    };
    let mut options = options.clone();
    let retention_ms = options.take("retention").map_or(Ok(spec.retention_ms), |text| retention(&text))?;
    options.expect_empty("ALTER STREAM")?;
    let spec = StreamSpec { retention_ms, ..spec.clone() };
    replace(work, relation, |relation| relation.kind = RelationKind::Stream(spec))?;
    Ok("ALTER STREAM")
}

/// DROP STREAM.
pub fn drop_streams(work: &mut Work<'_>, drop: &DropStream) -> Result<&'static str> {
    for name in &drop.names {
        let relation = match work.relation(name, Need::OwnerOr(Rights::DROP)) {
            Ok(relation) => relation,
            Err(error) if drop.if_exists && error.kind() == Kind::UndefinedTable => {
                work.notice(format!("stream \"{name}\" does not exist, skipping"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if !matches!(relation.kind, RelationKind::Stream(_)) {
            return Err(not_a_stream(&relation));
        }
        if drop.cascade {
            drop_materialized(work, |query| query.spec.source == relation.oid)?;
        }
        refuse_if_needed(work, &relation)?;
        drop_one(work, &relation)?;
    }
    Ok("DROP STREAM")
}

fn not_a_stream(relation: &Relation) -> Error {
    Error::new(Kind::WrongObjectType, format!("\"{}\" is not a stream", relation.name))
}

fn refuse_system_names(columns: &[Column]) -> Result<()> {
    match columns.iter().find(|column| SYSTEM_COLUMNS.contains(&column.name.as_str())) {
        Some(column) => {
            let message = format!("column name \"{}\" is taken by a system column of streams", column.name);
            Err(Error::new(Kind::InvalidDefinition, message).hint("Choose another name."))
        }
        None => Ok(()),
    }
}

fn on_demand(options: &mut Options) -> Result<bool> {
    match options.take("mode").as_deref().map(str::to_lowercase).as_deref() {
        None | Some("provisioned") => Ok(false),
        Some("on_demand") => Ok(true),
        Some(other) => Err(bad_option("mode", other, "provisioned or on_demand")),
    }
}

fn retention(text: &str) -> Result<i64> {
    let ms = millis(text).filter(|ms| (1..=RETENTION_MAX_MS).contains(ms));
    ms.ok_or_else(|| bad_option("retention", text, "a time of at most 365 days, such as '24 hours'"))
}

fn format(given: Option<&str>, columns: &[Column]) -> Result<Option<RecordFormat>> {
    match given.map(str::to_uppercase).as_deref() {
        Some("JSON") => Ok(Some(RecordFormat::Json)),
        Some("CSV") => Ok(Some(RecordFormat::Csv)),
        None if columns.is_empty() => Ok(None),
        None => Ok(Some(RecordFormat::Json)),
        Some(other) => Err(Error::new(Kind::Unsupported, format!("stream format {other} is not supported"))
            .hint("The formats are JSON and CSV.")),
    }
}

fn bad_option(name: &str, value: &str, wanted: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{name} = '{value}' is not {wanted}"))
}
