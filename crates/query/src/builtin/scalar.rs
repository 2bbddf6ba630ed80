//! A scalar function over arrays: how it looks to the engine, and how it sees its arguments.

use crate::datetime::{self, Reading};
use crate::fault::carried;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{NaiveDateTime, Offset, TimeZone};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use tidegate_catalog::PG_TYPE_KEY;
use tidegate_core::{Error, Kind};

/// Microseconds without a zone.
pub const MOMENT: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A moment with a zone, which is kept in UTC.
pub fn zoned() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What a function returns for arguments of these types.
pub type Returns = fn(&[DataType]) -> DataType;

/// Computes all rows.
pub type Answer = fn(&Call) -> Result<ArrayRef>;

/// One function.
#[derive(Debug)]
pub struct Scalar {
    name: &'static str,
    signature: Signature,
    returns: Returns,
    /// The name of the type in Postgres, where the engine has none for it.
    pg_type: Option<&'static str>,
    answer: Answer,
}

impl Scalar {
    /// A function of so many arguments, which it casts itself.
    pub fn new(name: &'static str, arguments: RangeInclusive<usize>, returns: Returns, answer: Answer) -> Scalar {
        let forms = arguments.map(|count| if count == 0 { TypeSignature::Nullary } else { TypeSignature::Any(count) });
        let signature = Signature::one_of(forms.collect(), Volatility::Immutable);
        Scalar { name, signature, returns, pg_type: None, answer }
    }

    /// The same whose field says what its text is.
    pub fn of_type(self, pg_type: &'static str) -> Scalar {
        Scalar { pg_type: Some(pg_type), ..self }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok((self.returns)(types))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, (self.returns)(&types), true);
        Ok(std::sync::Arc::new(match self.pg_type {
            Some(name) => field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), name.to_string())])),
            None => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|value| value.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let zone = args.config_options.execution.time_zone.clone().unwrap_or_else(|| "UTC".to_string());
        let answer = (self.answer)(&Call { name: self.name, arrays, fields: args.arg_fields, rows, zone })?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}

/// The arguments of a call.
pub struct Call {
    /// The function's name.
    pub name: &'static str,
    /// Its arguments, each of so many rows.
    pub arrays: Vec<ArrayRef>,
    /// What the planner knows of each.
    pub fields: Vec<FieldRef>,
    /// How many rows there are.
    pub rows: usize,
    /// The session's time zone.
    pub zone: String,
}

impl Call {
    /// An argument.
    pub fn array(&self, place: usize) -> Result<&ArrayRef> {
        match self.arrays.get(place) {
            Some(array) => Ok(array),
            None => plan_err!("{} lacks its argument {}", self.name, place + 1),
        }
    }

    /// An argument as texts.
    pub fn texts(&self, place: usize) -> Result<StringArray> {
        Ok(cast(self.array(place)?, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// An argument as whole numbers.
    pub fn integers(&self, place: usize) -> Result<Int64Array> {
        Ok(cast(self.array(place)?, &DataType::Int64)?.as_primitive().clone())
    }

    /// An argument as exact numbers with so many digits behind the point.
    pub fn decimals(&self, place: usize, scale: i8) -> Result<Decimal128Array> {
        Ok(cast(self.array(place)?, &DataType::Decimal128(38, scale))?.as_primitive().clone())
    }

    /// Whether an argument is a moment with a zone.
    pub fn is_zoned(&self, place: usize) -> bool {
        self.arrays.get(place).is_some_and(|array| is_zoned(array.data_type()))
    }

    /// How texts of dates and times are read.
    pub fn reading(&self) -> Result<Reading> {
        Reading::new(&self.zone, None).map_err(carried)
    }

    /// An argument as moments: dates at midnight, texts as they are read, moments with a zone as the session's clocks
    /// show them.
    pub fn moments(&self, place: usize) -> Result<TimestampMicrosecondArray> {
        let array = self.array(place)?;
        if array.data_type().is_string() {
            let texts = self.texts(place)?;
            let reading = self.reading()?;
            let read = |text: &str| datetime::timestamp(text, &reading).map_err(carried);
            return texts.iter().map(|text| text.map(read).transpose()).collect();
        }
        if !is_zoned(array.data_type()) {
            return Ok(cast(array, &MOMENT)?.as_primitive::<TimestampMicrosecondType>().clone());
        }
        let utc = cast(array, &zoned())?;
        let zone = zone_of(&self.zone)?;
        let local = |micros: Option<i64>| micros.and_then(|micros| in_zone(micros, &zone));
        Ok(utc.as_primitive::<TimestampMicrosecondType>().iter().map(local).collect())
    }
}

/// Whether a type is that of moments with a zone.
pub fn is_zoned(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(_)))
}

/// A time zone by its name. 22023.
pub fn zone_of(name: &str) -> Result<Tz> {
    let unknown = |_| carried(Error::new(Kind::InvalidParameter, format!("time zone \"{name}\" not recognized")));
    name.parse().map_err(unknown)
}

/// What clocks of a zone show at a moment in UTC.
pub fn in_zone(utc: i64, zone: &Tz) -> Option<i64> {
    let offset = zone.offset_from_utc_datetime(&clock(utc)?).fix();
    Some(utc + i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// The moment at which clocks of a zone show this: the later one where they show it twice, as in Postgres the one after
/// the gap where they never do.
pub fn from_zone(local: i64, zone: &Tz) -> Option<i64> {
    let shown = clock(local)?;
    let found = zone.offset_from_local_datetime(&shown);
    let offset = match found.latest() {
        Some(offset) => offset.fix(),
        None => zone.offset_from_utc_datetime(&clock(local - 3_600_000_000)?).fix(),
    };
    Some(local - i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// Microseconds since 1970 as a calendar and a clock show them.
pub fn clock(micros: i64) -> Option<NaiveDateTime> {
    chrono::DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc())
}
