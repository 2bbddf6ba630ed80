//! What a file's entry in the Delta log tells of its columns, and what is read back from it.
//!
//! Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics

use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Schema};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_query::formats::ColumnStats;

/// Columns that are told of: the first ones, as many as Delta's `dataSkippingNumIndexedCols`.
const COLUMNS_MAX: usize = 32;

type Values = BTreeMap<String, Box<RawValue>>;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    num_records: u64,
    min_values: Values,
    max_values: Values,
    null_count: BTreeMap<String, u64>,
}

/// The text of `stats`; of the first columns, and of some others.
pub fn text(rows: u64, schema: &Schema, columns: &[ColumnStats], others: &[usize]) -> Arc<str> {
    let mut told = Told { num_records: rows, ..Told::default() };
    let is_told = |index: &usize| *index < COLUMNS_MAX || others.contains(index);
    for (_, (field, column)) in schema.fields().iter().zip(columns).enumerate().filter(|(index, _)| is_told(index)) {
        let put = |values: &mut Values, value: &Option<ScalarValue>| {
            if let Some(value) = value.as_ref().and_then(json) {
                values.insert(field.name().clone(), value);
            }
        };
        put(&mut told.min_values, &column.min);
        put(&mut told.max_values, &column.max);
        if let Some(nulls) = column.null_count {
            told.null_count.insert(field.name().clone(), nulls);
        }
    }
    serde_json::to_string(&told).unwrap_or_default().into()
}

/// The least and the greatest value of a column, where the text tells them.
pub fn bounds(text: &str, column: &str, data_type: &DataType) -> Option<(ScalarValue, ScalarValue)> {
    let told: Told = serde_json::from_str(text).ok()?;
    let value = |values: &Values| {
        let raw = values.get(column)?.get();
        let plain = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_string());
        ScalarValue::try_from_string(plain, data_type).ok()
    };
    Some((value(&told.min_values)?, value(&told.max_values)?))
}

/// A value as Delta writes it; None for types whose bounds it does not know.
fn json(value: &ScalarValue) -> Option<Box<RawValue>> {
    match value {
        ScalarValue::Int8(Some(n)) => to_raw_value(n).ok(),
        ScalarValue::Int16(Some(n)) => to_raw_value(n).ok(),
        ScalarValue::Int32(Some(n)) => to_raw_value(n).ok(),
        ScalarValue::Int64(Some(n)) => to_raw_value(n).ok(),
        ScalarValue::Float32(Some(n)) if n.is_finite() => to_raw_value(n).ok(),
        ScalarValue::Float64(Some(n)) if n.is_finite() => to_raw_value(n).ok(),
        ScalarValue::Decimal128(Some(n), precision, scale) => {
            RawValue::from_string(Decimal128Type::format_decimal(*n, *precision, *scale)).ok()
        }
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => to_raw_value(text).ok(),
        ScalarValue::Date32(Some(days)) => to_raw_value(&date32_to_datetime(*days)?.date().to_string()).ok(),
        ScalarValue::TimestampMicrosecond(Some(us), zone) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            to_raw_value(&format!("{}{zone}", timestamp_us_to_datetime(*us)?.format("%Y-%m-%dT%H:%M:%S%.6f"))).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, TimeUnit};

    #[test]
    fn bounds_are_written_and_read_back() {
        let at = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
        let cases = [
            (ScalarValue::Int32(Some(-5)), ScalarValue::Int32(Some(7)), "-5"),
            (ScalarValue::Decimal128(Some(-125), 10, 2), ScalarValue::Decimal128(Some(9), 10, 2), "-1.25"),
            (ScalarValue::Utf8View(Some("a\"b".into())), ScalarValue::Utf8View(Some("é".into())), "\"a\\\"b\""),
            (ScalarValue::Date32(Some(0)), ScalarValue::Date32(Some(15_706)), "\"1970-01-01\""),
            (at(1), at(1_500_000), "\"1970-01-01T00:00:00.000001Z\""),
            (ScalarValue::Float64(Some(0.1)), ScalarValue::Float64(Some(1e300)), "0.1"),
        ];
        for (min, max, shown) in cases {
            let schema = Schema::new(vec![Field::new("c", min.data_type(), true)]);
            let column = ColumnStats { min: Some(min.clone()), max: Some(max.clone()), null_count: Some(3) };
            let text = text(9, &schema, &[column], &[]);
            assert!(text.contains(&format!("\"minValues\":{{\"c\":{shown}}}")), "{text}");
            assert!(text.contains("\"numRecords\":9") && text.contains("\"nullCount\":{\"c\":3}"), "{text}");
            assert_eq!(bounds(&text, "c", &min.data_type()), Some((min, max)));
        }
    }

    #[test]
    fn what_delta_does_not_know_is_left_out() {
        let time = DataType::Time64(TimeUnit::Microsecond);
        let schema = Schema::new(vec![Field::new("c", time.clone(), true)]);
        let column = ColumnStats { min: Some(ScalarValue::Time64Microsecond(Some(1))), ..ColumnStats::default() };
        let text = text(1, &schema, &[column], &[]);
        assert_eq!(bounds(&text, "c", &time), None);
        assert_eq!(bounds("", "c", &time), None);
    }
}
