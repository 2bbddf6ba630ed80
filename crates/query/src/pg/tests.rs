//! What clients send, run by the engine over a snapshot of two relations.

use super::{PgColumn, PgRelation, PgRole, PgSchema, PgSnapshot};
use crate::notify::Notifier;
use crate::sessions::Sessions;
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as EngineStatement;
use std::sync::Arc;
use tidegate_parser::Statement;

mod drivers;
mod psql;

fn column(name: &str, type_oid: u32, typmod: i32, not_null: bool, default: Option<&str>) -> PgColumn {
    let default = default.map(str::to_string);
    PgColumn {
        name: name.into(),
        in_files: name.into(),
        type_oid,
        typmod,
        not_null,
        default,
        comment: None,
        identity: None,
    }
}

fn snapshot() -> PgSnapshot {
    let planes = PgRelation {
        oid: 16385,
        schema: 2200,
        name: "planes".into(),
        kind: 'r',
        owner: 10,
        comment: Some("what flies".into()),
        rows: 2,
        columns: vec![
            column("tailnum", 1043, 14, true, None),
            column("seats", 23, -1, false, None),
            column("price", 1700, (10 << 16 | 2) + 4, false, None),
            column("at", 1184, -1, false, Some("now()")),
        ],
        definition: None,
        constraints: Vec::new(),
    };
    let big = PgRelation {
        oid: 16389,
        name: "big".into(),
        kind: 'v',
        comment: None,
        rows: -1,
        columns: vec![column("tailnum", 1043, 14, false, None), column("seats", 23, -1, false, None)],
        definition: Some("SELECT tailnum, seats FROM planes WHERE seats > 100".into()),
        ..planes.clone()
    };
    PgSnapshot {
        sessions: Sessions::default(),
        system: Arc::default(),
        notifier: Notifier::default(),
        outbox: Arc::default(),
        functions: Vec::new(),
        database: "dev".into(),
        user: "admin".into(),
        user_oid: 10,
        session_user: "admin".into(),
        trusted: true,
        state: Default::default(),
        pid: 7,
        last: Default::default(),
        search_path: vec!["public".into()],
        schemas: vec![PgSchema { oid: 2200, name: "public".into(), owner: 10 }],
        relations: vec![planes, big],
        roles: vec![PgRole {
            bypasses_policies: true,
            oid: 10,
            name: "admin".into(),
            superuser: true,
            login: true,
            connections_max: -1,
            valid_until_us: None,
        }],
        settings: vec![("standard_conforming_strings".into(), "on".into(), "How backslashes are read.".into())],
        version: "PostgreSQL 15.0 (Tidegate 0.1.0)".into(),
    }
}

fn context(snapshot: &Arc<PgSnapshot>) -> SessionContext {
    let config = SessionConfig::new().with_default_catalog_and_schema("dev", "public");
    let context = SessionContext::new_with_config(config);
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(MemorySchemaProvider::new())).unwrap();
    catalog.register_schema("pg_catalog", super::pg_catalog(Arc::clone(snapshot))).unwrap();
    catalog.register_schema("information_schema", super::information_schema(Arc::clone(snapshot))).unwrap();
    context.register_catalog("dev", Arc::new(catalog));
    for function in super::functions(Arc::clone(snapshot)) {
        context.register_udf(function.as_ref().clone());
    }
    context
}

async fn run_statement(context: &SessionContext, statement: Statement) -> Result<Vec<RecordBatch>, String> {
    let Statement::Sql(mut statement) = statement else { return Err("not SQL".into()) };
    super::rewrite(&mut statement, &snapshot()).map_err(|error| error.to_string())?;
    let shown = statement.to_string();
    let failed =
        |error: datafusion::error::DataFusionError| format!("{}\n  rewritten: {shown}", crate::from_datafusion(error));
    let plan = context.state().statement_to_plan(EngineStatement::Statement(statement)).await.map_err(failed)?;
    context.execute_logical_plan(plan).await.map_err(failed)?.collect().await.map_err(failed)
}

/// The rows of each statement of a script, columns joined by `|`.
async fn script(sql: &str) -> Result<Vec<Vec<String>>, String> {
    let context = context(&Arc::new(snapshot()));
    let mut results = Vec::new();
    for piece in tidegate_parser::split(sql).map_err(|error| error.to_string())? {
        let statement = tidegate_parser::parse(&piece).map_err(|error| format!("{error}: {}", piece.text()))?;
        let batches = run_statement(&context, statement).await?;
        results.push(batches.iter().flat_map(rows).collect());
    }
    Ok(results)
}

/// The rows of a script's last statement.
async fn rows_of(sql: &str) -> Result<Vec<String>, String> {
    Ok(script(sql).await?.pop().unwrap_or_default())
}

fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default();
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// Runs each statement of `(name, sql, rows of the last statement)` and tells of all that differ.
async fn check(cases: &[(&str, &str, &[&str])]) {
    let mut wrong = Vec::new();
    for (name, sql, expected) in cases {
        match rows_of(sql).await {
            Ok(found) if found == *expected => {}
            Ok(found) => wrong.push(format!("{name}: {found:#?}")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
