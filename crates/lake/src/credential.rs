//! CREATE and DROP CREDENTIAL.

use tidegate_catalog::{Change, Credential};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CreateCredential, DropCredential, fold};
use tidegate_query::{Work, require_superuser, undefined_credential};

/// The scope of a credential that names none: all of S3.
const SCOPE_DEFAULT: &str = "s3://";
/// What a message calls the statement.
const STATEMENT: &str = "CREATE CREDENTIAL";

/// CREATE CREDENTIAL.
pub fn create(work: &mut Work<'_>, create: &CreateCredential) -> Result<&'static str> {
    require_superuser(&work.scope, "create credentials")?;
    let name = fold(&create.name);
    let before = work.state().named::<Credential>(&name).map(|old| (old.oid, old.revision));
    if before.is_some() && create.if_not_exists {
        work.notice(format!("credential \"{name}\" already exists, skipping"));
        return Ok(STATEMENT);
    }
    if before.is_some() && !create.or_replace {
        let message = format!("credential \"{name}\" already exists");
        return Err(Error::new(Kind::DuplicateObject, message).hint("CREATE OR REPLACE CREDENTIAL replaces it."));
    }
    let (oid, revision) = match before {
        Some((oid, revision)) => (oid, revision + 1),
        None => (work.engine().catalog().next_oid()?, 1),
    };
    let credential = Credential { oid, name, revision, ..read(create)? };
    work.push(vec![Change::put(credential)])?;
    Ok(STATEMENT)
}

/// What the options say. No message repeats a value that may be a secret.
fn read(create: &CreateCredential) -> Result<Credential> {
    let mut options = create.options.clone();
    match options.take("type") {
        Some(kind) if kind.eq_ignore_ascii_case("s3") => {}
        Some(kind) => {
            let message = format!("{STATEMENT}: TYPE {kind} is not supported");
            return Err(Error::new(Kind::Unsupported, message).hint("The type is s3."));
        }
        None => return Err(invalid("TYPE is missing").hint("Write TYPE s3.")),
    }
    let (key, secret) = (options.take("key"), options.take("secret"));
    if key.is_some() != secret.is_some() {
        let missing = if key.is_some() { "SECRET" } else { "KEY" };
        return Err(invalid(&format!("{missing} is missing"))
            .hint("Give both KEY and SECRET, or neither for anonymous access."));
    }
    let path_style = match options.take("path_style").map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("false" | "off" | "0" | "no") => false,
        Some("true" | "on" | "1" | "yes") => true,
        Some(_) => return Err(invalid("PATH_STYLE is true or false")),
    };
    let credential = Credential {
        oid: 0,
        name: String::new(),
        revision: 0,
        key: key.unwrap_or_default(),
        secret: secret.unwrap_or_default(),
        session_token: options.take("session_token"),
        endpoint: options.take("endpoint").map(endpoint).transpose()?,
        region: options.take("region"),
        path_style,
        scope: options.take("scope").map_or_else(|| Ok(SCOPE_DEFAULT.to_string()), scope)?,
    };
    options.expect_empty(STATEMENT)?;
    Ok(credential)
}

fn endpoint(text: String) -> Result<String> {
    match text.starts_with("http://") || text.starts_with("https://") {
        true => Ok(text),
        false => Err(invalid("ENDPOINT is not a URL").hint("Write http://host:port or https://host.")),
    }
}

fn scope(text: String) -> Result<String> {
    match text.starts_with(SCOPE_DEFAULT) {
        true => Ok(text),
        false => Err(invalid("SCOPE is not a place in S3").hint("Write s3://bucket or s3://bucket/prefix.")),
    }
}

fn invalid(what: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{STATEMENT}: {what}"))
}

/// DROP CREDENTIAL.
pub fn drop(work: &mut Work<'_>, drop: &DropCredential) -> Result<&'static str> {
    require_superuser(&work.scope, "drop credentials")?;
    let name = fold(&drop.name);
    match work.state().named::<Credential>(&name).map(|old| (old.oid, old.revision)) {
        Some((oid, revision)) => work.push(vec![Change::Drop { oid, revision }])?,
        None if drop.if_exists => work.notice(format!("credential \"{name}\" does not exist, skipping")),
        None => return Err(undefined_credential(&name)),
    }
    Ok("DROP CREDENTIAL")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_parser::{Statement, parse_one};

    #[test]
    fn options_are_checked_and_secrets_stay_unsaid() {
        let cases = [
            ("TYPE s3, KEY 'k', SECRET 'hush'", None),
            ("TYPE s3, ENDPOINT 'http://h:1', SCOPE 's3://b', PATH_STYLE true, REGION 'r', SESSION_TOKEN 't'", None),
            ("KEY 'k', SECRET 'hush'", Some(Kind::InvalidParameter)),
            ("TYPE gcs, KEY 'k', SECRET 'hush'", Some(Kind::Unsupported)),
            ("TYPE s3, KEY 'hush'", Some(Kind::InvalidParameter)),
            ("TYPE s3, SECRET 'hush'", Some(Kind::InvalidParameter)),
            ("TYPE s3, SECRETS 'hush'", Some(Kind::Unsupported)),
            ("TYPE s3, ENDPOINT 'hush'", Some(Kind::InvalidParameter)),
            ("TYPE s3, SCOPE 'hush'", Some(Kind::InvalidParameter)),
            ("TYPE s3, PATH_STYLE 'hush'", Some(Kind::InvalidParameter)),
        ];
        for (options, expected) in cases {
            let Ok(Statement::CreateCredential(create)) = parse_one(&format!("CREATE CREDENTIAL c ({options})")) else {
                panic!("{options}")
            };
            let read = read(&create);
            assert_eq!(read.as_ref().err().map(Error::kind), expected, "{options}");
            assert!(!format!("{read:?}").contains("hush"), "{options}");
        }
    }
}
