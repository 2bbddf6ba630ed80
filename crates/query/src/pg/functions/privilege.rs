//! `has_…_privilege`: what a role may do with an object, told by its name or its object id.

use super::super::cell::Cell;
use super::super::names;
use super::super::snapshot::PgSnapshot;
use super::Definition;
use crate::access::Asker;
use tidegate_catalog::{EVERYBODY, Guarded, Object, Relation, Rights, Space, User};
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::strict("has_table_privilege", 2..=3, "bool", table),
    Definition::strict("has_any_column_privilege", 2..=3, "bool", any_column),
    Definition::strict("has_column_privilege", 3..=4, "bool", column),
    Definition::strict("has_schema_privilege", 2..=3, "bool", schema),
    Definition::strict("has_database_privilege", 2..=3, "bool", database),
    Definition::strict("has_function_privilege", 2..=3, "bool", function),
    Definition::strict("has_language_privilege", 2..=3, "bool", yes),
    Definition::strict("has_sequence_privilege", 2..=3, "bool", yes),
    Definition::strict("has_server_privilege", 2..=3, "bool", yes),
    Definition::strict("has_foreign_data_wrapper_privilege", 2..=3, "bool", yes),
    Definition::strict("has_tablespace_privilege", 2..=3, "bool", yes),
    Definition::strict("has_type_privilege", 2..=3, "bool", yes),
    Definition::strict("pg_has_role", 2..=3, "bool", role),
    Definition::strict("row_security_active", 1..=1, "bool", row_security_active),
];

/// Of objects that there are none of, or that everybody may use.
fn yes(_: &PgSnapshot, _: &[Cell]) -> Result<Cell> {
    Ok(true.into())
}

/// A call's parts: whom it asks about, the object (and its column), and the rights, one of which will do.
struct Asked<'a> {
    asker: Asker,
    object: &'a [Cell],
    rights: Vec<Rights>,
}

impl<'a> Asked<'a> {
    /// Of a call whose object takes so many arguments; whom it asks about is left out where it asks for itself.
    fn read(snapshot: &PgSnapshot, arguments: &'a [Cell], object: usize) -> Result<Asked<'a>> {
        let (words, rest) = arguments.split_last().ok_or_else(|| Error::internal("a call without arguments"))?;
        let (user, object) = rest.split_at(rest.len().saturating_sub(object));
        let asker = match user.first() {
            Some(user) => asker(snapshot, user)?,
            None => snapshot.asker(),
        };
        let rights = words.text().unwrap_or_default().split(',').map(right).collect::<Result<Vec<_>>>()?;
        Ok(Asked { asker, object, rights })
    }

    fn any_of(&self, held: Rights) -> Cell {
        self.rights.iter().any(|wanted| held.has(*wanted)).into()
    }

    fn on(&self, snapshot: &PgSnapshot, guarded: &Guarded<'_>) -> Cell {
        self.any_of(self.asker.rights(&snapshot.state, guarded))
    }
}

fn asker(snapshot: &PgSnapshot, user: &Cell) -> Result<Asker> {
    let state = &snapshot.state;
    let found = match user {
        Cell::Text(name) if name == "public" => {
            return Ok(Asker { roles: [EVERYBODY].into(), is_superuser: false, bypasses_policies: false });
        }
        Cell::Text(name) => state.named::<User>(name),
        other => other.oid().and_then(|oid| state.get::<User>(oid)),
    };
    let is_own = user.text() == Some(snapshot.user.as_str());
    match (found, user) {
        (None, Cell::Text(name)) if !is_own => {
            Err(Error::new(Kind::UndefinedObject, format!("role \"{name}\" does not exist")))
        }
        (found, _) => Ok(Asker::of(state, found, is_own && snapshot.trusted)),
    }
}

/// A right, `WITH GRANT OPTION` or without. 22023 for another word.
fn right(word: &str) -> Result<Rights> {
    let upper = word.trim().to_uppercase();
    let plain = upper.strip_suffix("WITH GRANT OPTION").unwrap_or(&upper).trim();
    let unknown = || Error::new(Kind::InvalidParameter, format!("unrecognized privilege type: \"{}\"", word.trim()));
    Rights::of_word(plain).ok_or_else(unknown)
}

/// A relation of a call.
enum Found<'a> {
    /// A table, stream or view of users.
    Own(&'a Relation),
    /// One of the system, which everybody may read.
    System,
}

/// NULL for an object id that is none's; 42P01 for such a name.
fn relation<'s>(snapshot: &'s PgSnapshot, object: Option<&Cell>) -> Result<Option<Found<'s>>> {
    let oid = match object {
        Some(Cell::Text(name)) => {
            let missing = || Error::new(Kind::UndefinedTable, format!("relation \"{name}\" does not exist"));
            let parts = names::parts(name).ok_or_else(missing)?;
            match names::relation_oid(snapshot, &parts) {
                None if is_of_system(snapshot, &parts) => return Ok(Some(Found::System)),
                oid => Some(oid.ok_or_else(missing)?),
            }
        }
        other => other.and_then(Cell::oid).filter(|oid| names::relation(snapshot, *oid).is_some()),
    };
    Ok(oid.map(|oid| snapshot.state.relation(oid).map_or(Found::System, Found::Own)))
}

/// Whether a name is that of a table of the system that `pg_class` does not list.
fn is_of_system(snapshot: &PgSnapshot, parts: &[String]) -> bool {
    snapshot.system.iter().any(|(schema, name)| match parts {
        [only] => only == name && *schema == "pg_catalog",
        [.., within, last] => last == name && within == schema,
        [] => false,
    })
}

fn of_system(asked: &Asked<'_>) -> Cell {
    (asked.asker.is_superuser || asked.rights.contains(&Rights::SELECT)).into()
}

fn table(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 1)?;
    Ok(match relation(snapshot, asked.object.first())? {
        Some(Found::Own(relation)) => asked.on(snapshot, &Guarded::Relation(relation)),
        Some(Found::System) => of_system(&asked),
        None => Cell::Null,
    })
}

fn any_column(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 1)?;
    Ok(match relation(snapshot, asked.object.first())? {
        Some(Found::Own(relation)) => {
            let whole = asked.asker.rights(&snapshot.state, &Guarded::Relation(relation));
            let columns = snapshot.state.column_rights(&asked.asker.roles, relation);
            asked.any_of(columns.values().fold(whole, |all, rights| all | *rights))
        }
        Some(Found::System) => of_system(&asked),
        None => Cell::Null,
    })
}

fn column(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 2)?;
    let relation = match relation(snapshot, asked.object.first())? {
        Some(Found::Own(relation)) => relation,
        Some(Found::System) => return Ok(of_system(&asked)),
        None => return Ok(Cell::Null),
    };
    let at = match asked.object.get(1) {
        Some(Cell::Text(name)) => Some(crate::insert::column_index(relation, name)?),
        other => other.and_then(Cell::int).and_then(|number| usize::try_from(number - 1).ok()),
    };
    let Some(column) = at.and_then(|at| relation.columns.get(at)) else { return Ok(Cell::Null) };
    Ok(asked.any_of(asked.asker.column_rights(&snapshot.state, relation, column.in_files())))
}

fn schema(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 1)?;
    let oid = match asked.object.first() {
        Some(Cell::Text(name)) => {
            let missing = || Error::new(Kind::UndefinedSchema, format!("schema \"{name}\" does not exist"));
            Some(names::schema_oid(snapshot, name).ok_or_else(missing)?)
        }
        other => other.and_then(Cell::oid).filter(|oid| names::schema_name(snapshot, *oid).is_some()),
    };
    Ok(match oid.map(|oid| snapshot.state.object(oid).map(AsRef::as_ref)) {
        None => Cell::Null,
        Some(Some(Object::Schema(schema))) => asked.on(snapshot, &Guarded::Schema(schema)),
        Some(_) => (asked.asker.is_superuser || asked.rights.contains(&Rights::USAGE)).into(),
    })
}

fn database(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 1)?;
    match asked.object.first() {
        Some(Cell::Text(name)) if *name != snapshot.database => {
            Err(Error::new(Kind::UndefinedDatabase, format!("database \"{name}\" does not exist")))
        }
        _ => Ok(asked.on(snapshot, &Guarded::Database)),
    }
}

/// Whether policies count for who asks.
fn row_security_active(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    Ok(match relation(snapshot, arguments.first())? {
        Some(Found::Own(relation)) => snapshot.asker().is_guarded(relation).into(),
        Some(Found::System) => false.into(),
        None => Cell::Null,
    })
}

/// Those of the engine are everybody's.
fn function(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let asked = Asked::read(snapshot, arguments, 1)?;
    let state = &snapshot.state;
    let found = match asked.object.first() {
        Some(Cell::Text(signature)) => {
            let signature = signature.rsplit_once('.').map_or(signature.as_str(), |(_, name)| name);
            let mut schemas = snapshot.schemas.iter();
            schemas.find_map(|schema| state.find(Space::Function(schema.oid), signature))
        }
        other => other.and_then(Cell::oid).and_then(|oid| state.object(oid)),
    };
    Ok(match found.map(AsRef::as_ref) {
        Some(Object::Function(function)) => asked.on(snapshot, &Guarded::Function(function)),
        _ => true.into(),
    })
}

/// Membership at any remove, or that of a superuser in all.
fn role(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let (user, role) = match arguments {
        [role, _] => (snapshot.asker(), role),
        [user, role, _] => (asker(snapshot, user)?, role),
        _ => return Ok(Cell::Null),
    };
    let oid = match role {
        Cell::Text(name) => {
            let missing = || Error::new(Kind::UndefinedObject, format!("role \"{name}\" does not exist"));
            snapshot.roles.iter().find(|role| role.name == *name).ok_or_else(missing)?.oid
        }
        other => other.oid().unwrap_or(0),
    };
    Ok((user.is_superuser || user.roles.contains(&oid)).into())
}
