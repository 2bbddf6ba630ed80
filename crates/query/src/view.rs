//! Views: made, replaced, bound to what they name, and dropped with it.
//!
//! A view's text stays as it was written. What its names stand for is kept beside it by number, with the columns that
//! were there: so a view goes on when a table or a column is renamed, `*` stands for what it stood for, and what it needs
//! is not dropped under it. A late-binding view (Redshift's WITH NO SCHEMA BINDING) keeps nothing, and looks its names up
//! when it is read.

use crate::access::Need;
use crate::ddl::{drop_one, new_relation, refuse_if_needed, replace};
use crate::planner::Planner;
use crate::scope::Scope;
use crate::temporary;
use crate::work::Work;
use datafusion::catalog::TableProvider;
use datafusion::common::Column as Reference;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::{
    Change, Column, ConstraintKind, ContinuousQuery, Guarded, Object, Oid, Relation, RelationKind, SqlType, State,
    ViewSpec, ViewUse,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Visit, Visitor};
use tidegate_parser::{fold, name_parts};

/// CREATE VIEW.
pub async fn create(work: &mut Work<'_>, view: &ast::CreateView) -> Result<()> {
    if view.materialized {
        return Err(Error::new(Kind::Unsupported, "only plain views are supported"));
    }
    // A view that outlives the session reads what does, too.
    let (name, scope) = match view.temporary {
        true => (temporary::place(work, &name_parts(&view.name))?, work.scope.clone()),
        false => (name_parts(&view.name), work.scope.lasting()),
    };
    let given: Vec<String> = view.columns.iter().map(|column| fold(&column.name)).collect();
    let mut spec = ViewSpec {
        query: view.query.to_string(),
        search_path: scope.search_path.clone(),
        late: view.with_no_schema_binding,
        names: given.clone(),
        uses: Vec::new(),
    };
    let columns = if spec.late {
        refuse_bare_names(&view.query)?;
        Vec::new()
    } else {
        spec.uses = uses(&scope, &view.query);
        columns(&scope, view, &given).await?
    };
    match work.scope.find_parts(&name).cloned().filter(|_| view.or_replace) {
        Some(old) => replace_view(work, old, columns, spec),
        None => {
            let made = new_relation(work, &name, view.if_not_exists, columns, |_| Ok(RelationKind::View(spec)))?;
            let put = made.map(|relation| Change::Put(Arc::new(Object::Relation(relation))));
            put.map_or(Ok(()), |put| work.push(vec![put]))
        }
    }
}

async fn columns(scope: &Scope, view: &ast::CreateView, given: &[String]) -> Result<Vec<Column>> {
    let plan = Planner::new(scope)?.plan(&ast::Statement::Query(view.query.clone())).await?;
    let fields = plan.schema().fields();
    if !given.is_empty() && given.len() != fields.len() {
        return Err(Error::new(Kind::Syntax, "CREATE VIEW names another number of columns than its query gives"));
    }
    let column = |(index, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let name = given.get(index).unwrap_or(field.name());
        Column::new(name.clone(), SqlType::of_field(field))
    };
    crate::sql_type::distinct(fields.iter().enumerate().map(column).collect())
}

/// OR REPLACE keeps what others may have built on: the columns' names, order and types; more may follow.
fn replace_view(work: &mut Work<'_>, old: Relation, columns: Vec<Column>, spec: ViewSpec) -> Result<()> {
    work.scope.require(&Guarded::Relation(&old), Need::Owner)?;
    let RelationKind::View(before) = &old.kind else {
        return Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is not a view", old.name)));
    };
    if !before.late && !spec.late {
        check_replaced(&old.columns, &columns)?;
    }
    if spec.uses.iter().any(|used| reaches(work.state(), used.relation, old.oid)) {
        let message = format!("view \"{}\" would read itself", old.name);
        return Err(Error::new(Kind::InvalidDefinition, message));
    }
    replace(work, old, |relation| (relation.columns, relation.kind) = (columns, RelationKind::View(spec)))
}

fn check_replaced(old: &[Column], new: &[Column]) -> Result<()> {
    let wrong = |message: String| Err(Error::new(Kind::InvalidDefinition, message));
    if new.len() < old.len() {
        return wrong("cannot drop columns from view".to_string());
    }
    for (old, new) in old.iter().zip(new) {
        if old.name != new.name {
            return wrong(format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name));
        }
        if old.sql_type != new.sql_type {
            return wrong(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name, old.sql_type, new.sql_type
            ));
        }
    }
    Ok(())
}

/// Whether a relation is another, or a view that reads it.
fn reaches(state: &State, from: Oid, to: Oid) -> bool {
    let through = |relation: &Relation| match &relation.kind {
        RelationKind::View(view) => view.uses.iter().any(|used| reaches(state, used.relation, to)),
        _ => false,
    };
    from == to || state.relation(from).is_some_and(through)
}

/// The names of relations in a query that are not those of its own WITH.
fn named(query: &ast::Query) -> Vec<Vec<String>> {
    #[derive(Default)]
    struct Names {
        relations: Vec<Vec<String>>,
        own: HashSet<String>,
    }
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.own.extend(tables.map(|table| fold(&table.alias.name)));
            ControlFlow::Continue(())
        }
        fn pre_visit_relation(&mut self, name: &ast::ObjectName) -> ControlFlow<()> {
            self.relations.push(name_parts(name));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names::default();
    // It never breaks off.
    let _ = query.visit(&mut names);
    let Names { mut relations, own } = names;
    relations.retain(|parts| !matches!(parts.as_slice(), [only] if own.contains(only)));
    relations
}

/// 42P16 for a late-binding view that names a relation without its schema.
fn refuse_bare_names(query: &ast::Query) -> Result<()> {
    match named(query).iter().find(|parts| parts.len() < 2 && !parts.iter().any(|part| part.contains("://"))) {
        Some(parts) => {
            let message = "all the relation names inside a VIEW WITH NO SCHEMA BINDING must be qualified";
            Err(Error::new(Kind::InvalidDefinition, message)
                .hint(format!("Write the schema of \"{}\" before it.", parts.join("."))))
        }
        None => Ok(()),
    }
}

/// What the names in a query stand for now.
fn uses(scope: &Scope, query: &ast::Query) -> Vec<ViewUse> {
    let mut uses: Vec<ViewUse> = Vec::new();
    for parts in named(query) {
        let Some(relation) = scope.find_parts(&parts) else { continue };
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name),
            [.., schema, name] => (Some(schema.clone()), name),
            [] => continue,
        };
        let used = ViewUse { schema, name: name.clone(), relation: relation.oid, columns: lasting_columns(relation) };
        if !uses.contains(&used) {
            uses.push(used);
        }
    }
    uses
}

/// Each column's name, and the name under which it can be found for ever; nothing where columns do not change.
fn lasting_columns(relation: &Relation) -> Vec<(String, String)> {
    match relation.kind {
        RelationKind::Table(_) | RelationKind::View(_) => {
            relation.columns.iter().map(|column| (column.name.clone(), column.in_files().to_string())).collect()
        }
        _ => Vec::new(),
    }
}

/// A relation as a view knew it: the same columns, by the names they had.
pub fn as_bound(
    provider: Arc<dyn TableProvider>,
    relation: &Relation,
    used: &ViewUse,
) -> Result<Arc<dyn TableProvider>> {
    if used.columns.is_empty() || used.columns == lasting_columns(relation) {
        return Ok(provider);
    }
    let column = |(then, lasting): &(String, String)| {
        let now = relation.columns.iter().find(|column| column.in_files() == lasting);
        let gone = || {
            let message = format!("column \"{then}\" of relation \"{}\" does not exist any more", relation.name);
            Error::new(Kind::UndefinedColumn, message)
        };
        Ok(Expr::Column(Reference::from_name(&now.ok_or_else(gone)?.name)).alias(then))
    };
    let columns = used.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    let plan = LogicalPlanBuilder::scan(&relation.name, provider_as_source(provider), None)
        .and_then(|scan| scan.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .map_err(crate::from_datafusion)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The views that are bound to a relation.
pub fn dependents(state: &State, relation: Oid) -> Vec<Relation> {
    let reads = |view: &&Relation| match &view.kind {
        RelationKind::View(spec) => spec.uses.iter().any(|used| used.relation == relation),
        _ => false,
    };
    state.relations().filter(reads).cloned().collect()
}

/// The views that are bound to a relation and name a column of it, told by its name in files. As far as a view's text
/// tells: rather one too many.
pub fn dependents_on_column(state: &State, relation: &Relation, in_files: &str) -> Vec<Relation> {
    let names = |view: &Relation| {
        let RelationKind::View(spec) = &view.kind else { return false };
        let then = spec.uses.iter().filter(|used| used.relation == relation.oid).flat_map(|used| &used.columns);
        let words: HashSet<String> = words(&spec.query).collect();
        then.filter(|(_, lasting)| lasting == in_files)
            .any(|(then, _)| spec.query.contains('*') || words.contains(&then.to_lowercase()))
    };
    dependents(state, relation.oid).into_iter().filter(names).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').map(str::to_lowercase)
}

/// Drops a relation, and by CASCADE the views and foreign keys that depend on it; 2BP01 without.
pub fn drop_relation(work: &mut Work<'_>, relation: &Relation, cascade: bool) -> Result<()> {
    if cascade {
        let oid = relation.oid;
        drop_materialized(work, |query| query.spec.source == oid || query.spec.tables.contains(&oid))?;
    }
    refuse_if_needed(work, relation)?;
    let what = format!("{} {}", relation.kind.noun(), relation.name);
    drop_dependents(work, &what, dependents(work.state(), relation.oid), cascade)?;
    drop_foreign_keys(work, relation, &what, cascade)?;
    // A relation that depends on two that are dropped has gone with the first.
    match work.state().relation(relation.oid).cloned() {
        Some(relation) => drop_one(work, &relation),
        None => Ok(()),
    }
}

/// Drops materialized views with their tables, and what depends on these.
pub fn drop_materialized(work: &mut Work<'_>, concerns: impl Fn(&ContinuousQuery) -> bool) -> Result<()> {
    let views = work.state().all::<ContinuousQuery>().filter(|query| query.spec.view && concerns(query));
    for view in views.cloned().collect::<Vec<_>>() {
        // One that reads another has gone with it.
        if work.state().get::<ContinuousQuery>(view.oid).is_none() {
            continue;
        }
        work.notice(format!("drop cascades to materialized view {}", view.name));
        work.push(vec![Change::Drop { oid: view.oid, revision: view.revision }])?;
        for table in view.spec.kept.into_iter().chain([view.spec.target]) {
            if let Some(table) = work.state().relation(table).cloned() {
                drop_relation(work, &table, true)?;
            }
        }
    }
    Ok(())
}

/// The same for the views that depend on `what`.
pub fn drop_dependents(work: &mut Work<'_>, what: &str, views: Vec<Relation>, cascade: bool) -> Result<()> {
    if let (Some(view), false) = (views.first(), cascade) {
        return Err(depended_on(what, &format!("view {}", view.name)));
    }
    for view in views {
        work.notice(format!("drop cascades to view {}", view.name));
        drop_relation(work, &view, true)?;
    }
    Ok(())
}

/// 2BP01 in Postgres' words.
pub fn depended_on(what: &str, by: &str) -> Error {
    Error::new(Kind::DependentObjects, format!("cannot drop {what} because other objects depend on it"))
        .detail(format!("{by} depends on {what}"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

fn drop_foreign_keys(work: &mut Work<'_>, relation: &Relation, what: &str, cascade: bool) -> Result<()> {
    let refers = |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey(table, _) if *table == relation.oid);
    let is_one = |other: &&Relation| {
        let RelationKind::Table(spec) = &other.kind else { return false };
        other.oid != relation.oid && spec.constraints.iter().any(|one| refers(&one.kind))
    };
    let others: Vec<Relation> = work.state().relations().filter(is_one).cloned().collect();
    for other in others {
        if !cascade {
            return Err(depended_on(what, &format!("a foreign key of table {}", other.name)));
        }
        replace(work, other, |other| {
            if let RelationKind::Table(spec) = &mut other.kind {
                spec.constraints.retain(|one| !refers(&one.kind));
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_relations() {
        let sql = "WITH a AS (SELECT * FROM t) SELECT * FROM a JOIN s.u ON true WHERE EXISTS (SELECT 1 FROM \"V\")";
        let found = named(&tidegate_parser::parse_query(sql).unwrap());
        assert_eq!(found, [vec!["t".to_string()], vec!["s".into(), "u".into()], vec!["V".into()]]);
    }

    #[test]
    fn what_a_replaced_view_keeps() {
        let columns = |names: &[&str], sql_type: SqlType| -> Vec<Column> {
            names.iter().map(|name| Column::new(*name, sql_type.clone())).collect()
        };
        let old = columns(&["a", "b"], SqlType::Int4);
        let cases = [
            (columns(&["a", "b"], SqlType::Int4), true),
            (columns(&["a", "b", "c"], SqlType::Int4), true),
            (columns(&["a"], SqlType::Int4), false),
            (columns(&["a", "c"], SqlType::Int4), false),
            (columns(&["a", "b"], SqlType::Int8), false),
        ];
        for (new, kept) in cases {
            assert_eq!(check_replaced(&old, &new).is_ok(), kept, "{new:?}");
        }
    }
}
