//! With what services outside are reached, and who may reach beyond the server's own data.

use super::asker::Need;
use crate::engine::Engine;
use crate::scope::Scope;
use tidegate_catalog::{Credential, Guarded, Rights, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_storage::S3Access;

/// The access for a URL: the named credential's (42704 when there is none), else that of the longest scope which the URL
/// lies in, else that of the server's environment. What names no endpoint takes the setting `s3_endpoint`.
pub fn access(state: &State, engine: &Engine, url: &str, named: Option<&str>) -> Result<S3Access> {
    let credential = match named {
        Some(name) => Some(state.named::<Credential>(name).ok_or_else(|| undefined_credential(name))?),
        None if is_s3(url) => state.credential_for(url),
        None => None,
    };
    let mut access = credential.map_or_else(S3Access::default, of_credential);
    let endpoint = engine.settings().get("s3_endpoint");
    if access.endpoint.is_none() && !endpoint.is_empty() {
        access.path_style = true;
        access.endpoint = Some(endpoint);
    }
    Ok(access)
}

/// 42704 in the words of other missing objects.
pub fn undefined_credential(name: &str) -> Error {
    Error::new(Kind::UndefinedObject, format!("credential \"{name}\" does not exist"))
        .hint("CREATE CREDENTIAL makes one; names are case-sensitive here.")
}

/// Whether a URL is of an object in S3 rather than of a file of the server.
pub fn is_s3(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"))
}

/// 42501 unless the user may do everything. `what` ends "must be superuser to …".
pub fn require_superuser(scope: &Scope, what: &str) -> Result<()> {
    match scope.asker().is_superuser {
        true => Ok(()),
        false => Err(Error::new(Kind::InsufficientPrivilege, format!("must be superuser to {what}"))),
    }
}

/// 42501 when the URL is of a file of the server and the user may not read and write those.
pub fn check_files(scope: &Scope, url: &str) -> Result<()> {
    match is_s3(url) {
        true => Ok(()),
        false => require_superuser(scope, "use files of the server")
            .map_err(|error| error.hint("A superuser can make an external table of them, which others may read.")),
    }
}

/// 42501 when who asks may not use the keys that open a URL: those of the named credential, else of the one whose scope it
/// lies in. Files of the server, and the keys of its environment, are the superusers'.
pub fn check_outside(scope: &Scope, url: &str, named: Option<&str>) -> Result<()> {
    if url.starts_with('/') || url.starts_with("file:") {
        return check_files(scope, url);
    }
    let credential = match named {
        Some(name) => Some(scope.state.named::<Credential>(name).ok_or_else(|| undefined_credential(name))?),
        None => scope.state.credential_for(url),
    };
    match credential {
        Some(credential) => scope.require(&Guarded::Credential(credential), Need::All(Rights::USAGE)),
        None => require_superuser(scope, "use the keys of the server's environment")
            .map_err(|error| error.hint("Name a credential of which you have USAGE, or have one made for this path.")),
    }
}

fn of_credential(credential: &Credential) -> S3Access {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    S3Access {
        key: given(&credential.key),
        secret: given(&credential.secret),
        token: credential.session_token.clone(),
        endpoint: credential.endpoint.clone(),
        region: credential.region.clone(),
        path_style: credential.path_style,
        encryption: None,
    }
}
