//! `uuid`: to the engine a text, whose field says what it is.

use super::scalar::{Call, Scalar};
use crate::fault::carried;
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use sqlparser::ast::{DataType as SqlName, Expr};
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// The cast.
pub fn function() -> Scalar {
    Scalar::new("uuid_in", 1..=1, |_| DataType::Utf8, uuid).of_type("uuid")
}

/// Puts it in the places of casts.
pub fn rewrite(expr: &mut Expr) {
    let inner = match &*expr {
        Expr::Cast { data_type: SqlName::Uuid, expr: inner, .. } => inner.as_ref().clone(),
        Expr::TypedString(typed) if typed.data_type == SqlName::Uuid => Expr::Value(typed.value.clone()),
        _ => return,
    };
    *expr = crate::pg::build::call("uuid_in", vec![inner]);
}

/// 32 hexadecimal digits, in groups or braces or without, as Postgres reads them. 22P02.
fn uuid(call: &Call) -> Result<ArrayRef> {
    let read = |text: Option<&str>| text.map(canonical).transpose();
    Ok(Arc::new(call.texts(0)?.iter().map(read).collect::<Result<StringArray>>()?))
}

fn canonical(text: &str) -> Result<String> {
    let bare = text.trim();
    let bare = bare.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(bare);
    let digits: String = bare.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    // A hyphen may stand behind each group of four digits.
    let places = bare.char_indices().filter(|(_, c)| *c == '-').enumerate().map(|(nth, (at, _))| at - nth);
    let well_placed = places.clone().all(|place| place > 0 && place < 32 && place % 4 == 0);
    if digits.len() != 32 || !well_placed || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!("invalid input syntax for type uuid: \"{text}\"");
        return Err(carried(Error::new(Kind::InvalidText, message)));
    }
    let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok([group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_uuids() {
        let one = "11111111-2222-3333-4444-555555555555";
        for text in [one, "{11111111-2222-3333-4444-555555555555}", "11111111222233334444555555555555"] {
            assert_eq!(canonical(text).unwrap(), one);
        }
        for wrong in [
            "",
            "1111",
            "11111-111-2222-3333-4444-555555555555",
            "{11111111222233334444555555555555",
            "g1111111222233334444555555555555",
        ] {
            assert!(canonical(wrong).is_err(), "{wrong}");
        }
    }
}
