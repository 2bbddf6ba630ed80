//! SET, RESET and SHOW.

use super::Session;
use crate::dispatch::unsupported;
use crate::outcome::Outcome;
use crate::planner::text_rows;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use tidegate_core::{Result, shown_setting};
use tidegate_parser::{ast, fold, name_parts};

impl Session {
    pub(super) fn set(&mut self, set: ast::Set) -> Result<Outcome> {
        match set {
            ast::Set::SingleAssignment { variable, values, .. } => {
                let name = name_parts(&variable).join(".");
                match values.as_slice() {
                    [ast::Expr::Identifier(word)] if fold(word) == "default" => self.variables.reset(&name)?,
                    values => {
                        let texts: Vec<String> = values.iter().map(plain_text).collect();
                        self.variables.set(&name, &texts.join(", "))?;
                    }
                }
            }
            ast::Set::SetTimeZone { value, .. } => self.set_zone(&value)?,
            ast::Set::SetRole { role_name, .. } => self.take_role(role_name.map(|name| fold(&name)))?,
            ast::Set::SetSessionAuthorization(param) => self.authorize(match param.kind {
                ast::SetSessionAuthorizationParamKind::Default => None,
                ast::SetSessionAuthorizationParamKind::User(name) => Some(fold(&name)),
            })?,
            // Snapshot isolation whatever is asked for, as drivers ask for several.
            ast::Set::SetTransaction { modes, session, .. } => self.set_modes(&modes, session)?,
            other => return Err(unsupported(&other.to_string())),
        }
        Ok(Outcome::Done { tag: "SET".to_string() })
    }

    /// SET TIME ZONE, which takes an interval, too.
    fn set_zone(&mut self, value: &ast::Expr) -> Result<()> {
        let zone = match value {
            ast::Expr::Identifier(word) if matches!(fold(word).as_str(), "local" | "default") => {
                return self.variables.reset("timezone");
            }
            ast::Expr::Interval(interval) => plain_text(&interval.value),
            value => plain_text(value),
        };
        self.variables.set("timezone", &zone)
    }

    pub(super) fn reset(&mut self, reset: ast::Reset) -> Result<Outcome> {
        match reset {
            ast::Reset::ALL => self.variables.reset_all(),
            ast::Reset::ConfigurationParameter(name) if name_parts(&name) == ["role"] => self.take_role(None)?,
            ast::Reset::ConfigurationParameter(name) => self.variables.reset(&name_parts(&name).join("."))?,
        }
        Ok(Outcome::Done { tag: "RESET".to_string() })
    }

    pub(super) fn show_rows(&self, name: &str) -> Result<Outcome> {
        if name != "all" {
            return text_rows(&[name], vec![vec![shown_setting(name, &self.variables.get(name)?)]]);
        }
        let mut columns = vec![Vec::new(), Vec::new(), Vec::new()];
        for (name, setting, description) in self.variables.all() {
            for (column, value) in columns.iter_mut().zip([name, setting, description]) {
                column.push(value);
            }
        }
        text_rows(&["name", "setting", "description"], columns)
    }
}

/// `SHOW TIME ZONE` and `SHOW TRANSACTION ISOLATION LEVEL` have names of their own.
pub(super) fn setting_name(words: &[ast::Ident]) -> String {
    let name = words.iter().map(|word| fold(word).to_lowercase()).collect::<Vec<_>>().join(" ");
    match name.as_str() {
        "time zone" => "timezone".to_string(),
        "transaction isolation level" => "transaction_isolation".to_string(),
        _ => name,
    }
}

pub(super) fn show_schema(name: &str) -> SchemaRef {
    let names: &[&str] = if name == "all" { &["name", "setting", "description"] } else { &[name] };
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The text of a value in SET: of a string its inside, of anything else as written.
fn plain_text(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(value) => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        ast::Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    }
}
