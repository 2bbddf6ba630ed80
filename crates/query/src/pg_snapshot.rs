//! The catalog as `pg_catalog` shows it.

use crate::engine::DATABASE;
use crate::pg::{PgColumn, PgConstraint, PgFunction, PgRelation, PgRole, PgSchema, PgSnapshot};
use crate::scope::Scope;
use std::sync::Arc;
use tidegate_catalog::{
    ADMIN, Column, Constraint, ConstraintKind, ContinuousQuery, Function, HISTORY, Object, Relation, RelationKind,
    SqlType, State, User, Volatility,
};

/// What a scope sees.
pub fn of(scope: &Scope) -> PgSnapshot {
    let state = &scope.state;
    let objects = || state.objects().map(|object| object.as_ref());
    PgSnapshot {
        database: DATABASE.to_string(),
        user: scope.user.clone(),
        user_oid: state.named::<User>(&scope.user).map_or(ADMIN, |user| user.oid),
        session_user: scope.session_user.clone(),
        trusted: scope.engine.settings().get("auth") != "password",
        state: Arc::clone(state),
        pid: scope.pid,
        sessions: scope.engine.sessions().clone(),
        system: scope.engine.system_names(),
        notifier: scope.engine.notifier().clone(),
        outbox: Arc::clone(&scope.outbox),
        last: scope.last.told(),
        search_path: scope.search_path.clone(),
        schemas: objects()
            .filter_map(|object| match object {
                Object::Schema(schema) if schema.oid != HISTORY => {
                    Some(PgSchema { oid: schema.oid, name: schema.name.clone(), owner: schema.owner })
                }
                _ => None,
            })
            .collect(),
        relations: state.relations().map(|one| relation(state, one)).collect(),
        functions: state.functions().map(function).collect(),
        roles: objects()
            .filter_map(|object| match object {
                Object::User(user) => Some(PgRole {
                    oid: user.oid,
                    name: user.name.clone(),
                    superuser: user.superuser,
                    bypasses_policies: user.bypasses_policies || user.oid == ADMIN,
                    login: user.login,
                    connections_max: user.connections_max.map_or(-1, i64::from),
                    valid_until_us: user.valid_until_us,
                }),
                _ => None,
            })
            .collect(),
        settings: scope.settings.as_ref().clone(),
        version: version(scope),
    }
}

/// What clients tell a server by: Redshift's drivers and dbt look for its words.
fn version(scope: &Scope) -> String {
    let mode = scope.settings.iter().find(|(name, _, _)| name == "compat_mode");
    match mode.map_or("", |(_, value, _)| value.as_str()) {
        "redshift" => {
            "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2, Redshift 1.0.0".to_string()
        }
        "postgres" => "PostgreSQL 15.0 on x86_64-pc-linux-gnu, compiled by rustc, 64-bit".to_string(),
        _ => format!("PostgreSQL 15.0 (Tidegate {})", env!("CARGO_PKG_VERSION")),
    }
}

fn relation(state: &State, relation: &Relation) -> PgRelation {
    let (kind, definition) = match &relation.kind {
        RelationKind::View(view) => ('v', Some(view.query.clone())),
        RelationKind::External(_) => ('f', None),
        // Of a materialized view its query.
        RelationKind::Table(_) => match made_by(state, relation) {
            Some(view) => ('m', Some(view.spec.query.clone())),
            None => ('r', None),
        },
        RelationKind::Stream(_) => ('r', None),
    };
    let rows = state.files(relation.oid).map_or(-1, |files| i64::try_from(files.rows()).unwrap_or(i64::MAX));
    PgRelation {
        oid: relation.oid,
        schema: relation.schema,
        name: relation.name.clone(),
        kind,
        owner: relation.owner,
        comment: relation.comment.clone(),
        rows,
        columns: relation.columns.iter().map(column).collect(),
        definition,
        constraints: match &relation.kind {
            RelationKind::Table(spec) => {
                let numbered = spec.constraints.iter().enumerate();
                numbered.map(|(index, one)| constraint(state, relation, index, one)).collect()
            }
            _ => Vec::new(),
        },
    }
}

fn made_by<'s>(state: &'s State, relation: &Relation) -> Option<&'s ContinuousQuery> {
    state.all::<ContinuousQuery>().find(|query| query.spec.view && query.spec.target == relation.oid)
}

fn constraint(state: &State, relation: &Relation, index: usize, constraint: &Constraint) -> PgConstraint {
    let (kind, foreign) = match &constraint.kind {
        ConstraintKind::PrimaryKey => ('p', None),
        ConstraintKind::Unique => ('u', None),
        ConstraintKind::ForeignKey(oid, columns) => {
            ('f', state.relation(*oid).map(|other| (*oid, places(other, columns))))
        }
    };
    let columns = places(relation, &constraint.columns);
    let oid = match constraint.oid {
        0 => number_of(relation.oid, index),
        oid => i64::from(oid),
    };
    PgConstraint { oid, name: constraint.name.clone(), kind, columns, foreign }
}

/// The object id of a constraint that has none of its own. No two share it.
fn number_of(relation: u32, index: usize) -> i64 {
    (i64::from(relation) << 11) + 1700 + index as i64
}

/// The places of columns, from 1, by their names in files.
fn places(relation: &Relation, in_files: &[String]) -> Vec<i64> {
    let place = |name: &String| relation.columns.iter().position(|column| column.in_files() == name);
    in_files.iter().filter_map(place).filter_map(|index| i64::try_from(index + 1).ok()).collect()
}

fn function(function: &Function) -> PgFunction {
    PgFunction {
        oid: function.oid,
        schema: function.schema,
        name: function.called.clone(),
        owner: function.owner,
        arguments: function.arguments.iter().map(|one| (one.name.clone(), one.sql_type.oid())).collect(),
        result: function.returns.oid(),
        volatility: match function.volatility {
            Volatility::Volatile => 'v',
            Volatility::Stable => 's',
            Volatility::Immutable => 'i',
        },
        source: function.body.clone(),
    }
}

fn column(column: &Column) -> PgColumn {
    PgColumn {
        name: column.name.clone(),
        in_files: column.in_files().to_string(),
        type_oid: column.sql_type.oid(),
        typmod: column.sql_type.modifier(),
        not_null: column.not_null,
        default: column.default.clone(),
        comment: column.comment.clone(),
        identity: column.identity.map(|identity| (identity.seed, identity.step, identity.by_default)),
    }
}

/// What Postgres stores beside a type's number.
trait Modifier {
    fn oid(&self) -> u32;
    fn modifier(&self) -> i32;
}

impl Modifier for SqlType {
    fn oid(&self) -> u32 {
        match self {
            SqlType::Bool => 16,
            SqlType::Bytea => 17,
            SqlType::Int8 => 20,
            SqlType::Int2 => 21,
            SqlType::Int4 => 23,
            SqlType::Text => 25,
            SqlType::Float4 => 700,
            SqlType::Float8 => 701,
            SqlType::Char(_) => 1042,
            SqlType::Varchar(_) => 1043,
            SqlType::Date => 1082,
            SqlType::Time => 1083,
            SqlType::Timetz => 1266,
            SqlType::Timestamp => 1114,
            SqlType::Timestamptz => 1184,
            SqlType::Interval => 1186,
            SqlType::Numeric(..) => 1700,
            SqlType::Uuid => 2950,
            SqlType::Super => 114,
            SqlType::Json | SqlType::Nested(_) => 3802,
            SqlType::Array(item) => match item.as_ref() {
                SqlType::Bool => 1000,
                SqlType::Int2 => 1005,
                SqlType::Int4 => 1007,
                SqlType::Int8 => 1016,
                SqlType::Float4 => 1021,
                SqlType::Float8 => 1022,
                _ => 1009,
            },
        }
    }

    fn modifier(&self) -> i32 {
        match self {
            SqlType::Varchar(n) | SqlType::Char(n) => i32::try_from(*n).unwrap_or(i32::MAX - 4) + 4,
            SqlType::Numeric(precision, scale) => (i32::from(*precision) << 16 | i32::from(*scale) & 0x7ff) + 4,
            _ => -1,
        }
    }
}
