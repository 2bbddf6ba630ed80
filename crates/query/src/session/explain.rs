//! What a client is told of an error beside its message: where in the statement, and what was probably meant.

use super::Session;
use tidegate_catalog::Schema;
use tidegate_core::{Error, Kind, nearest};
use tidegate_parser::Piece;

impl Session {
    /// The error with its place in the script, and for a table that is not there the one whose name is nearest.
    pub(super) fn explained(&self, error: Error, piece: &Piece) -> Error {
        let named = quoted(&error).filter(|_| error.kind() == Kind::UndefinedTable && error.hint_text().is_none());
        let near = named.and_then(|name| self.nearest_relation(name));
        let error = match near {
            Some(near) => error.hint(format!("Perhaps you meant \"{near}\".")),
            None => error,
        };
        placed(error, piece)
    }

    /// The relation that a name was meant to be: of its schema, or of one that is looked through.
    fn nearest_relation(&self, name: &str) -> Option<String> {
        let scope = self.scope().ok()?;
        let (schema, bare) = name.rsplit_once('.').map_or((None, name), |(schema, bare)| (Some(schema), bare));
        let within = |oid| {
            let found = scope.state.get::<Schema>(oid).filter(|found| scope.may_use(found));
            found.is_some_and(|found| match schema {
                Some(schema) => found.name == schema,
                None => scope.search_path.contains(&found.name),
            })
        };
        let here = scope.state.relations().filter(|relation| within(relation.schema));
        let near = nearest(bare, here.map(|relation| relation.name.as_str()))?;
        Some(schema.map_or_else(|| near.to_string(), |schema| format!("{schema}.{near}")))
    }
}

fn quoted(error: &Error) -> Option<&str> {
    error.message().split('"').nth(1)
}

/// An error about a name points at the name.
fn placed(error: Error, piece: &Piece) -> Error {
    let named =
        matches!(error.kind(), Kind::UndefinedTable | Kind::UndefinedColumn | Kind::UndefinedFunction | Kind::Grouping);
    if error.position().is_some() || !named {
        return error;
    }
    let function = || error.message().strip_prefix("function ").and_then(|rest| rest.split(' ').next());
    match quoted(&error).or_else(function).and_then(|name| piece.position_of(name)) {
        Some(position) => error.at(position),
        None => error,
    }
}
