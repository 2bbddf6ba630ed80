//! Which Postgres type a client is told for an Arrow field: oid, length and modifier.
//!
//! The Arrow type decides, unless the field's metadata names an SQL type that its values can be sent as.

use arrow::datatypes::{DataType, Field};

/// The metadata key under which a field names its SQL type, where the Arrow type does not say it.
const PG_TYPE_KEY: &str = "pg_type";

/// Object ids of Postgres' built-in types (`pg_type.dat`).
pub mod oid {
    #![allow(missing_docs, reason = "each is the Postgres type of its name")]
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT2VECTOR: u32 = 22;
    pub const INT4: u32 = 23;
    pub const REGPROC: u32 = 24;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const XID: u32 = 28;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const PG_NODE_TREE: u32 = 194;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const TIMETZ: u32 = 1266;
    pub const NUMERIC: u32 = 1700;
    pub const REGCLASS: u32 = 2205;
    pub const REGTYPE: u32 = 2206;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
    pub const REGNAMESPACE: u32 = 4089;
    pub const REGROLE: u32 = 4096;
}

/// Element type, its array type and its length, and the names a user or `format_type` gives it.
struct Row(u32, u32, i16, &'static [&'static str]);

const TYPES: &[Row] = &[
    Row(oid::BOOL, 1000, 1, &["boolean", "bool"]),
    Row(oid::BYTEA, 1001, -1, &["bytea"]),
    Row(oid::CHAR, 1002, 1, &["\"char\"", "char"]),
    Row(oid::NAME, 1003, 64, &["name"]),
    Row(oid::INT8, 1016, 8, &["bigint", "int8"]),
    Row(oid::INT2, 1005, 2, &["smallint", "int2"]),
    Row(oid::INT2VECTOR, 1006, -1, &["int2vector"]),
    Row(oid::INT4, 1007, 4, &["integer", "int4", "int"]),
    Row(oid::REGPROC, 1008, 4, &["regproc"]),
    Row(oid::TEXT, 1009, -1, &["text"]),
    Row(oid::OID, 1028, 4, &["oid"]),
    Row(oid::XID, 1011, 4, &["xid"]),
    Row(oid::OIDVECTOR, 1013, -1, &["oidvector"]),
    // SUPER is sent as JSON.
    Row(oid::JSON, 199, -1, &["json", "super"]),
    Row(oid::PG_NODE_TREE, oid::TEXT, -1, &["pg_node_tree"]),
    Row(oid::FLOAT4, 1021, 4, &["real", "float4"]),
    Row(oid::FLOAT8, 1022, 8, &["double precision", "float8"]),
    Row(oid::BPCHAR, 1014, -1, &["character", "bpchar"]),
    Row(oid::VARCHAR, 1015, -1, &["character varying", "varchar"]),
    Row(oid::DATE, 1182, 4, &["date"]),
    Row(oid::TIME, 1183, 8, &["time without time zone", "time"]),
    Row(oid::TIMESTAMP, 1115, 8, &["timestamp without time zone", "timestamp"]),
    Row(oid::TIMESTAMPTZ, 1185, 8, &["timestamp with time zone", "timestamptz"]),
    Row(oid::INTERVAL, 1187, 16, &["interval"]),
    Row(oid::TIMETZ, 1270, 12, &["time with time zone", "timetz"]),
    Row(oid::NUMERIC, 1231, -1, &["numeric", "decimal"]),
    Row(oid::REGCLASS, 2210, 4, &["regclass"]),
    Row(oid::REGTYPE, 2211, 4, &["regtype"]),
    Row(oid::UUID, 2951, 16, &["uuid"]),
    Row(oid::JSONB, 3807, -1, &["jsonb"]),
    Row(oid::REGNAMESPACE, 4090, 4, &["regnamespace"]),
    Row(oid::REGROLE, 4097, 4, &["regrole"]),
];

/// What a client is told of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireType {
    /// Its object id.
    pub oid: u32,
    /// Bytes of a value, -1 when they vary.
    pub len: i16,
    /// The modifier: a length, or a precision and scale; -1 for none.
    pub typmod: i32,
    /// For an array: its element's object id.
    pub element: Option<u32>,
}

impl WireType {
    fn plain(oid: u32) -> Self {
        WireType { oid, len: row_of(oid).map_or(-1, |r| r.2), typmod: -1, element: None }
    }

    fn numeric(precision: u8, scale: i8) -> Self {
        let scale = i32::from(scale) & 0x7ff;
        WireType { typmod: ((i32::from(precision) << 16) | scale) + 4, ..Self::plain(oid::NUMERIC) }
    }

    fn array_of(element: WireType) -> Self {
        // Nested arrays are one array type of several dimensions.
        if element.element.is_some() {
            return element;
        }
        let array = row_of(element.oid).map_or(1009, |r| r.1);
        WireType { oid: array, len: -1, typmod: element.typmod, element: Some(element.oid) }
    }

    /// The type of a column.
    pub fn of_field(field: &Field) -> Self {
        let by_arrow = Self::of_arrow(field.data_type());
        let named = field.metadata().get(PG_TYPE_KEY).and_then(|text| parse_name(text));
        match named {
            Some(named) if sendable_as(field.data_type(), &named) => named,
            _ => by_arrow,
        }
    }

    /// The type that an Arrow type alone says.
    pub fn of_arrow(arrow: &DataType) -> Self {
        match arrow {
            DataType::Boolean => Self::plain(oid::BOOL),
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::plain(oid::INT2),
            DataType::Int32 | DataType::UInt16 => Self::plain(oid::INT4),
            DataType::Int64 | DataType::UInt32 => Self::plain(oid::INT8),
            DataType::UInt64 => Self::plain(oid::NUMERIC),
            DataType::Float16 | DataType::Float32 => Self::plain(oid::FLOAT4),
            DataType::Float64 => Self::plain(oid::FLOAT8),
            DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal128(p, s)
            | DataType::Decimal256(p, s) => Self::numeric(*p, *s),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::plain(oid::BYTEA)
            }
            DataType::Date32 => Self::plain(oid::DATE),
            DataType::Date64 | DataType::Timestamp(_, None) => Self::plain(oid::TIMESTAMP),
            DataType::Timestamp(_, Some(_)) => Self::plain(oid::TIMESTAMPTZ),
            DataType::Time32(_) | DataType::Time64(_) => Self::plain(oid::TIME),
            DataType::Interval(_) | DataType::Duration(_) => Self::plain(oid::INTERVAL),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Self::array_of(Self::of_field(item))
            }
            DataType::Dictionary(_, value) => Self::of_arrow(value),
            DataType::RunEndEncoded(_, values) => Self::of_field(values),
            DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => Self::plain(oid::JSON),
            _ => Self::plain(oid::TEXT),
        }
    }

    /// The element type of an array type, by its object id.
    pub fn element_of(array: u32) -> Option<u32> {
        TYPES.iter().find(|r| r.1 == array && r.1 != oid::TEXT).map(|r| r.0)
    }
}

fn row_of(oid: u32) -> Option<&'static Row> {
    TYPES.iter().find(|r| r.0 == oid)
}

/// Reads `varchar(20)`, `numeric(10,2)`, `oid`, `text[]`.
fn parse_name(text: &str) -> Option<WireType> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(element) = text.strip_suffix("[]") {
        return parse_name(element).map(WireType::array_of);
    }
    let (name, modifiers) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.trim_end_matches(')')),
        None => (text.as_str(), ""),
    };
    // Without a length, `char` is the catalogs' one-byte type; with one, it is the blank-padded string.
    let name = if name == "char" && !modifiers.is_empty() { "bpchar" } else { name };
    let row = TYPES.iter().find(|r| r.3.contains(&name))?;
    let mut numbers = modifiers.split(',').map(|n| n.trim().parse::<i32>().ok());
    let typed = WireType::plain(row.0);
    Some(match (row.0, numbers.next().flatten(), numbers.next().flatten()) {
        (oid::NUMERIC, Some(p), s) => WireType { typmod: ((p << 16) | (s.unwrap_or(0) & 0x7ff)) + 4, ..typed },
        (oid::VARCHAR | oid::BPCHAR, Some(n), _) => WireType { typmod: n.saturating_add(4), ..typed },
        _ => typed,
    })
}

/// Whether values of an Arrow type can be sent as an SQL type, in binary too.
fn sendable_as(arrow: &DataType, named: &WireType) -> bool {
    if let Some(element) = named.element {
        return match arrow {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                sendable_as(item.data_type(), &WireType::plain(element))
            }
            _ => false,
        };
    }
    match arrow {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => matches!(
            named.oid,
            oid::TEXT
                | oid::VARCHAR
                | oid::BPCHAR
                | oid::NAME
                | oid::CHAR
                | oid::JSON
                | oid::JSONB
                | oid::UUID
                | oid::PG_NODE_TREE
        ),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => is_integer(named.oid),
        DataType::Struct(_) | DataType::Map(_, _) => matches!(named.oid, oid::JSON | oid::JSONB),
        DataType::Time32(_) | DataType::Time64(_) => matches!(named.oid, oid::TIME | oid::TIMETZ),
        DataType::Dictionary(_, value) => sendable_as(value, named),
        DataType::FixedSizeBinary(16) => matches!(named.oid, oid::UUID | oid::BYTEA),
        DataType::List(item) => match named.oid {
            oid::INT2VECTOR | oid::OIDVECTOR => item.data_type().is_integer(),
            _ => false,
        },
        other => WireType::of_arrow(other).oid == named.oid,
    }
}

/// Whether a type is sent as a plain integer of its length.
pub fn is_integer(oid: u32) -> bool {
    matches!(
        oid,
        oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::XID
            | oid::REGPROC
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGNAMESPACE
            | oid::REGROLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn told(arrow: DataType, name: Option<&str>) -> (u32, i16, i32) {
        let mut field = Field::new("c", arrow, true);
        if let Some(name) = name {
            field = field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), name.to_string())]));
        }
        let wire = WireType::of_field(&field);
        (wire.oid, wire.len, wire.typmod)
    }

    #[test]
    fn a_client_is_told_the_postgres_type() {
        let ints = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
        let nested = DataType::List(Arc::new(Field::new("item", ints.clone(), true)));
        let cases = [
            (DataType::Int64, None, (oid::INT8, 8, -1)),
            (DataType::Time64(TimeUnit::Microsecond), Some("time with time zone"), (oid::TIMETZ, 12, -1)),
            (DataType::Int64, Some("oid"), (oid::OID, 4, -1)),
            (DataType::Utf8View, Some("varchar(20)"), (oid::VARCHAR, -1, 24)),
            (DataType::Utf8View, Some("character(3)"), (oid::BPCHAR, -1, 7)),
            (DataType::Utf8View, Some("char"), (oid::CHAR, 1, -1)),
            (DataType::Utf8, Some("regclass"), (oid::TEXT, -1, -1)),
            (DataType::Utf8, Some("name"), (oid::NAME, 64, -1)),
            (DataType::Decimal128(10, 2), None, (oid::NUMERIC, -1, 655366)),
            (DataType::Decimal256(76, 0), None, (oid::NUMERIC, -1, (76 << 16) + 4)),
            (ints.clone(), None, (1007, -1, -1)),
            (ints.clone(), Some("oid[]"), (1028, -1, -1)),
            (ints, Some("int2vector"), (oid::INT2VECTOR, -1, -1)),
            (nested, None, (1007, -1, -1)),
            (DataType::Float64, Some("numeric(5,2)"), (oid::FLOAT8, 8, -1)),
        ];
        for (arrow, name, want) in cases {
            assert_eq!(told(arrow.clone(), name), want, "{arrow} {name:?}");
        }
    }
}
