//! `CREATE EXTERNAL SCHEMA k FROM KINESIS`: this server's streams under Redshift's column names.
//!
//! `k."name"` becomes a query over the stream before anything is planned, so that all that can be done with a stream can
//! be done with it: read it, join it, keep a materialized view over it.

use crate::access::Need;
use crate::scope::Scope;
use crate::work::Work;
use sqlparser::ast::{TableAlias, TableFactor, VisitMut, VisitorMut};
use std::ops::ControlFlow;
use tidegate_catalog::{Change, Guarded, Relation, RelationKind, Rights, Schema, SchemaSource, Space};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Ident};
use tidegate_parser::{CreateExternalSchema, fold, name_parts};

/// Redshift's columns of a stream, in its order.
const COLUMNS: &str = "CAST(approximate_arrival_timestamp AS timestamp) AS approximate_arrival_timestamp, partition_key, \
    shard_id, sequence_number, CAST(now() AS timestamp) AS refresh_time, data AS kinesis_data";

/// Performs the statement.
pub fn create(work: &mut Work<'_>, create: &CreateExternalSchema) -> Result<&'static str> {
    const TAG: &str = "CREATE SCHEMA";
    if create.options.get("endpoint").is_some() {
        return Err(Error::new(Kind::Unsupported, "CREATE EXTERNAL SCHEMA: a Kinesis elsewhere is not supported")
            .hint("Without WITH it shows this server's own streams."));
    }
    create.options.expect_empty("CREATE EXTERNAL SCHEMA")?;
    if create.credential.is_some() {
        work.notice("IAM_ROLE has no meaning for this server's own streams");
    }
    let name = fold(&create.name);
    if work.state().find(Space::Schema, &name).is_some() {
        if !create.if_not_exists {
            return Err(Error::new(Kind::DuplicateSchema, format!("schema \"{name}\" already exists")));
        }
        work.notice(format!("schema \"{name}\" already exists, skipping"));
        return Ok(TAG);
    }
    work.scope.require(&Guarded::Database, Need::All(Rights::CREATE))?;
    let oid = work.engine().catalog().next_oid()?;
    work.push(vec![Change::put(Schema {
        oid,
        name,
        revision: 1,
        owner: work.user_oid(),
        source: Some(SchemaSource::Kinesis),
        quota_mb: None,
    })])?;
    Ok(TAG)
}

/// Puts queries over streams in the place of the tables of external schemas. True: there were some.
pub fn expand<T: VisitMut>(text: &mut T, scope: &Scope) -> bool {
    let mut expander = Expander { scope, found: false };
    // It never breaks off: what it does not know, it leaves to the planner.
    let _ = text.visit(&mut expander);
    expander.found
}

struct Expander<'a> {
    scope: &'a Scope,
    found: bool,
}

impl VisitorMut for Expander<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && let [schema, table] = name_parts(name).as_slice()
            && let Some(stream) = stream(self.scope, schema, table)
            && let Ok(subquery) = over(self.scope, stream)
        {
            let own = TableAlias { explicit: true, name: quoted(table), columns: Vec::new(), at: None };
            let alias = Some(alias.take().unwrap_or(own));
            *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
            self.found = true;
        }
        ControlFlow::Continue(())
    }
}

/// The stream of a name: that of schema `public`, where the AWS API makes them, before others.
fn stream<'a>(scope: &'a Scope, schema: &str, name: &str) -> Option<&'a Relation> {
    let object = scope.state.find(Space::Schema, schema)?;
    if !matches!(object.as_ref(), tidegate_catalog::Object::Schema(found) if found.source == Some(SchemaSource::Kinesis))
    {
        return None;
    }
    let is_stream = |relation: &&Relation| matches!(relation.kind, RelationKind::Stream(_));
    let public = scope.state.relation_named("public", name).filter(is_stream);
    public.or_else(|| scope.state.relations().filter(is_stream).find(|relation| relation.name == name))
}

fn over(scope: &Scope, stream: &Relation) -> Result<Box<ast::Query>> {
    let (schema, name) = (quoted(scope.state.schema_name(stream.schema)), quoted(&stream.name));
    tidegate_parser::parse_query(&format!("SELECT {COLUMNS} FROM {schema}.{name}"))
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
