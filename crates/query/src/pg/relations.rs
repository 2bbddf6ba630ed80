//! Rows of `pg_catalog` that are made from the snapshot.

use super::acl;
use super::activity;
use super::cell::Cell;
use super::depends;
use super::fixed;
use super::indexes;
use super::names;
use super::policies;
use super::shape::{self, Rows, SHAPES, Shape};
use super::snapshot::{PgColumn, PgConstraint, PgRelation, PgSnapshot};
use super::types;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::error::Result;
use std::sync::LazyLock;
use tidegate_catalog::{DATABASE_OID, EVERYBODY, RowSecurity, User};

/// The language of functions in SQL.
const SQL_LANGUAGE_OID: u32 = 14;
/// The access method of tables, `heap`.
const HEAP_OID: u32 = 2;
/// The tablespace of everything, `pg_default`.
const TABLESPACE_OID: u32 = 1663;
/// The encoding's number in Postgres: UTF8.
const UTF8: i32 = 6;

/// Makes the rows of one table.
type Maker = fn(&PgSnapshot, &mut Rows);

/// Tables made here, by name.
pub const MADE: &[(&str, Maker)] = &[
    ("pg_attrdef", attrdefs),
    ("pg_attribute", attributes),
    ("pg_auth_members", memberships),
    ("pg_default_acl", default_lists),
    ("pg_authid", authids),
    ("pg_class", classes),
    ("pg_constraint", constraints),
    ("pg_database", databases),
    ("pg_depend", depends::dependencies),
    ("pg_description", descriptions),
    ("pg_group", groups),
    ("pg_index", indexes::indexes),
    ("pg_indexes", indexes::listed),
    ("pg_namespace", namespaces),
    ("pg_policies", policies::listed),
    ("pg_policy", policies::policies),
    ("pg_rewrite", depends::rules),
    ("pg_roles", roles),
    ("pg_settings", settings),
    ("pg_shadow", users),
    ("pg_stat_activity", activity::sessions),
    ("pg_stat_database", stat_databases),
    ("pg_stat_ssl", stat_ssl),
    ("pg_stat_all_tables", stat_tables),
    ("pg_stat_user_tables", stat_tables),
    ("pg_statio_user_tables", stat_tables),
    ("pg_tables", tables),
    ("pg_user", users),
    ("pg_views", views),
];

/// The rows of a table of `pg_catalog`: of its shape, and as many as there are.
pub fn rows(snapshot: &PgSnapshot, shape: &'static Shape) -> Result<RecordBatch> {
    if let Some((_, make)) = MADE.iter().find(|(name, _)| *name == shape.name) {
        let mut rows = Rows::of(shape);
        make(snapshot, &mut rows);
        let own = rows.finish()?;
        let system = SYSTEM_ATTRIBUTES.as_ref().filter(|_| shape.name == "pg_attribute");
        return Ok(match system {
            Some(system) => concat_batches(&shape.schema, [system, &own])?,
            None => own,
        });
    }
    let known = fixed::rows(shape.name).unwrap_or_else(|| RecordBatch::new_empty(shape.schema.clone()));
    if shape.name == "pg_proc" && !snapshot.functions.is_empty() {
        let mut rows = Rows::of(shape);
        procedures(snapshot, &mut rows);
        return Ok(concat_batches(&shape.schema, [&known, &rows.finish()?])?);
    }
    Ok(known)
}

/// Functions that users have made.
fn procedures(snapshot: &PgSnapshot, rows: &mut Rows) {
    for function in &snapshot.functions {
        let names: Vec<String> = function.arguments.iter().map(|(name, _)| name.clone().unwrap_or_default()).collect();
        let named = names.iter().any(|name| !name.is_empty());
        rows.push([
            ("oid", function.oid.into()),
            ("proname", function.name.as_str().into()),
            ("pronamespace", function.schema.into()),
            ("proowner", function.owner.into()),
            ("prolang", SQL_LANGUAGE_OID.into()),
            ("procost", Cell::Float(100.0)),
            ("prokind", "f".into()),
            ("provolatile", function.volatility.to_string().into()),
            ("proparallel", "u".into()),
            ("pronargs", function.arguments.len().into()),
            ("prorettype", function.result.into()),
            ("proargtypes", Cell::Ints(function.arguments.iter().map(|(_, oid)| i64::from(*oid)).collect())),
            ("proargnames", if named { Cell::Texts(names) } else { Cell::Null }),
            ("prosrc", function.source.as_str().into()),
            ("proacl", acl::of_object(snapshot, function.oid)),
        ]);
    }
}

/// Whether a table of `pg_catalog` has no rows: never, or while no table has a key.
pub fn is_empty(snapshot: &PgSnapshot, name: &str) -> bool {
    if ["pg_index", "pg_indexes"].contains(&name) {
        return indexes::all(snapshot).next().is_none();
    }
    if ["pg_policy", "pg_policies"].contains(&name) {
        return policies::are_none(snapshot);
    }
    shape::pg(name).is_some() && !fixed::NAMES.contains(&name) && MADE.iter().all(|(made, _)| *made != name)
}

fn system_owner(snapshot: &PgSnapshot) -> u32 {
    snapshot.roles.iter().find(|role| role.superuser).map_or(snapshot.user_oid, |role| role.oid)
}

fn namespaces(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (oid, name, owner) in names::schemas(snapshot) {
        rows.push([
            ("oid", oid.into()),
            ("nspname", name.into()),
            ("nspowner", owner.into()),
            ("nspacl", acl::of_object(snapshot, oid)),
        ]);
    }
}

fn databases(snapshot: &PgSnapshot, rows: &mut Rows) {
    rows.push([
        ("oid", DATABASE_OID.into()),
        ("datname", snapshot.database.as_str().into()),
        ("datdba", system_owner(snapshot).into()),
        ("encoding", UTF8.into()),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", (-1).into()),
        ("dattablespace", TABLESPACE_OID.into()),
        ("datcollate", "C".into()),
        ("datctype", "C".into()),
        ("datacl", acl::of_object(snapshot, DATABASE_OID)),
    ]);
}

fn classes(snapshot: &PgSnapshot, rows: &mut Rows) {
    let owner = system_owner(snapshot);
    for shape in SHAPES.iter() {
        let security = RowSecurity::default();
        let (oid, schema) = (shape.oid, shape.schema_oid());
        let of = Class { oid, schema, name: shape.name, owner, kind: shape.kind, security };
        of.push(rows, shape.columns.len(), -1, Cell::Null, false, false);
    }
    for one in &snapshot.relations {
        let security = policies::security(snapshot, one.oid);
        let of =
            Class { oid: one.oid, schema: one.schema, name: &one.name, owner: one.owner, kind: one.kind, security };
        let keyed = one.constraints.iter().any(PgConstraint::is_key);
        // Foreign keys are kept by triggers in Postgres, and psql looks for them where there are some.
        let refers = |relation: &PgRelation| relation.constraints.iter().any(|key| !key.is_key());
        let referred = |key: &PgConstraint| key.foreign.as_ref().is_some_and(|(other, _)| *other == one.oid);
        let mut others = snapshot.relations.iter().flat_map(|other| &other.constraints);
        let refers = refers(one) || others.any(referred);
        of.push(rows, one.columns.len(), one.rows, acl::of_object(snapshot, one.oid), keyed, refers);
    }
    indexes::classes(snapshot, rows);
}

/// The parts of a row of `pg_class` that differ.
struct Class<'a> {
    oid: u32,
    schema: u32,
    name: &'a str,
    owner: u32,
    kind: char,
    security: RowSecurity,
}

impl Class<'_> {
    fn push(&self, rows: &mut Rows, columns: usize, count: i64, acl: Cell, keyed: bool, refers: bool) {
        let is_table = self.kind == 'r';
        rows.push([
            ("oid", self.oid.into()),
            ("relname", self.name.into()),
            ("relnamespace", self.schema.into()),
            ("relowner", self.owner.into()),
            ("relam", if is_table { HEAP_OID } else { 0 }.into()),
            ("relfilenode", if is_table { self.oid } else { 0 }.into()),
            ("reltuples", Cell::Float(count as f64)),
            ("relhasindex", keyed.into()),
            ("relhastriggers", refers.into()),
            ("relpersistence", "p".into()),
            ("relkind", self.kind.to_string().into()),
            ("relnatts", columns.into()),
            ("relhasrules", (self.kind == 'v').into()),
            ("relrowsecurity", self.security.enabled.into()),
            ("relforcerowsecurity", self.security.forced.into()),
            ("relispopulated", true.into()),
            ("relreplident", if is_table { "d" } else { "n" }.into()),
            ("relacl", acl),
        ]);
    }
}

/// Columns of the system's relations, the same for every snapshot: made once, as there are thousands.
static SYSTEM_ATTRIBUTES: LazyLock<Option<RecordBatch>> = LazyLock::new(|| {
    let mut rows = Rows::of(shape::pg("pg_attribute")?);
    for shape in SHAPES.iter() {
        for (index, column) in shape.columns.iter().enumerate() {
            let type_oid = types::oid_of_catalog_name(column.type_name).unwrap_or(25);
            let (name, not_null) = (column.name, column.not_null);
            attribute(
                &mut rows,
                shape.oid.into(),
                index,
                Attribute { name, type_oid, typmod: -1, not_null, has_default: false, identity: "", acl: Cell::Null },
            );
        }
    }
    rows.finish().ok()
});

fn attributes(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in &snapshot.relations {
        for (index, column) in relation.columns.iter().enumerate() {
            let of = Attribute {
                name: &column.name,
                type_oid: column.type_oid,
                typmod: column.typmod,
                not_null: column.not_null,
                has_default: column.default.is_some(),
                identity: match column.identity {
                    Some((_, _, true)) => "d",
                    Some(_) => "a",
                    None => "",
                },
                acl: acl::of_column(snapshot, relation.oid, &column.in_files),
            };
            attribute(rows, relation.oid.into(), index, of);
        }
    }
    for index in indexes::all(snapshot) {
        for (place, column) in index.columns().enumerate() {
            let of = Attribute {
                name: &column.name,
                type_oid: column.type_oid,
                typmod: column.typmod,
                not_null: false,
                has_default: false,
                identity: "",
                acl: Cell::Null,
            };
            attribute(rows, index.key.oid, place, of);
        }
    }
}

/// The parts of a row of `pg_attribute` that differ.
struct Attribute<'a> {
    name: &'a str,
    type_oid: u32,
    typmod: i32,
    not_null: bool,
    has_default: bool,
    identity: &'static str,
    acl: Cell,
}

fn attribute(rows: &mut Rows, relation: i64, index: usize, of: Attribute<'_>) {
    let known = types::find(of.type_oid);
    rows.push([
        ("attrelid", relation.into()),
        ("attname", of.name.into()),
        ("atttypid", of.type_oid.into()),
        ("attstattarget", (-1).into()),
        ("attlen", known.map_or(-1, |known| known.len).into()),
        ("attnum", (index + 1).into()),
        ("attndims", i32::from(known.is_some_and(|known| known.element.is_some())).into()),
        ("attcacheoff", (-1).into()),
        ("atttypmod", of.typmod.into()),
        ("attbyval", known.is_some_and(|known| known.by_value).into()),
        ("attalign", known.map_or("i", |known| known.align.as_str()).into()),
        ("attstorage", known.map_or("p", |known| known.storage.as_str()).into()),
        ("attnotnull", of.not_null.into()),
        ("atthasdef", of.has_default.into()),
        ("attidentity", of.identity.into()),
        ("attislocal", true.into()),
        ("attcollation", known.map_or(0, |known| known.collation).into()),
        ("attacl", of.acl),
    ]);
}

/// Each column that has a default, with its place from 1.
fn defaults(relation: &PgRelation) -> impl Iterator<Item = (usize, &PgColumn, &String)> {
    let columns = relation.columns.iter().enumerate();
    columns.filter_map(|(index, column)| Some((index + 1, column, column.default.as_ref()?)))
}

fn attrdefs(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in &snapshot.relations {
        for (number, _, default) in defaults(relation) {
            rows.push([
                // No two defaults may share it, and nothing else refers to it.
                ("oid", Cell::Int((i64::from(relation.oid) << 11) + number as i64)),
                ("adrelid", relation.oid.into()),
                ("adnum", number.into()),
                ("adbin", default.as_str().into()),
            ]);
        }
    }
}

fn constraints(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in &snapshot.relations {
        for one in &relation.constraints {
            let (other, other_columns) = one.foreign.clone().unwrap_or_default();
            let matches = if one.kind == 'f' { "s" } else { " " };
            let action = if one.kind == 'f' { "a" } else { " " };
            let foreign = if one.kind == 'f' { Cell::Ints(other_columns) } else { Cell::Null };
            rows.push([
                ("oid", one.oid.into()),
                ("conname", one.name.as_str().into()),
                ("connamespace", relation.schema.into()),
                ("contype", one.kind.to_string().into()),
                // Told, and not enforced.
                ("convalidated", false.into()),
                ("conrelid", relation.oid.into()),
                ("conindid", indexes::of_constraint(snapshot, one).into()),
                ("confrelid", other.into()),
                ("confupdtype", action.into()),
                ("confdeltype", action.into()),
                ("confmatchtype", matches.into()),
                ("conislocal", true.into()),
                ("connoinherit", true.into()),
                ("conkey", Cell::Ints(one.columns.clone())),
                ("confkey", foreign),
            ]);
        }
    }
}

fn descriptions(snapshot: &PgSnapshot, rows: &mut Rows) {
    let class = shape::pg("pg_class").map_or(0, |shape| shape.oid);
    for relation in &snapshot.relations {
        if let Some(comment) = &relation.comment {
            rows.push([
                ("objoid", relation.oid.into()),
                ("classoid", class.into()),
                ("objsubid", 0.into()),
                ("description", comment.as_str().into()),
            ]);
        }
        for (index, column) in relation.columns.iter().enumerate() {
            if let Some(comment) = &column.comment {
                rows.push([
                    ("objoid", relation.oid.into()),
                    ("classoid", class.into()),
                    ("objsubid", (index + 1).into()),
                    ("description", comment.as_str().into()),
                ]);
            }
        }
    }
}

fn roles(snapshot: &PgSnapshot, rows: &mut Rows) {
    for role in &snapshot.roles {
        rows.push([
            ("rolname", role.name.as_str().into()),
            ("rolsuper", role.superuser.into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", role.superuser.into()),
            ("rolcreatedb", role.superuser.into()),
            ("rolcanlogin", role.login.into()),
            ("rolreplication", false.into()),
            ("rolconnlimit", role.connections_max.into()),
            ("rolpassword", "********".into()),
            ("rolvaliduntil", role.valid_until_us.into()),
            ("rolbypassrls", role.bypasses_policies.into()),
            ("oid", role.oid.into()),
        ]);
    }
}

fn authids(snapshot: &PgSnapshot, rows: &mut Rows) {
    for role in &snapshot.roles {
        rows.push([
            ("oid", role.oid.into()),
            ("rolname", role.name.as_str().into()),
            ("rolsuper", role.superuser.into()),
            ("rolinherit", true.into()),
            ("rolcreaterole", role.superuser.into()),
            ("rolcreatedb", role.superuser.into()),
            ("rolcanlogin", role.login.into()),
            ("rolbypassrls", role.bypasses_policies.into()),
            ("rolconnlimit", role.connections_max.into()),
            ("rolvaliduntil", role.valid_until_us.into()),
        ]);
    }
}

/// Each role with its members.
fn members(snapshot: &PgSnapshot) -> impl Iterator<Item = (&User, &tidegate_catalog::Membership)> {
    let there = |role: u32| role != EVERYBODY && snapshot.role(role).is_some();
    let all = snapshot.state.all::<User>().flat_map(|user| user.member_of.iter().map(move |one| (user, one)));
    all.filter(move |(_, membership)| there(membership.role))
}

fn memberships(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (user, membership) in members(snapshot) {
        rows.push([
            ("roleid", membership.role.into()),
            ("member", user.oid.into()),
            ("grantor", membership.grantor.into()),
            ("admin_option", membership.admin.into()),
        ]);
    }
}

/// What roles grant by themselves on what they make; of any schema with what there is by default.
fn default_lists(snapshot: &PgSnapshot, rows: &mut Rows) {
    for user in snapshot.state.all::<User>() {
        for said in &user.defaults {
            let items = match said.schema {
                Some(_) => said.granted.clone(),
                None => said.applied(said.on.built_in(user.oid)),
            };
            rows.push([
                ("oid", user.oid.into()),
                ("defaclrole", user.oid.into()),
                ("defaclnamespace", said.schema.unwrap_or(0).into()),
                ("defaclobjtype", said.on.letter().to_string().into()),
                ("defaclacl", acl::of_items(snapshot, &items)),
            ]);
        }
    }
}

/// Roles that nobody logs in as.
fn groups(snapshot: &PgSnapshot, rows: &mut Rows) {
    for role in snapshot.roles.iter().filter(|role| !role.login) {
        let members = members(snapshot).filter(|(_, membership)| membership.role == role.oid);
        rows.push([
            ("groname", role.name.as_str().into()),
            ("grosysid", role.oid.into()),
            ("grolist", Cell::Ints(members.map(|(user, _)| i64::from(user.oid)).collect())),
        ]);
    }
}

fn users(snapshot: &PgSnapshot, rows: &mut Rows) {
    for role in snapshot.roles.iter().filter(|role| role.login) {
        rows.push([
            ("usename", role.name.as_str().into()),
            ("usesysid", role.oid.into()),
            ("usecreatedb", role.superuser.into()),
            ("usesuper", role.superuser.into()),
            ("userepl", false.into()),
            ("usebypassrls", role.bypasses_policies.into()),
            ("passwd", "********".into()),
            ("valuntil", role.valid_until_us.into()),
        ]);
    }
}

fn settings(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (name, value, help) in &snapshot.settings {
        rows.push([
            ("name", name.as_str().into()),
            ("setting", value.as_str().into()),
            ("category", "Settings".into()),
            ("short_desc", help.as_str().into()),
            ("context", "user".into()),
            ("vartype", "string".into()),
            ("source", "session".into()),
            ("reset_val", value.as_str().into()),
            ("pending_restart", false.into()),
        ]);
    }
}

fn stat_databases(snapshot: &PgSnapshot, rows: &mut Rows) {
    rows.push([("datid", DATABASE_OID.into()), ("datname", snapshot.database.as_str().into())]);
}

fn stat_ssl(snapshot: &PgSnapshot, rows: &mut Rows) {
    rows.push([("pid", snapshot.pid.into())]);
}

fn stat_tables(snapshot: &PgSnapshot, rows: &mut Rows) {
    for relation in snapshot.relations.iter().filter(|relation| relation.kind == 'r') {
        rows.push([
            ("relid", relation.oid.into()),
            ("schemaname", names::schema_name(snapshot, relation.schema).into()),
            ("relname", relation.name.as_str().into()),
            ("n_live_tup", relation.rows.max(0).into()),
        ]);
    }
}

fn owner_name(snapshot: &PgSnapshot, oid: u32) -> Cell {
    snapshot.role(oid).map(|role| role.name.as_str()).into()
}

fn tables(snapshot: &PgSnapshot, rows: &mut Rows) {
    let system = owner_name(snapshot, system_owner(snapshot));
    for shape in SHAPES.iter().filter(|shape| shape.kind == 'r') {
        rows.push([
            ("schemaname", shape.schema_name().into()),
            ("tablename", shape.name.into()),
            ("tableowner", system.clone()),
            ("hasindexes", false.into()),
        ]);
    }
    for relation in snapshot.relations.iter().filter(|relation| relation.kind == 'r') {
        rows.push([
            ("schemaname", names::schema_name(snapshot, relation.schema).into()),
            ("tablename", relation.name.as_str().into()),
            ("tableowner", owner_name(snapshot, relation.owner)),
            ("hasindexes", relation.constraints.iter().any(PgConstraint::is_key).into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", policies::security(snapshot, relation.oid).enabled.into()),
        ]);
    }
}

fn views(snapshot: &PgSnapshot, rows: &mut Rows) {
    let system = owner_name(snapshot, system_owner(snapshot));
    for shape in SHAPES.iter().filter(|shape| shape.kind == 'v') {
        rows.push([
            ("schemaname", shape.schema_name().into()),
            ("viewname", shape.name.into()),
            ("viewowner", system.clone()),
        ]);
    }
    for relation in snapshot.relations.iter().filter(|relation| relation.kind == 'v') {
        rows.push([
            ("schemaname", names::schema_name(snapshot, relation.schema).into()),
            ("viewname", relation.name.as_str().into()),
            ("viewowner", owner_name(snapshot, relation.owner)),
            ("definition", relation.definition.as_deref().into()),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_a_shape() {
        for (name, _) in MADE {
            assert!(shape::pg(name).is_some(), "{name}");
        }
        let is_empty = |name| is_empty(&PgSnapshot::default(), name);
        assert!(is_empty("pg_policy") && is_empty("pg_index") && !is_empty("pg_class"));
        assert!(!is_empty("pg_type") && !is_empty("planes"));
    }
}
