//! COPY FROM 'dynamodb://table': the items of a table as JSON objects, which are loaded as others are.
//!
//! Attributes go to columns by name, letter case aside; others are passed over. READRATIO bounds what is read in a second
//! to a share of what the table is provisioned with.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde_json::{Map, Value};
use std::io;
use std::time::Duration;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::formats::read::ByteStream;
use tidegate_storage::{DynamoTable, S3Access, Stores};

/// What a COPY's URL begins with.
pub const SCHEME: &str = "dynamodb://";

/// A column that attributes are loaded into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What a missing attribute is: the empty text, or NULL.
    pub empty: bool,
}

/// The items of a table as JSON lines.
pub async fn items(
    stores: &Stores,
    url: &str,
    access: &S3Access,
    ratio: u64,
    wanted: Vec<Wanted>,
) -> Result<ByteStream> {
    let name = url.strip_prefix(SCHEME).unwrap_or(url).trim_end_matches('/');
    let table = stores.dynamo_table(name, access).await?;
    let units = table.read_capacity().await?.saturating_mul(ratio) as f64 / 100.0;
    let pages = stream::try_unfold(Some((table, None)), move |at| {
        let wanted = wanted.clone();
        async move {
            let Some((table, from)) = at else { return Ok::<_, io::Error>(None) };
            let (lines, next) = page(&table, from.as_ref(), units, &wanted).await.map_err(io::Error::other)?;
            Ok(Some((lines, next.map(|next| (table, Some(next))))))
        }
    });
    Ok(pages.boxed())
}

async fn page(
    table: &DynamoTable,
    from: Option<&Value>,
    units: f64,
    wanted: &[Wanted],
) -> Result<(Bytes, Option<Value>)> {
    let page = table.scan(from).await?;
    let mut lines = String::new();
    for item in &page.items {
        lines.push_str(&object(item, wanted)?.to_string());
        lines.push('\n');
    }
    if units > 0.0 && page.next.is_some() {
        tokio::time::sleep(Duration::from_secs_f64(page.units / units)).await;
    }
    Ok((lines.into(), page.next))
}

/// An item as the object that is loaded. 22P04 for two attributes of one column, and for what is neither text nor number.
fn object(item: &Map<String, Value>, wanted: &[Wanted]) -> Result<Value> {
    let mut object = Map::new();
    for (attribute, value) in item {
        let Some(column) = wanted.iter().find(|column| column.name.eq_ignore_ascii_case(attribute)) else { continue };
        let value = scalar(attribute, value)?;
        if object.insert(column.name.clone(), value).is_some() {
            let message = format!("an item has several attributes for column \"{}\"", column.name);
            return Err(
                Error::new(Kind::BadCopyFormat, message).hint("Names of attributes differ by letter case only.")
            );
        }
    }
    for column in wanted.iter().filter(|column| column.empty) {
        object.entry(column.name.clone()).or_insert_with(|| "".into());
    }
    Ok(Value::Object(object))
}

fn scalar(attribute: &str, value: &Value) -> Result<Value> {
    let (kind, text) =
        value.as_object().and_then(|typed| typed.iter().next()).map_or(("", &Value::Null), |(k, v)| (k, v));
    match kind {
        "S" | "N" => Ok(text.clone()),
        "NULL" => Ok(Value::Null),
        other => {
            let message =
                format!("attribute \"{attribute}\" is of DynamoDB's type {other}: only S and N can be loaded");
            Err(Error::new(Kind::BadCopyFormat, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_become_objects() {
        let wanted = [("id", false), ("name", true)].map(|(name, empty)| Wanted { name: name.to_string(), empty });
        let cases = [
            (
                json!({"ID": {"N": "5"}, "name": {"S": "a"}, "more": {"B": "eA=="}}),
                Some(json!({"id": "5", "name": "a"})),
            ),
            (json!({"id": {"N": "5"}}), Some(json!({"id": "5", "name": ""}))),
            (json!({"id": {"NULL": true}, "name": {"S": ""}}), Some(json!({"id": null, "name": ""}))),
            (json!({"id": {"N": "5"}, "Id": {"N": "6"}}), None),
            (json!({"name": {"SS": ["a"]}}), None),
        ];
        for (item, expected) in cases {
            let Value::Object(item) = item else { panic!("no object") };
            assert_eq!(object(&item, &wanted).ok(), expected, "{item:?}");
        }
    }
}
