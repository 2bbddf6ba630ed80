//! What a managed table is beside its columns: where it lies, how its rows are spread and sorted, what is said of them.
//!
//! Names and defaults are Redshift's (CREATE TABLE).

use crate::object::Oid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A managed table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableSpec {
    /// URL of its folder; ends without a slash.
    pub location: String,
    /// The id in its Delta metadata.
    pub delta_id: String,
    /// DISTSTYLE and DISTKEY.
    #[serde(default)]
    pub dist: DistStyle,
    /// SORTKEY.
    #[serde(default)]
    pub sort_key: SortKey,
    /// BACKUP: whether snapshots hold it.
    #[serde(default = "yes")]
    pub backup: bool,
    /// PRIMARY KEY, UNIQUE and FOREIGN KEY: told to planners and tools, never enforced.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Names in files of columns that have been dropped: no other column may take one.
    #[serde(default)]
    pub dropped: Vec<String>,
    /// Whether a column's name in files has ever differed from its own: its Delta log maps columns by name from then on.
    #[serde(default)]
    pub mapped: bool,
}

fn yes() -> bool {
    true
}

impl TableSpec {
    /// A table that nothing else is known of.
    pub fn new(location: impl Into<String>, delta_id: impl Into<String>) -> Self {
        TableSpec {
            location: location.into(),
            delta_id: delta_id.into(),
            dist: DistStyle::Auto,
            sort_key: SortKey::default(),
            backup: true,
            constraints: Vec::new(),
            dropped: Vec::new(),
            mapped: false,
        }
    }
}

/// How a table's rows are spread over nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DistStyle {
    /// As the server thinks best.
    #[default]
    Auto,
    /// In turn.
    Even,
    /// All of them on each node.
    All,
    /// By the hash of a column, told by its name in files.
    Key(String),
}

/// The order of a table's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The columns' names in files; none: the order is nobody's matter.
    pub columns: Vec<String>,
    /// Each column weighs the same, rather than the first most.
    #[serde(default)]
    pub interleaved: bool,
    /// Chosen by SORTKEY NONE: there is no key, and the server may not choose one.
    #[serde(default)]
    pub none: bool,
}

impl SortKey {
    /// As `pg_table_def.sortkey` counts a column: its place from 1, alternating in sign when interleaved, 0 for none.
    pub fn place_of(&self, in_files: &str) -> i32 {
        let Some(index) = self.columns.iter().position(|column| column == in_files) else { return 0 };
        let place = i32::try_from(index).unwrap_or(i32::MAX - 1) + 1;
        // Redshift: "the values alternate between positive and negative" for an interleaved key.
        if self.interleaved && index % 2 == 1 { -place } else { place }
    }
}

/// Something said of a table's rows that nobody checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name, unique for the table.
    pub name: String,
    /// What it says.
    pub kind: ConstraintKind,
    /// Of which columns, by their names in files.
    pub columns: Vec<String>,
    /// Its number, which is also that of a key's index in `pg_class`; 0 where it was made before they had some.
    #[serde(default)]
    pub oid: Oid,
}

/// What a constraint says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// They tell rows apart and are never NULL.
    PrimaryKey,
    /// They tell rows apart.
    Unique,
    /// They are found in these columns of another table, by its number and their names in its files.
    ForeignKey(Oid, Vec<String>),
}

impl fmt::Display for ConstraintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConstraintKind::PrimaryKey => "PRIMARY KEY",
            ConstraintKind::Unique => "UNIQUE",
            ConstraintKind::ForeignKey(..) => "FOREIGN KEY",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_an_older_directory_opens() {
        let old = r#"{"location":"file:///t","delta_id":"x","attributes":{}}"#;
        assert_eq!(serde_json::from_str::<TableSpec>(old).unwrap(), TableSpec::new("file:///t", "x"));
    }

    #[test]
    fn places_in_a_sort_key() {
        let columns: Vec<String> = ["a", "b", "c"].map(String::from).into();
        let compound = SortKey { columns: columns.clone(), ..SortKey::default() };
        let interleaved = SortKey { columns, interleaved: true, none: false };
        for (name, expected) in [("a", (1, 1)), ("b", (2, -2)), ("c", (3, 3)), ("d", (0, 0))] {
            assert_eq!((compound.place_of(name), interleaved.place_of(name)), expected, "{name}");
        }
    }
}
