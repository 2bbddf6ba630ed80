//! What the server carries on with by itself, such as a delivery or a job: how it is found, and how it moves.
//!
//! Each keeps a spec (what was asked), a state (what was decided; durable) and attempts (what was tried), and says why
//! it waits. It moves by pure steps from one value to the next revision, and [`Catalog::advance`] makes a step durable,
//! alone or in one frame with what belongs to it. When a service looks at its resources is for
//! [`Rounds`](crate::Rounds), who may work on one of them for [`Turns`](crate::Turns).

use crate::batch::{ComputeEnvironment, Job, JobDefinition, JobQueue};
use crate::catalog::Catalog;
use crate::change::Change;
use crate::continuous::ContinuousQuery;
use crate::copy_job::CopyJob;
use crate::object::{Credential, Delivery, Object, Oid, Schema, Setting, Space, UnloadAttempt};
use crate::state::State;
use crate::user::User;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Times that changes are made anew when another commit was first.
const CONFLICTS_MAX: usize = 100;

/// A kind of object of which there is one namespace.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The namespace.
    const SPACE: Space;
    /// The object as one of this kind.
    fn of(object: &Object) -> Option<&Self>;
    /// As an object.
    fn into_object(self) -> Object;
}

macro_rules! resource {
    ($($kind:ident: $inner:ident => $object:expr;)*) => {$(
        impl Resource for $kind {
            const SPACE: Space = Space::$kind;

            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$kind(found) => Some(found),
                    _ => None,
                }
            }

            fn into_object(self) -> Object {
                let $inner = self;
                Object::$kind($object)
            }
        }
    )*};
}

resource! {
    Schema: own => own;
    Credential: own => own;
    User: own => own;
    Delivery: own => own;
    Setting: own => own;
    ContinuousQuery: own => Box::new(own);
    ComputeEnvironment: own => own;
    JobQueue: own => own;
    JobDefinition: own => own;
    Job: own => Box::new(own);
    CopyJob: own => own;
    UnloadAttempt: own => own;
}

impl Change {
    /// Makes an object, or replaces the one of the revision before.
    pub fn put(resource: impl Resource) -> Change {
        Change::Put(Arc::new(resource.into_object()))
    }
}

impl State {
    /// The one of a number.
    pub fn get<T: Resource>(&self, oid: Oid) -> Option<&T> {
        T::of(self.object(oid)?)
    }

    /// The one of a name.
    pub fn named<T: Resource>(&self, name: &str) -> Option<&T> {
        T::of(self.find(T::SPACE, name)?)
    }

    /// All of a kind, by number.
    pub fn all<T: Resource>(&self) -> impl Iterator<Item = &T> {
        self.objects().filter_map(|object| T::of(object))
    }
}

impl Catalog {
    /// Commits changes made of the newest state, and makes them anew when another commit was first. False: there were
    /// none to make. 40001 when others are first all the time.
    pub async fn commit_newest(&self, changes: impl Fn(&State) -> Vec<Change>) -> Result<bool> {
        let mut conflict = Error::new(Kind::Conflict, "it is being changed all the time");
        for _ in 0..CONFLICTS_MAX {
            let changes = changes(&self.state());
            if changes.is_empty() {
                return Ok(false);
            }
            match self.commit(changes).await {
                Err(error) if error.kind() == Kind::Conflict => conflict = error,
                other => return other.map(|_| true),
            }
        }
        Err(conflict)
    }

    /// Commits a step of a resource as it stands now, together with other changes. False: there is no step, or the
    /// resource is gone.
    pub async fn advance<T: Resource>(
        &self,
        oid: Oid,
        with: &[Change],
        step: impl Fn(&T) -> Option<T>,
    ) -> Result<bool> {
        let changes = |state: &State| match state.get(oid).and_then(&step) {
            Some(stepped) => with.iter().cloned().chain([Change::put(stepped)]).collect(),
            None => Vec::new(),
        };
        self.commit_newest(changes).await
    }
}
