//! Who may do what: checked where a statement gets hold of an object, so that none can be had unasked.
//!
//! 1. A relation that is read is looked up by the scope, which asks for SELECT ([`asker`]). What only some columns of
//!    may be read is scanned through [`columns`].
//! 2. A relation that is changed comes from [`Work::relation`](crate::Work::relation), which is told what for.
//! 3. Inside a view the rights are those of the view's owner, as in Postgres; a function has its caller's.
//! 4. What lies outside of the server is reached by credentials, which are guarded likewise ([`outside`]).
//!
//! 5. Which rows are whose is said by policies ([`policy`]), which count where rows are read and before they are
//!    written ([`rows`]).
//!
//! Rights themselves, and what a list of them says, are the catalog's; here they are given and taken ([`grant`]), with
//! the roles ([`role`]) and owners ([`owner`]) that have them; what roles grant on what they will make is
//! [`default_privileges`]. Specified by `tests/slt/door/grant*.slt`.

mod asker;
mod barrier;
mod columns;
mod default_privileges;
mod grant;
mod outside;
mod owner;
mod policy;
mod role;
mod rows;

pub use asker::{Asker, Need, denied, mentioned, returned};
pub use barrier::RowBarrierExec;
pub use columns::ReadableColumns;
pub use default_privileges::lists as default_lists;
pub use grant::require_creation;
pub use outside::{access, check_files, check_outside, is_s3, require_superuser, undefined_credential};
pub use owner::owner_to_be;
pub use policy::execute as execute_policy;
pub use rows::{RowCheck, checked};

use crate::outcome::Outcome;
use crate::work::Work;
use tidegate_core::Result;
use tidegate_parser::Statement;

/// Performs a statement about roles and rights. None: it is another one.
pub fn execute(work: &mut Work<'_>, statement: &Statement) -> Result<Option<Outcome>> {
    let tag = match statement {
        Statement::CreateUser(create) => role::create(work, create)?,
        Statement::AlterUser(alter) => role::alter(work, alter)?,
        Statement::DropUser(drop) => role::drop(work, drop)?,
        Statement::Grant(given) => grant::execute(work, given)?,
        Statement::AlterOwner(alter) => owner::alter(work, alter)?,
        Statement::AlterDefaultPrivileges(alter) => default_privileges::alter(work, alter)?,
        _ => return Ok(None),
    };
    Ok(Some(Outcome::Done { tag: tag.to_string() }))
}
