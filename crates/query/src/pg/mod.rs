//! Placeholder until the real one is merged.
#![allow(missing_docs)]
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;
use tidegate_core::Result;
#[derive(Debug, Clone)]
pub struct PgSnapshot {
    pub database: String,
    pub user: String,
    pub user_oid: u32,
    pub pid: i32,
    pub search_path: Vec<String>,
    pub schemas: Vec<PgSchema>,
    pub relations: Vec<PgRelation>,
    pub roles: Vec<PgRole>,
    pub settings: Vec<(String, String, String)>,
    pub version: String,
}
#[derive(Debug, Clone)]
pub struct PgSchema {
    pub oid: u32,
    pub name: String,
    pub owner: u32,
}
#[derive(Debug, Clone)]
pub struct PgRelation {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    pub kind: char,
    pub owner: u32,
    pub comment: Option<String>,
    pub rows: i64,
    pub columns: Vec<PgColumn>,
    pub definition: Option<String>,
}
#[derive(Debug, Clone)]
pub struct PgColumn {
    pub name: String,
    pub type_oid: u32,
    pub typmod: i32,
    pub not_null: bool,
    pub default: Option<String>,
}
#[derive(Debug, Clone)]
pub struct PgRole {
    pub oid: u32,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
}
pub fn pg_catalog(_s: Arc<PgSnapshot>) -> Arc<dyn SchemaProvider> {
    Arc::new(MemorySchemaProvider::new())
}
pub fn information_schema(_s: Arc<PgSnapshot>) -> Arc<dyn SchemaProvider> {
    Arc::new(MemorySchemaProvider::new())
}
pub fn functions(_s: Arc<PgSnapshot>) -> Vec<Arc<ScalarUDF>> {
    Vec::new()
}
pub fn rewrite(_s: &mut sqlparser::ast::Statement, _p: &PgSnapshot) -> Result<()> {
    Ok(())
}
