//! The cluster: ALTER NODE.

use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::ident::fold;
use crate::statement::Statement;

/// `ALTER NODE n DRAIN`; the id as a name or as a string.
pub(crate) fn alter_node(cursor: &mut Cursor) -> Result<Statement> {
    let id = match cursor.take_string() {
        Some(text) => text,
        None => fold(&cursor.ident()?),
    };
    if !cursor.accept(&["DRAIN"]) {
        return Err(cursor.unknown_clause("ALTER NODE"));
    }
    Ok(Statement::DrainNode(id))
}
