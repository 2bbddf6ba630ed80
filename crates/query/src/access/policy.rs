//! CREATE, ALTER and DROP POLICY, and ALTER TABLE … ROW LEVEL SECURITY.

use super::asker::Need;
use super::grant::user;
use super::rows::check_condition;
use crate::ddl::replace;
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    Change, EVERYBODY, Object, Oid, Policy, PolicyCommand, Relation, RelationKind, RowSecurity, State,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, AlterTableOperation, CreatePolicyCommand, CreatePolicyType, Expr, Ident};
use tidegate_parser::fold;

/// Policies of one relation at most: each is a part of every query of it.
const POLICIES_MAX: usize = 1000;

/// Performs a statement about policies, and gives its tag. None: it is another one.
pub async fn execute(work: &mut Work<'_>, statement: &ast::Statement) -> Result<Option<&'static str>> {
    match statement {
        ast::Statement::CreatePolicy(policy) => create(work, policy).await.map(|()| Some("CREATE POLICY")),
        ast::Statement::AlterPolicy(policy) => alter(work, policy).await.map(|()| Some("ALTER POLICY")),
        ast::Statement::DropPolicy(policy) => drop(work, policy).map(|()| Some("DROP POLICY")),
        ast::Statement::AlterTable(alter) if !alter.operations.is_empty() => {
            let operations = alter.operations.iter().map(switched).collect::<Option<Vec<_>>>();
            match operations {
                Some(operations) => switch(work, alter, &operations).map(|()| Some("ALTER TABLE")),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// How an operation changes whether policies count.
fn switched(operation: &AlterTableOperation) -> Option<fn(&mut RowSecurity)> {
    match operation {
        AlterTableOperation::EnableRowLevelSecurity => Some(|security| security.enabled = true),
        AlterTableOperation::DisableRowLevelSecurity => Some(|security| security.enabled = false),
        AlterTableOperation::ForceRowLevelSecurity => Some(|security| security.forced = true),
        AlterTableOperation::NoForceRowLevelSecurity => Some(|security| security.forced = false),
        _ => None,
    }
}

fn switch(work: &mut Work<'_>, alter: &ast::AlterTable, operations: &[fn(&mut RowSecurity)]) -> Result<()> {
    let relation = guarded(work, &alter.name)?;
    replace(work, relation, |relation| operations.iter().for_each(|change| change(&mut relation.row_security)))
}

/// A relation that has rows of its own, of its owner. 42809 for a view.
fn guarded(work: &Work<'_>, name: &ast::ObjectName) -> Result<Relation> {
    let relation = work.relation(name, Need::Owner)?;
    match relation.kind {
        RelationKind::View(_) => {
            let message = format!("\"{}\" is a view, which has no rows of its own", relation.name);
            Err(Error::new(Kind::WrongObjectType, message).hint("Put the policy on the tables that it reads."))
        }
        _ => Ok(relation),
    }
}

async fn create(work: &mut Work<'_>, create: &ast::CreatePolicy) -> Result<()> {
    let relation = guarded(work, &create.table_name)?;
    let name = fold(&create.name);
    free_name(work.state(), &relation, &name)?;
    if work.state().policies(relation.oid).count() >= POLICIES_MAX {
        let message = format!("table \"{}\" has {POLICIES_MAX} policies already", relation.name);
        return Err(Error::new(Kind::LimitExceeded, message).hint("Join conditions by OR in one policy."));
    }
    let command = match create.command {
        None | Some(CreatePolicyCommand::All) => PolicyCommand::All,
        Some(CreatePolicyCommand::Select) => PolicyCommand::Select,
        Some(CreatePolicyCommand::Insert) => PolicyCommand::Insert,
        Some(CreatePolicyCommand::Update) => PolicyCommand::Update,
        Some(CreatePolicyCommand::Delete) => PolicyCommand::Delete,
    };
    let policy = Policy {
        oid: work.engine().catalog().next_oid()?,
        name,
        revision: 1,
        relation: relation.oid,
        command,
        permissive: !matches!(create.policy_type, Some(CreatePolicyType::Restrictive)),
        roles: roles(work, create.to.as_deref())?,
        using: None,
        check: None,
        search_path: work.scope.lasting().search_path.clone(),
    };
    put(work, &relation, policy, create.using.as_ref(), create.with_check.as_ref()).await
}

/// 42710 where the relation has a policy of the name.
fn free_name(state: &State, relation: &Relation, name: &str) -> Result<()> {
    match state.policies(relation.oid).any(|policy| policy.name == name) {
        true => {
            let message = format!("policy \"{name}\" for table \"{}\" already exists", relation.name);
            Err(Error::new(Kind::DuplicateObject, message))
        }
        false => Ok(()),
    }
}

async fn alter(work: &mut Work<'_>, alter: &ast::AlterPolicy) -> Result<()> {
    let relation = guarded(work, &alter.table_name)?;
    let name = fold(&alter.name);
    let mut policy = find(work.state(), &relation, &name)?.clone();
    policy.revision += 1;
    match &alter.operation {
        ast::AlterPolicyOperation::Rename { new_name } => {
            let new = fold(new_name);
            free_name(work.state(), &relation, &new)?;
            policy.name = new;
            put(work, &relation, policy, None, None).await
        }
        ast::AlterPolicyOperation::Apply { to, using, with_check } => {
            if to.is_some() {
                policy.roles = roles(work, to.as_deref())?;
            }
            put(work, &relation, policy, using.as_ref(), with_check.as_ref()).await
        }
    }
}

/// Keeps a policy, with the conditions that a statement gives it.
async fn put(
    work: &mut Work<'_>,
    relation: &Relation,
    mut policy: Policy,
    using: Option<&Expr>,
    check: Option<&Expr>,
) -> Result<()> {
    check_clauses(policy.command, using.is_some(), check.is_some())?;
    for (given, kept) in [(using, &mut policy.using), (check, &mut policy.check)] {
        if let Some(given) = given {
            let text = given.to_string();
            check_condition(&work.scope, relation, &text).await?;
            *kept = Some(text);
        }
    }
    work.push(vec![Change::Put(Arc::new(Object::Policy(policy)))])
}

/// 42601 for a condition that says nothing of such a command (Postgres).
fn check_clauses(command: PolicyCommand, using: bool, check: bool) -> Result<()> {
    let message = match command {
        PolicyCommand::Insert if using => "only WITH CHECK expression allowed for INSERT",
        PolicyCommand::Select | PolicyCommand::Delete if check => "WITH CHECK cannot be applied to SELECT or DELETE",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Syntax, message))
}

fn drop(work: &mut Work<'_>, drop: &ast::DropPolicy) -> Result<()> {
    let name = fold(&drop.name);
    let found = guarded(work, &drop.table_name)
        .and_then(|relation| find(work.state(), &relation, &name).map(|policy| (policy.oid, policy.revision)));
    match found {
        Err(error) if drop.if_exists && matches!(error.kind(), Kind::UndefinedTable | Kind::UndefinedObject) => {
            work.notice(format!("{}, skipping", error.message()));
            Ok(())
        }
        found => {
            let (oid, revision) = found?;
            work.push(vec![Change::Drop { oid, revision }])
        }
    }
}

fn find<'s>(state: &'s State, relation: &Relation, name: &str) -> Result<&'s Policy> {
    let missing = || {
        let message = format!("policy \"{name}\" for table \"{}\" does not exist", relation.name);
        Error::new(Kind::UndefinedObject, message)
    };
    state.policies(relation.oid).find(|policy| policy.name == name).ok_or_else(missing)
}

/// Whom a policy concerns: everybody, where nobody is named.
fn roles(work: &mut Work<'_>, named: Option<&[ast::Owner]>) -> Result<Vec<Oid>> {
    let role = |owner: &ast::Owner| match owner {
        ast::Owner::Ident(name) if is_public(name) => Ok(EVERYBODY),
        ast::Owner::Ident(name) => user(work.state(), &fold(name)).map(|user| user.oid),
        ast::Owner::SessionUser => user(work.state(), &work.scope.session_user).map(|user| user.oid),
        ast::Owner::CurrentRole | ast::Owner::CurrentUser => user(work.state(), &work.scope.user).map(|user| user.oid),
    };
    let mut roles = named.unwrap_or_default().iter().map(role).collect::<Result<Vec<Oid>>>()?;
    if roles.contains(&EVERYBODY) && roles.len() > 1 {
        work.warn("22023", "ignoring specified roles other than PUBLIC".to_string());
    }
    if roles.is_empty() || roles.contains(&EVERYBODY) {
        roles = vec![EVERYBODY];
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

fn is_public(name: &Ident) -> bool {
    name.quote_style.is_none() && fold(name) == "public"
}

/// What keeps a role from being dropped: a policy that names it, in Postgres' words.
pub fn concerns(state: &State, role: Oid) -> Option<String> {
    let policies = state.relations().flat_map(|relation| state.policies(relation.oid).map(move |one| (relation, one)));
    let mut named = policies.filter(|(_, policy)| policy.roles.contains(&role));
    named.next().map(|(relation, policy)| format!("target of policy {} on table {}", policy.name, relation.name))
}
