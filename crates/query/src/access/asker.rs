//! Who asks, and whether they may.

use crate::scope::Scope;
use crate::temporary;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use tidegate_catalog::{Guarded, HISTORY, Oid, Relation, Rights, Schema, State, User};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr};
use tidegate_parser::fold;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The roles whose rights they have.
    pub roles: BTreeSet<Oid>,
    /// Whether they may do everything.
    pub is_superuser: bool,
    /// Whether no policy counts for them.
    pub bypasses_policies: bool,
}

impl Asker {
    /// A role. None, one that nobody has made: under trust it is the administrator's.
    pub fn of(state: &State, role: Option<&User>, trusted: bool) -> Asker {
        Asker {
            roles: role.map(|role| state.roles_of(role.oid)).unwrap_or_default(),
            is_superuser: role.map_or(trusted, |role| role.superuser),
            bypasses_policies: role.is_some_and(|role| role.bypasses_policies),
        }
    }

    /// What they may do with an object as a whole.
    pub fn rights(&self, state: &State, guarded: &Guarded<'_>) -> Rights {
        if self.is_superuser { guarded.grantable() } else { state.rights(&self.roles, guarded) }
    }

    /// Whether they own it.
    pub fn owns(&self, guarded: &Guarded<'_>) -> bool {
        self.is_superuser || self.roles.contains(&guarded.owner())
    }

    /// Whether policies count for them.
    pub fn is_guarded(&self, relation: &Relation) -> bool {
        let security = relation.row_security;
        let owns = !security.forced && self.owns(&Guarded::Relation(relation));
        security.enabled && !(self.is_superuser || self.bypasses_policies || owns)
    }

    /// What they may do with a column of a relation.
    pub fn column_rights(&self, state: &State, relation: &Relation, column: &str) -> Rights {
        let own = state.column_rights(&self.roles, relation).get(column).copied().unwrap_or_default();
        self.rights(state, &Guarded::Relation(relation)) | own
    }

    fn meets(&self, state: &State, guarded: &Guarded<'_>, need: Need) -> bool {
        match need {
            Need::Owner => self.owns(guarded),
            Need::OwnerOr(rights) => self.owns(guarded) || self.rights(state, guarded).has(rights),
            Need::All(rights) => self.rights(state, guarded).has(rights),
            Need::Any(rights) => !(self.rights(state, guarded) & rights).is_empty(),
        }
    }
}

/// What a statement needs of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To own it.
    Owner,
    /// To own it, or to have a right that stands for that (Redshift's ALTER and DROP).
    OwnerOr(Rights),
    /// To have all of these rights.
    All(Rights),
    /// To have one of them.
    Any(Rights),
}

impl Scope {
    /// Who asks: inside a view its owner.
    pub fn asker(&self) -> Asker {
        let role = match self.acting {
            Some(owner) => self.state.get::<User>(owner),
            None => self.state.named::<User>(&self.user),
        };
        let trusted = self.acting.is_none() && self.engine.settings().get("auth") != "password";
        Asker::of(&self.state, role, trusted)
    }

    /// 42501 unless who asks may.
    pub fn require(&self, guarded: &Guarded<'_>, need: Need) -> Result<()> {
        let asker = self.asker();
        if asker.is_superuser {
            return Ok(());
        }
        if let Guarded::Relation(relation) = guarded {
            self.require_schema(&asker, relation)?;
        }
        match asker.meets(&self.state, guarded, need) {
            true => Ok(()),
            false => Err(denied(guarded, need)),
        }
    }

    /// The same for some columns of a relation: the right to each will do.
    pub fn require_columns(&self, relation: &Relation, rights: Rights, columns: &[usize]) -> Result<()> {
        let asker = self.asker();
        let theirs = |at: &usize| {
            let column = relation.columns.get(*at);
            column.is_some_and(|column| asker.column_rights(&self.state, relation, column.in_files()).has(rights))
        };
        if !columns.is_empty() && columns.iter().all(theirs) {
            return match asker.is_superuser {
                true => Ok(()),
                false => self.require_schema(&asker, relation),
            };
        }
        self.require(&Guarded::Relation(relation), Need::All(rights))
    }

    /// The columns of a relation that may be read; None: all of them. 42501 where it is none.
    pub fn readable(&self, relation: &Relation) -> Result<Option<BTreeSet<String>>> {
        let asker = self.asker();
        let guarded = Guarded::Relation(relation);
        if relation.schema == HISTORY || asker.is_superuser {
            return Ok(None);
        }
        self.require_schema(&asker, relation)?;
        if asker.rights(&self.state, &guarded).has(Rights::SELECT) {
            return Ok(None);
        }
        let columns: BTreeMap<&str, Rights> = self.state.column_rights(&asker.roles, relation);
        let may = |in_files: &str| columns.get(in_files).is_some_and(|rights| rights.has(Rights::SELECT));
        let readable: BTreeSet<String> =
            relation.columns.iter().filter(|column| may(column.in_files())).map(|column| column.name.clone()).collect();
        match readable.is_empty() {
            true => Err(denied(&guarded, Need::All(Rights::SELECT))),
            false => Ok(Some(readable)),
        }
    }

    /// Whether the names in a schema may be looked up.
    pub fn may_use(&self, schema: &Schema) -> bool {
        temporary::is_temporary(&schema.name)
            || self.asker().meets(&self.state, &Guarded::Schema(schema), Need::All(Rights::USAGE))
    }

    /// A view's names were looked up when it was made.
    fn require_schema(&self, asker: &Asker, relation: &Relation) -> Result<()> {
        let Some(schema) = self.state.get::<Schema>(relation.schema) else { return Ok(()) };
        if self.acting.is_some() || temporary::schema_of(self.pid) == schema.name {
            return Ok(());
        }
        let need = Need::All(Rights::USAGE);
        match asker.meets(&self.state, &Guarded::Schema(schema), need) {
            true => Ok(()),
            false => Err(denied(&Guarded::Schema(schema), need)),
        }
    }
}

/// 42501 in Postgres' words.
pub fn denied(guarded: &Guarded<'_>, need: Need) -> Error {
    let (noun, name) = (guarded.noun(), guarded.name());
    let message = match need {
        Need::Owner | Need::OwnerOr(_) => format!("must be owner of {noun} {name}"),
        Need::All(_) | Need::Any(_) => format!("permission denied for {noun} {name}"),
    };
    Error::new(Kind::InsufficientPrivilege, message)
}

/// The columns of a relation that expressions name, as far as names tell: rather one too many, as a subquery may have
/// columns of the same names.
pub fn mentioned<'e>(relation: &Relation, exprs: impl IntoIterator<Item = &'e Expr>) -> Vec<usize> {
    let mut found = BTreeSet::new();
    for expr in exprs {
        let _ = ast::visit_expressions(expr, |expr| {
            let name = match expr {
                Expr::Identifier(name) => Some(fold(name)),
                Expr::CompoundIdentifier(names) => names.last().map(fold),
                _ => None,
            };
            found.extend(name.and_then(|name| relation.columns.iter().position(|column| column.name == name)));
            ControlFlow::<()>::Continue(())
        });
    }
    found.into_iter().collect()
}

/// The columns that the items of RETURNING name: all, where one is a wildcard.
pub fn returned<'i>(relation: &Relation, items: impl IntoIterator<Item = &'i ast::SelectItem>) -> Vec<usize> {
    let mut found = BTreeSet::new();
    for item in items {
        match item {
            ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..) => {
                found.extend(0..relation.columns.len())
            }
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                found.extend(mentioned(relation, [expr]));
            }
            _ => found.extend(0..relation.columns.len()),
        }
    }
    found.into_iter().collect()
}
