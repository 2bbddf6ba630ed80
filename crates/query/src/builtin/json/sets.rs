//! Functions over JSON that give rows. Each is a list of texts, and the engine's UNNEST around it: among a select's items
//! at once, in FROM as a subquery, which is a lateral one where it stands behind other tables.

use super::value::{Json, text_of};
use super::{read, row_error};
use crate::builtin::scalar::{Call, Scalar};
use crate::pg::build;
use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins,
};
use std::sync::Arc;
use tidegate_core::Kind;
use tidegate_parser::name_parts;

/// A function that gives rows: its columns, each with the list that it is made of, and the type of its items.
struct Set {
    name: &'static str,
    columns: &'static [(&'static str, &'static str, Of)],
}

/// What items are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Text,
    Json,
    Jsonb,
}

const SETS: &[Set] = &[
    Set { name: "json_array_elements", columns: &[("value", "json_items", Of::Json)] },
    Set { name: "jsonb_array_elements", columns: &[("value", "json_items", Of::Jsonb)] },
    Set { name: "json_array_elements_text", columns: &[("value", "json_item_texts", Of::Text)] },
    Set { name: "jsonb_array_elements_text", columns: &[("value", "json_item_texts", Of::Text)] },
    Set { name: "json_object_keys", columns: &[("json_object_keys", "json_keys", Of::Text)] },
    Set { name: "jsonb_object_keys", columns: &[("jsonb_object_keys", "json_keys", Of::Text)] },
    Set { name: "json_each", columns: &[("key", "json_each_keys", Of::Text), ("value", "json_each_values", Of::Json)] },
    Set {
        name: "jsonb_each",
        columns: &[("key", "json_each_keys", Of::Text), ("value", "json_each_values", Of::Jsonb)],
    },
    Set {
        name: "json_each_text",
        columns: &[("key", "json_each_keys", Of::Text), ("value", "json_each_texts", Of::Text)],
    },
    Set {
        name: "jsonb_each_text",
        columns: &[("key", "json_each_keys", Of::Text), ("value", "json_each_texts", Of::Text)],
    },
];

/// What stands for the rows of a list in a lateral subquery until the plan is known, the function whose list they are of,
/// and the function that says what an item is.
pub const EACH: &[(&str, &str, Option<&str>)] = &[
    ("each_of_json_items", "json_items", Some("json_of")),
    ("each_of_jsonb_items", "json_items", Some("jsonb_of")),
    ("each_of_json_item_texts", "json_item_texts", None),
    ("each_of_json_keys", "json_keys", None),
    ("each_of_json_each_keys", "json_each_keys", None),
    ("each_of_json_each_values", "json_each_values", Some("json_of")),
    ("each_of_jsonb_each_values", "json_each_values", Some("jsonb_of")),
    ("each_of_json_each_texts", "json_each_texts", None),
];

/// The lists, and what stands for their rows so that the planner knows the types.
pub fn functions() -> Vec<Scalar> {
    let list = |_: &[DataType]| DataType::new_list(DataType::Utf8, true);
    let text = |_: &[DataType]| DataType::Utf8;
    let mut all = vec![
        Scalar::new("json_items", 1..=2, list, |call| lists(call, Part::Items)),
        Scalar::new("json_item_texts", 1..=2, list, |call| lists(call, Part::ItemTexts)),
        Scalar::new("json_keys", 1..=2, list, |call| lists(call, Part::Keys)),
        Scalar::new("json_each_keys", 1..=2, list, |call| lists(call, Part::EachKeys)),
        Scalar::new("json_each_values", 1..=2, list, |call| lists(call, Part::Values)),
        Scalar::new("json_each_texts", 1..=2, list, |call| lists(call, Part::ValueTexts)),
    ];
    for (each, _, of) in EACH {
        let one = Scalar::new(each, 1..=1, text, misplaced);
        all.push(match *of {
            Some("json_of") => one.of_type("json"),
            Some(_) => one.of_type("jsonb"),
            None => one,
        });
    }
    all
}

fn misplaced(_: &Call) -> Result<ArrayRef> {
    Err(row_error(Kind::Unsupported, "a function over JSON that gives rows is not supported in this place of FROM"))
}

/// What of a value is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Items,
    ItemTexts,
    Keys,
    EachKeys,
    Values,
    ValueTexts,
}

/// With a second argument that is true, what has nothing has one row of NULL: for LEFT JOIN.
fn lists(call: &Call, part: Part) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let outer = match call.arrays.get(1) {
        Some(outer) => cast(outer, &DataType::Boolean)?.as_boolean().iter().next().flatten().unwrap_or(false),
        None => false,
    };
    let mut made = ListBuilder::new(StringBuilder::new());
    for document in &documents {
        let items = document.map(|document| listed(document, part)).transpose()?.unwrap_or_default();
        if items.is_empty() && outer {
            made.values().append_null();
        }
        for item in items {
            made.values().append_option(item);
        }
        made.append(true);
    }
    Ok(Arc::new(made.finish()))
}

fn listed(document: &str, part: Part) -> Result<super::Texts> {
    let whole = |raw: &serde_json::value::RawValue| Ok(Some(raw.get().to_string()));
    match (Json::read(document)?, part) {
        (Json::Array(items), Part::Items) => items.into_iter().map(whole).collect(),
        (Json::Array(items), Part::ItemTexts) => items.into_iter().map(text_of).collect(),
        (Json::Object(members), Part::Keys | Part::EachKeys) => {
            Ok(members.into_iter().map(|(name, _)| Some(name.into_owned())).collect())
        }
        (Json::Object(members), Part::Values) => members.into_iter().map(|(_, value)| whole(value)).collect(),
        (Json::Object(members), Part::ValueTexts) => members.into_iter().map(|(_, value)| text_of(value)).collect(),
        (other, Part::Items | Part::ItemTexts) => {
            let what = if other.is_scalar() { "a scalar" } else { "an object" };
            Err(row_error(Kind::InvalidParameter, &format!("cannot extract elements from {what}")))
        }
        (other, Part::Keys) => {
            let what = if other.is_scalar() { "a scalar" } else { "an array" };
            Err(row_error(Kind::InvalidParameter, &format!("cannot call json_object_keys on {what}")))
        }
        (other, _) => {
            let what = if other.is_scalar() { "a scalar" } else { "a non-object" };
            Err(row_error(Kind::InvalidParameter, &format!("cannot deconstruct {what}")))
        }
    }
}

/// Among a select's items: UNNEST of the list, if the function has one column.
pub fn rewrite_items(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = build::function_name(function);
    let Some(set) = SETS.iter().find(|set| set.name == name) else { return };
    let arguments = build::arguments(function);
    let ([(_, list, of)], Some([document])) = (set.columns, arguments.as_deref()) else { return };
    *expr = typed(build::call("unnest", vec![build::call(list, vec![(*document).clone()])]), *of);
}

fn typed(expr: Expr, of: Of) -> Expr {
    match of {
        Of::Text => expr,
        Of::Json => build::call("json_of", vec![expr]),
        Of::Jsonb => build::call("jsonb_of", vec![expr]),
    }
}

/// In FROM: a subquery of their columns.
pub fn read_sources(from: &mut [TableWithJoins]) {
    for (nth, table) in from.iter_mut().enumerate() {
        read_source(&mut table.relation, nth > 0);
        for join in &mut table.joins {
            read_source(&mut join.relation, true);
        }
    }
}

fn read_source(factor: &mut TableFactor, behind: bool) {
    if let Some(made) = source(factor, behind) {
        *factor = made;
    }
}

fn source(factor: &TableFactor, behind: bool) -> Option<TableFactor> {
    let (name, alias, arguments) = match factor {
        TableFactor::Table { name, alias, args: Some(args), with_ordinality: false, .. } => (name, alias, &args.args),
        TableFactor::Function { name, alias, args, .. } => (name, alias, args),
        _ => return None,
    };
    let name = name_parts(name).pop()?;
    let set = SETS.iter().find(|set| set.name == name)?;
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(document))] = arguments.as_slice() else { return None };
    let mut subquery = tidegate_parser::parse_query("SELECT 1").ok()?;
    let SetExpr::Select(select) = subquery.body.as_mut() else { return None };
    let is_jsonb = set.columns.iter().any(|(.., of)| *of == Of::Jsonb);
    let document = &if is_jsonb { read(document) } else { document.clone() };
    let table = alias.as_ref().map_or_else(|| Ident::new(set.name), |alias| alias.name.clone());
    let given: Vec<Ident> = alias.iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone()).collect();
    select.projection = set
        .columns
        .iter()
        .enumerate()
        .map(|(nth, (column, list, of))| {
            // What has no name of its own takes the table's (Postgres).
            let own = if *column == set.name { table.clone() } else { Ident::new(*column) };
            let expr = match behind {
                true => build::call(each_of(list, *of)?, vec![document.clone()]),
                false => typed(build::call("unnest", vec![build::call(list, vec![document.clone()])]), *of),
            };
            Some(SelectItem::ExprWithAlias { expr, alias: given.get(nth).cloned().unwrap_or(own) })
        })
        .collect::<Option<Vec<_>>>()?;
    let alias = TableAlias { explicit: true, name: table, columns: Vec::new(), at: None };
    Some(TableFactor::Derived { lateral: behind, subquery, alias: Some(alias), sample: None })
}

fn each_of(list: &str, of: Of) -> Option<&'static str> {
    let wanted = match of {
        Of::Text => None,
        Of::Json => Some("json_of"),
        Of::Jsonb => Some("jsonb_of"),
    };
    EACH.iter().find(|(_, made, typed)| *made == list && *typed == wanted).map(|(each, ..)| *each)
}
