//! UPDATE, DELETE and TRUNCATE: each is a query that finds the touched rows, performed by [`crate::rewrite`].

use crate::assign::{assignments, old_values};
use crate::merge;
use crate::rewrite::{Again, DELETE, Rewrite, UPDATE, extras};
use crate::rights;
use crate::table::parts_of;
use datafusion::common::ScalarValue;
use tidegate_catalog::{Change, Guarded, Part, Relation, RelationKind, Rights, TableSpec};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr, Ident, SelectItem, TableFactor};
use tidegate_parser::{Written, fold, name_parts};
use tidegate_query::{Described, Need, Outcome, RowsTag, Scope, TARGET, Work, undefined_table};

/// The table whose rows a statement changes.
pub struct Target {
    /// The relation.
    pub relation: Relation,
    /// Its definition as a table.
    pub spec: TableSpec,
    /// What the statement calls it.
    pub alias: Ident,
}

impl Target {
    /// The table as it stands in FROM: its rows have places there, and nowhere else in the statement.
    pub fn factor(&self) -> Result<TableFactor> {
        let query = tidegate_parser::parse_query(&format!("SELECT 1 FROM \"{TARGET}\" AS {}", self.alias))?;
        match *query.body {
            ast::SetExpr::Select(select) => select.from.into_iter().next().map(|table| table.relation),
            _ => None,
        }
        .ok_or_else(|| Error::internal("a SELECT without its table"))
    }
}

/// Performs UPDATE, DELETE or MERGE, and its RETURNING.
pub async fn execute(work: &mut Work<'_>, written: Written<'_>, values: &[ScalarValue]) -> Result<Option<Outcome>> {
    if let ast::Statement::Delete(delete) = written.statement
        && delete.selection.is_none()
        && delete.using.is_none()
        && delete.returning.is_none()
    {
        let relation = target(&work.scope, &deleted_from(delete)?.relation)?.relation;
        work.scope.require(&Guarded::Relation(&relation), Need::All(Rights::DELETE))?;
        if !work.scope.is_guarded(&relation)? {
            let rows = remove_all(work, &relation)?;
            return Ok(Some(Outcome::Done { tag: RowsTag::Delete.text(rows) }));
        }
    }
    if let ast::Statement::Merge(merge) = written.statement
        && merge::removes_duplicates(merge)
    {
        return merge::replace(work, written.with, merge, values).await.map(Some);
    }
    match lower(&work.scope, written)? {
        Some(rewrite) => rewrite.perform(work, values).await.map(Some),
        None => Ok(None),
    }
}

/// The types of a statement's parameters, and the columns of its RETURNING.
pub async fn describe(scope: &Scope, written: Written<'_>, told: &[Option<u32>]) -> Result<Option<Described>> {
    match lower(scope, written)? {
        Some(rewrite) => rewrite.describe(scope, written.statement, told).await.map(Some),
        None => Ok(None),
    }
}

/// The query that finds what a statement touches. None: it is none of ours.
fn lower(scope: &Scope, written: Written<'_>) -> Result<Option<Rewrite>> {
    match written.statement {
        ast::Statement::Update(statement) => update(scope, written.with, statement).map(Some),
        ast::Statement::Delete(statement) => delete(scope, written.with, statement).map(Some),
        ast::Statement::Merge(statement) if merge::removes_duplicates(statement) => {
            merge::lower_removal(scope, written.with, statement).map(Some)
        }
        ast::Statement::Merge(statement) => merge::lower(scope, written.with, statement).map(Some),
        _ => Ok(None),
    }
}

fn update(scope: &Scope, with: Option<&ast::With>, update: &ast::Update) -> Result<Rewrite> {
    let target = target(scope, &update.table.relation)?;
    rights::update(scope, &target.relation, update)?;
    let refused = [("LIMIT", update.limit.is_some()), ("OUTPUT", update.output.is_some())];
    refuse(&refused, "UPDATE")?;
    let from = match &update.from {
        Some(ast::UpdateTableFromKind::BeforeSet(tables) | ast::UpdateTableFromKind::AfterSet(tables)) => {
            tables.as_slice()
        }
        None => &[],
    };
    let assigned = assignments(&target, &update.assignments)?;
    let again = if is_strict(scope) { Again::Refused } else { Again::Ignored };
    let mut tables = [std::slice::from_ref(&update.table), from].concat();
    put_target(&mut tables, &target)?;
    Ok(Rewrite {
        with: with.cloned(),
        action: literal(UPDATE),
        values: Some(assigned.values(&target)),
        extras: extras(&tables, update.returning.is_some()),
        assigned: assigned.parameters,
        from: tables,
        selection: update.selection.clone(),
        returning: update.returning.clone(),
        source_first: false,
        again,
        tag: RowsTag::Update,
        target,
    })
}

fn delete(scope: &Scope, with: Option<&ast::With>, delete: &ast::Delete) -> Result<Rewrite> {
    let refused = [("LIMIT", delete.limit.is_some()), ("ORDER BY", !delete.order_by.is_empty())];
    refuse(&refused, "DELETE")?;
    let table = deleted_from(delete)?;
    let target = target(scope, &table.relation)?;
    rights::delete(scope, &target.relation, delete)?;
    let mut tables: Vec<_> = std::iter::once(table).chain(delete.using.iter().flatten()).cloned().collect();
    put_target(&mut tables, &target)?;
    Ok(Rewrite {
        with: with.cloned(),
        action: literal(DELETE),
        values: delete.returning.is_some().then(|| old_values(&target)),
        extras: extras(&tables, delete.returning.is_some()),
        assigned: Vec::new(),
        from: tables,
        selection: delete.selection.clone(),
        returning: delete.returning.clone(),
        source_first: false,
        again: Again::Ignored,
        tag: RowsTag::Delete,
        target,
    })
}

/// Gives the first table its places.
fn put_target(tables: &mut [ast::TableWithJoins], target: &Target) -> Result<()> {
    if let Some(first) = tables.first_mut() {
        first.relation = target.factor()?;
    }
    Ok(())
}

fn deleted_from(delete: &ast::Delete) -> Result<&ast::TableWithJoins> {
    let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
    match tables.as_slice() {
        [table] if delete.tables.is_empty() && table.joins.is_empty() => Ok(table),
        _ => Err(Error::new(Kind::Unsupported, "DELETE names one table").hint("Name others behind USING.")),
    }
}

/// Whether an UPDATE whose FROM has several rows for one of the table's is refused, as Redshift's setting has it.
fn is_strict(scope: &Scope) -> bool {
    scope.settings.iter().any(|(name, value, _)| name == "error_on_nondeterministic_update" && value == "on")
}

/// 0A000 for clauses that are not offered.
pub fn refuse(clauses: &[(&str, bool)], statement: &str) -> Result<()> {
    match clauses.iter().find(|(_, given)| *given) {
        Some((clause, _)) => Err(Error::new(Kind::Unsupported, format!("{statement} with {clause} is not supported"))),
        None => Ok(()),
    }
}

/// TRUNCATE.
pub fn truncate(work: &mut Work<'_>, truncate: &ast::Truncate) -> Result<()> {
    for target in &truncate.table_names {
        let relation = work.relation(&target.name, Need::All(Rights::TRUNCATE))?;
        table_spec(&relation)?;
        remove_all(work, &relation)?;
    }
    Ok(())
}

fn remove_all(work: &mut Work<'_>, relation: &Relation) -> Result<u64> {
    let parts = parts_of(work.state(), relation);
    let rows = parts.iter().map(Part::rows).sum();
    let files: Vec<u64> = parts.iter().map(Part::id).collect();
    if !files.is_empty() {
        work.push(vec![Change::RemoveFiles { table: relation.oid, revision: relation.revision, files }])?;
    }
    Ok(rows)
}

/// The definition of a managed table; 42809 for another relation.
pub fn table_spec(relation: &Relation) -> Result<TableSpec> {
    match &relation.kind {
        RelationKind::Table(spec) => Ok(spec.clone()),
        other => {
            Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is a {}, not a table", relation.name, other.noun())))
        }
    }
}

/// The table that a statement names to be changed. 42P01, 42809.
pub fn target(scope: &Scope, factor: &TableFactor) -> Result<Target> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return Err(Error::new(Kind::Syntax, "a table's name is expected here"));
    };
    let parts = name_parts(name);
    let Some(relation) = scope.find_parts(&parts).cloned() else { return Err(not_found(&parts)) };
    let spec = table_spec(&relation)?;
    let alias = alias.as_ref().map_or_else(|| quoted(&relation.name), |alias| quoted(&fold(&alias.name)));
    Ok(Target { relation, spec, alias })
}

/// 42P01, or 42501 for a table of the system, as in Postgres.
fn not_found(parts: &[String]) -> Error {
    let name = parts.join(".");
    let last = parts.last().map_or("", String::as_str);
    let system = parts.iter().any(|part| part == "pg_catalog" || part == "information_schema");
    if system || ["pg_", "stl_", "stv_", "svv_", "sys_"].iter().any(|prefix| last.starts_with(prefix)) {
        return Error::new(Kind::InsufficientPrivilege, format!("permission denied: \"{name}\" is a system catalog"));
    }
    undefined_table(&name)
}

/// An identifier that means exactly this name.
pub fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// A column of the table that is changed.
pub fn of(alias: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![alias.clone(), quoted(column)])
}

/// A whole number as an expression.
pub fn literal(number: i64) -> Expr {
    Expr::Value(ast::Value::Number(number.to_string(), false).into())
}

/// `expr AS "name"`.
pub fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(name) }
}
