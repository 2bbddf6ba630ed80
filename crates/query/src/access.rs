//! Which keys open a path.

use crate::engine::Engine;
use tidegate_catalog::{Credential, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_storage::S3Access;

/// How a path is opened: by the credential that is named (42704 if there is none of that name), else by the one with the
/// longest scope that fits, else by the settings and the environment.
pub fn access(state: &State, engine: &Engine, url: &str, named: Option<&str>) -> Result<S3Access> {
    let credential = match named {
        Some(name) => Some(state.credential(name).ok_or_else(|| missing(name))?),
        None => state.credential_for(url),
    };
    let endpoint = Some(engine.settings().get("s3_endpoint")).filter(|endpoint| !endpoint.is_empty());
    Ok(match credential {
        Some(credential) => of(credential),
        None => S3Access { path_style: endpoint.is_some(), endpoint, ..S3Access::default() },
    })
}

fn of(credential: &Credential) -> S3Access {
    S3Access {
        key: Some(credential.key.clone()),
        secret: Some(credential.secret.clone()),
        token: credential.session_token.clone(),
        endpoint: credential.endpoint.clone(),
        region: credential.region.clone(),
        path_style: credential.path_style,
    }
}

fn missing(name: &str) -> Error {
    Error::new(Kind::UndefinedObject, format!("credential \"{name}\" does not exist"))
        .hint("CREATE CREDENTIAL makes one.")
}
