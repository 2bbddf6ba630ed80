//! The definition of a table as CREATE TABLE and ALTER TABLE write it, made into the catalog's columns and keys.
//!
//! Rules and limits are Redshift's (CREATE TABLE); it decides nothing that needs the catalog.

use std::collections::HashSet;
use tidegate_catalog::{Column, DistStyle, Encoding, Identity, NAME_BYTES_MAX, SortKey, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{
    ColumnAttribute, DistStyleWord, SortKeyClause, TableAttributes, ast, fold, name_parts, only_one_dist_key,
};
use tidegate_query::sql_type::{distinct, sql_type};

/// Most columns of a table.
const COLUMNS_MAX: usize = 1600;
/// Most columns of a compound sort key.
const COMPOUND_MAX: usize = 400;
/// Most columns of an interleaved sort key.
const INTERLEAVED_MAX: usize = 8;
/// Characters that Delta and Parquet's readers do not take in a column's name.
const FORBIDDEN: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// What the columns of CREATE TABLE say.
#[derive(Debug, Default)]
pub struct Declared {
    /// The columns.
    pub columns: Vec<Column>,
    /// Those marked DISTKEY.
    pub dist_keys: Vec<String>,
    /// Those marked SORTKEY.
    pub sort_keys: Vec<String>,
    /// What is said of the rows.
    pub constraints: Vec<DeclaredConstraint>,
}

/// A constraint as written.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredConstraint {
    /// Its name, if it has been given one.
    pub name: Option<String>,
    /// Of which columns.
    pub columns: Vec<String>,
    /// What it says.
    pub kind: DeclaredKind,
}

/// What a constraint as written says.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredKind {
    /// PRIMARY KEY.
    PrimaryKey,
    /// UNIQUE.
    Unique,
    /// REFERENCES another table, and its columns where they are named.
    References(ast::ObjectName, Vec<String>),
}

impl Declared {
    /// Of a list of columns and the constraints beside them.
    pub fn of(definitions: &[ast::ColumnDef], constraints: &[ast::TableConstraint]) -> Result<Self> {
        let mut declared = Declared::default();
        for definition in definitions {
            let column = declared.column(definition)?;
            declared.columns.push(column);
        }
        for constraint in constraints {
            declared.constraints.push(DeclaredConstraint::of(constraint)?);
        }
        declared.columns = distinct(declared.columns)?;
        let primary = |one: &&DeclaredConstraint| one.kind == DeclaredKind::PrimaryKey;
        if declared.constraints.iter().filter(primary).count() > 1 {
            return Err(Error::new(Kind::InvalidDefinition, "multiple primary keys for a table are not allowed"));
        }
        for constraint in declared.constraints.iter().filter(primary) {
            let is_in = |column: &&mut Column| constraint.columns.contains(&column.name);
            declared.columns.iter_mut().filter(is_in).for_each(|column| column.not_null = true);
        }
        check_columns(&declared.columns)?;
        Ok(declared)
    }

    fn column(&mut self, definition: &ast::ColumnDef) -> Result<Column> {
        let mut column = match serial(&definition.data_type) {
            Some(sql_type) => {
                let identity = Some(Identity { seed: 1, step: 1, by_default: true });
                Column { identity, not_null: true, ..Column::new(fold(&definition.name), sql_type) }
            }
            None => Column::new(fold(&definition.name), sql_type(&definition.data_type)?),
        };
        let mut nullable = false;
        for ast::ColumnOptionDef { name, option } in &definition.options {
            let mut constrain = |kind| {
                let columns = vec![column.name.clone()];
                self.constraints.push(DeclaredConstraint { name: name.as_ref().map(fold), columns, kind });
            };
            match option {
                ast::ColumnOption::NotNull => column.not_null = true,
                ast::ColumnOption::Null => nullable = true,
                ast::ColumnOption::Default(expression) => column.default = Some(default_text(expression)?),
                ast::ColumnOption::PrimaryKey(_) => {
                    column.not_null = true;
                    constrain(DeclaredKind::PrimaryKey);
                }
                ast::ColumnOption::Unique(_) => constrain(DeclaredKind::Unique),
                ast::ColumnOption::ForeignKey(key) => constrain(references(key)),
                ast::ColumnOption::Collation(name) => collation(name)?,
                other => match ColumnAttribute::of(other) {
                    Some(attribute) => self.attribute(&mut column, attribute)?,
                    None => {
                        let message = format!("column option {other} of column \"{}\" is not supported", column.name);
                        return Err(Error::new(Kind::Unsupported, message));
                    }
                },
            }
        }
        check_column(&column, nullable)?;
        Ok(column)
    }

    fn attribute(&mut self, column: &mut Column, attribute: ColumnAttribute) -> Result<()> {
        match attribute {
            ColumnAttribute::Encode(name) => column.encoding = encoding(&name, column)?,
            ColumnAttribute::DistKey => self.dist_keys.push(column.name.clone()),
            ColumnAttribute::SortKey => self.sort_keys.push(column.name.clone()),
            ColumnAttribute::Identity { seed, step, by_default } => {
                column.identity = Some(Identity { seed, step, by_default });
                column.not_null = true;
            }
        }
        Ok(())
    }
}

impl DeclaredConstraint {
    /// A constraint of the table. 0A000 for one that the warehouse does not have.
    pub fn of(constraint: &ast::TableConstraint) -> Result<Self> {
        let names = |columns: &[ast::IndexColumn]| columns.iter().map(|one| one.column.expr.to_string()).collect();
        let plain = |columns: &[ast::IndexColumn]| -> Vec<String> {
            let column = |one: &ast::IndexColumn| match &one.column.expr {
                ast::Expr::Identifier(ident) => Some(fold(ident)),
                _ => None,
            };
            columns.iter().map(column).collect::<Option<_>>().unwrap_or_else(|| names(columns))
        };
        let (name, columns, kind) = match constraint {
            ast::TableConstraint::PrimaryKey(key) => (&key.name, plain(&key.columns), DeclaredKind::PrimaryKey),
            ast::TableConstraint::Unique(key) => (&key.name, plain(&key.columns), DeclaredKind::Unique),
            ast::TableConstraint::ForeignKey(key) => {
                (&key.name, key.columns.iter().map(fold).collect(), references(key))
            }
            other => {
                let message = format!("constraint {other} is not supported");
                return Err(Error::new(Kind::Unsupported, message).hint("NOT NULL is the only constraint that holds."));
            }
        };
        Ok(DeclaredConstraint { name: name.as_ref().map(fold), columns, kind })
    }
}

fn references(key: &ast::ForeignKeyConstraint) -> DeclaredKind {
    DeclaredKind::References(key.foreign_table.clone(), key.referred_columns.iter().map(fold).collect())
}

/// Postgres' SERIAL, as the identity that it is.
fn serial(data_type: &ast::DataType) -> Option<SqlType> {
    let ast::DataType::Custom(name, _) = data_type else { return None };
    match name_parts(name).pop()?.as_str() {
        "smallserial" | "serial2" => Some(SqlType::Int2),
        "serial" | "serial4" => Some(SqlType::Int4),
        "bigserial" | "serial8" => Some(SqlType::Int8),
        _ => None,
    }
}

/// A default's text. 0A000 for one that is not the same for all rows of a statement.
pub fn default_text(expression: &ast::Expr) -> Result<String> {
    let mut refused = None;
    let _ = ast::visit_expressions(expression, |part| {
        match part {
            ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
                refused = Some("a subquery");
            }
            ast::Expr::Identifier(ident) if ident.quote_style.is_some() || !is_constant(&ident.value) => {
                refused = Some("a column reference");
            }
            ast::Expr::CompoundIdentifier(_) => refused = Some("a column reference"),
            _ => {}
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    match refused {
        Some(what) => Err(Error::new(Kind::Unsupported, format!("cannot use {what} in DEFAULT expression"))),
        None => Ok(expression.to_string()),
    }
}

/// Words that look like a column's name and are functions without parentheses.
fn is_constant(word: &str) -> bool {
    let known = ["sysdate", "current_user", "session_user", "user", "current_date", "current_timestamp", "localtime"];
    known.iter().any(|name| word.eq_ignore_ascii_case(name))
}

fn collation(name: &ast::ObjectName) -> Result<()> {
    match name_parts(name).pop().as_deref() {
        Some("case_sensitive" | "cs" | "C" | "c" | "posix" | "default") => Ok(()),
        _ => Err(Error::new(Kind::Unsupported, format!("COLLATE {name} is not supported"))
            .hint("Compare with lower(column), or leave COLLATE out.")),
    }
}

/// An encoding by its name, for a column. 0A000 for AUTO of one column, 42611 where the type does not take it.
pub fn encoding(name: &str, column: &Column) -> Result<Option<Encoding>> {
    if name.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let unknown = || Error::new(Kind::UndefinedObject, format!("encoding \"{name}\" does not exist"));
    let encoding: Encoding = name.parse().map_err(|()| unknown())?;
    if !encoding.suits(&column.sql_type) {
        let message =
            format!("encoding {encoding} does not suit column \"{}\" of type {}", column.name, column.sql_type);
        return Err(Error::new(Kind::InvalidColumnDefinition, message)
            .hint("Leave ENCODE out, and the encoding is chosen by the type."));
    }
    Ok(Some(encoding))
}

fn check_column(column: &Column, nullable: bool) -> Result<()> {
    let contradiction = |what: &str| {
        let message = format!("{what} for column \"{}\"", column.name);
        Err(Error::new(Kind::InvalidColumnDefinition, message))
    };
    if let Some(identity) = column.identity {
        if !matches!(column.sql_type, SqlType::Int2 | SqlType::Int4 | SqlType::Int8) {
            return contradiction("IDENTITY needs a type of whole numbers");
        }
        if identity.step == 0 {
            return contradiction("the step of IDENTITY must not be 0");
        }
        if column.default.is_some() {
            return contradiction("both DEFAULT and IDENTITY are given");
        }
    }
    match nullable && column.not_null {
        true => contradiction("conflicting NULL/NOT NULL declarations"),
        false => Ok(()),
    }
}

/// What is so of the columns of every table, however it came by them.
pub fn check_columns(columns: &[Column]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::new(Kind::InvalidDefinition, "a table needs at least one column"));
    }
    if columns.len() > COLUMNS_MAX {
        let message = format!("tables can have at most {COLUMNS_MAX} columns");
        return Err(Error::new(Kind::ProgramLimit, message));
    }
    columns.iter().try_for_each(|column| check_name(&column.name))?;
    match columns.iter().find(|column| matches!(column.sql_type, SqlType::Nested(_))) {
        Some(column) => {
            let message = format!("column \"{}\" of type {} cannot be stored in a table", column.name, column.sql_type);
            Err(Error::new(Kind::Unsupported, message))
        }
        None => Ok(()),
    }
}

/// 42622 for a name that is too long, 42601 for one that is none.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(Kind::Syntax, "zero-length delimited identifier"));
    }
    match name.len() > NAME_BYTES_MAX {
        true => Err(Error::new(Kind::NameTooLong, format!("identifier \"{name}\" is too long"))
            .hint(format!("A name has at most {NAME_BYTES_MAX} bytes."))),
        false => Ok(()),
    }
}

/// A column's name in files where it cannot be its own: Delta forbids a character, or another column has or had it.
pub fn physical_name(name: &str, taken: &HashSet<String>) -> Option<String> {
    let base = name.replace(FORBIDDEN, "_");
    let numbered = (2..).map(|number| format!("{base}_{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|candidate| !taken.contains(candidate))?;
    (free != name).then_some(free)
}

/// Gives each column its name in files.
pub fn place_in_files(columns: &mut [Column]) {
    let mut taken: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
    for column in columns.iter_mut().filter(|column| column.name.contains(FORBIDDEN)) {
        column.physical = physical_name(&column.name, &taken);
        taken.extend(column.physical.clone());
    }
}

/// The distribution of a table. 42P16 for what contradicts itself.
pub fn dist_style(attributes: &TableAttributes, marked: &[String], columns: &[Column]) -> Result<DistStyle> {
    let named = attributes.dist_key.as_ref().map(fold);
    let keys: Vec<&String> = marked.iter().chain(&named).collect();
    let wrong = |message: &str| Err(Error::new(Kind::InvalidDefinition, message));
    match (attributes.dist_style, keys.as_slice()) {
        (_, [_, _, ..]) => Err(only_one_dist_key()),
        (None | Some(DistStyleWord::Key), [key]) => Ok(DistStyle::Key(key_column(columns, key, "DISTKEY")?)),
        (Some(DistStyleWord::Key), []) => wrong("DISTSTYLE KEY needs a DISTKEY column"),
        (Some(_), [_]) => wrong("DISTKEY cannot be used with a DISTSTYLE other than KEY"),
        (None | Some(DistStyleWord::Auto), []) => Ok(DistStyle::Auto),
        (Some(DistStyleWord::Even), []) => Ok(DistStyle::Even),
        (Some(DistStyleWord::All), []) => Ok(DistStyle::All),
    }
}

/// The sort key of a table. 42P16 for what contradicts itself.
pub fn sort_key(clause: Option<&SortKeyClause>, marked: &[String], columns: &[Column]) -> Result<SortKey> {
    let wrong = |message: String| Err(Error::new(Kind::InvalidDefinition, message));
    let (names, interleaved): (Vec<String>, bool) = match (clause, marked) {
        (None | Some(SortKeyClause::Auto), []) => return Ok(SortKey::default()),
        (Some(SortKeyClause::None), []) => return Ok(SortKey { none: true, ..SortKey::default() }),
        (None, [only]) => (vec![only.clone()], false),
        (None, _) => return wrong("only one column can be marked SORTKEY; list several in SORTKEY (…)".into()),
        (Some(_), [_, ..]) => return wrong("SORTKEY of a column and of the table cannot be used together".into()),
        (Some(SortKeyClause::Compound(names)), []) => (names.iter().map(fold).collect(), false),
        (Some(SortKeyClause::Interleaved(names)), []) => (names.iter().map(fold).collect(), true),
    };
    let most = if interleaved { INTERLEAVED_MAX } else { COMPOUND_MAX };
    if names.len() > most {
        let kind = if interleaved { "interleaved" } else { "compound" };
        return wrong(format!("{kind} sort keys can have at most {most} columns"));
    }
    let mut found = Vec::with_capacity(names.len());
    for name in &names {
        let column = key_column(columns, name, "SORTKEY")?;
        if found.contains(&column) {
            return Err(Error::new(Kind::DuplicateColumn, format!("column \"{name}\" appears twice in SORTKEY")));
        }
        found.push(column);
    }
    Ok(SortKey { columns: found, interleaved, none: false })
}

/// The name in files of a column that is to be a key. 42703, or 42P16 for a type that cannot be one.
fn key_column(columns: &[Column], name: &str, what: &str) -> Result<String> {
    let missing = || Error::new(Kind::UndefinedColumn, format!("column \"{name}\" named in {what} does not exist"));
    let column = columns.iter().find(|column| column.name == name).ok_or_else(missing)?;
    match column.sql_type {
        SqlType::Bytea
        | SqlType::Json
        | SqlType::Super
        | SqlType::Array(_)
        | SqlType::Interval
        | SqlType::Nested(_) => {
            let message = format!("column \"{name}\" of type {} cannot be a {what}", column.sql_type);
            Err(Error::new(Kind::InvalidDefinition, message))
        }
        _ => Ok(column.in_files().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![Column::new("a", SqlType::Int4), Column::new("b", SqlType::Varchar(9)), Column::new("c", SqlType::Bytea)]
    }

    #[test]
    fn names_in_files() {
        let taken: HashSet<String> = ["a", "a_2", "b_c"].map(String::from).into();
        let cases = [("x", None), ("a", Some("a_3")), ("b c", Some("b_c_2")), ("(x)", Some("_x_"))];
        for (name, expected) in cases {
            assert_eq!(physical_name(name, &taken).as_deref(), expected, "{name}");
        }
        let mut columns = ["a b", "a,b", "a_b"].map(|name| Column::new(name, SqlType::Int4));
        place_in_files(&mut columns);
        assert_eq!(columns.each_ref().map(Column::in_files), ["a_b_2", "a_b_3", "a_b"]);
    }

    #[test]
    fn keys_that_contradict_themselves() {
        let named = |style, key: Option<&str>| TableAttributes {
            dist_style: style,
            dist_key: key.map(ast::Ident::new),
            ..TableAttributes::default()
        };
        let b = || vec!["b".to_string()];
        let cases = [
            (named(None, None), vec![], Ok(DistStyle::Auto)),
            (named(None, Some("a")), vec![], Ok(DistStyle::Key("a".into()))),
            (named(Some(DistStyleWord::Key), None), b(), Ok(DistStyle::Key("b".into()))),
            (named(Some(DistStyleWord::Key), None), vec![], Err(Kind::InvalidDefinition)),
            (named(Some(DistStyleWord::All), Some("a")), vec![], Err(Kind::InvalidDefinition)),
            (named(None, Some("a")), b(), Err(Kind::InvalidDefinition)),
            (named(None, Some("c")), vec![], Err(Kind::InvalidDefinition)),
            (named(None, Some("z")), vec![], Err(Kind::UndefinedColumn)),
        ];
        for (attributes, marked, expected) in cases {
            let found = dist_style(&attributes, &marked, &columns()).map_err(|error| error.kind());
            assert_eq!(found, expected, "{attributes:?} {marked:?}");
        }
    }
}
