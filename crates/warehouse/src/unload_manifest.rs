//! The manifest of an UNLOAD: what exists, for COPY and for people.

use crate::unload_files::WrittenFile;
use crate::unload_form::Form;
use crate::unload_target::Target;
use arrow::datatypes::{Field, SchemaRef};
use serde_json::{Value, json};
use tidegate_catalog::{PG_TYPE_KEY, SqlType};

/// Its text. Verbose, it has the columns, the rows of each file, and all in all; a header counts as a row there.
pub fn manifest(target: &Target, form: &Form, schema: &SchemaRef, written: &[WrittenFile], verbose: bool) -> String {
    let rows = |file: &WrittenFile| file.rows + form.header_lines();
    let entry = |file: &WrittenFile| {
        let meta = match verbose {
            true => json!({"content_length": file.bytes, "record_count": rows(file)}),
            false => json!({"content_length": file.bytes}),
        };
        json!({"url": target.url_of(&file.path), "meta": meta})
    };
    let entries: Vec<Value> = written.iter().map(entry).collect();
    let text = match verbose {
        false => json!({"entries": entries}),
        true => json!({
            "entries": entries,
            "schema": {"elements": schema.fields().iter().map(|field| element(field)).collect::<Vec<_>>()},
            "meta": {
                "content_length": written.iter().map(|file| file.bytes).sum::<u64>(),
                "record_count": written.iter().map(rows).sum::<u64>(),
            },
            "author": {"name": "Tidegate", "version": env!("CARGO_PKG_VERSION")},
        }),
    };
    format!("{text:#}")
}

/// A column as Redshift's manifests tell of it.
fn element(field: &Field) -> Value {
    let named = field.metadata().get(PG_TYPE_KEY).cloned();
    let name = named.unwrap_or_else(|| SqlType::of_arrow(field.data_type()).to_string());
    let (base, numbers) = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((base, numbers)) => (base.trim().to_string(), numbers.split(',').collect::<Vec<&str>>()),
        None => (name.clone(), Vec::new()),
    };
    let number = |text: &&str| text.trim().parse::<u64>().ok();
    let kind = match numbers.iter().map(number).collect::<Vec<_>>().as_slice() {
        [Some(precision), Some(scale)] => json!({"base": base, "precision": precision, "scale": scale}),
        [Some(length)] => json!({"base": base, "max_length": length}),
        _ => json!({"base": base}),
    };
    json!({"name": field.name(), "type": kind})
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use tidegate_catalog::Column;

    #[test]
    fn columns_have_their_lengths() {
        let cases = [
            (SqlType::Int4, json!({"base": "integer"})),
            (SqlType::Varchar(25), json!({"base": "character varying", "max_length": 25})),
            (SqlType::Char(2), json!({"base": "character", "max_length": 2})),
            (SqlType::Numeric(10, 2), json!({"base": "numeric", "precision": 10, "scale": 2})),
            (SqlType::Timestamptz, json!({"base": "timestamp with time zone"})),
        ];
        for (sql_type, expected) in cases {
            assert_eq!(element(&Column::new("c", sql_type).field()), json!({"name": "c", "type": expected}));
        }
        assert_eq!(element(&Field::new("n", DataType::Int64, true))["type"]["base"], "bigint");
    }
}
