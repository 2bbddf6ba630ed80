//! What an object store's error means to the user: a kind, the URL, and one line of why.

use std::error::Error as StdError;
use std::io::ErrorKind;
use tidegate_core::{Error, Kind};

/// A reason is cut after so many characters: some services answer with a whole page.
const REASON_CHARS_MAX: usize = 200;

/// Codes by which S3 refuses, whatever status they come with.
const REFUSALS: [&str; 8] = [
    "AccessDenied",
    "AccountProblem",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnauthorizedAccess",
];

/// Says what an object store's error means, naming the URL that was worked on.
pub fn object_error(error: object_store::Error, url: &str) -> Error {
    let text = error.to_string();
    let code = element(&text, "Code");
    let reason = reason(&error, &text);
    let told = match kind(&error, code) {
        Kind::UndefinedFile if code == Some("NoSuchBucket") => {
            Error::new(Kind::UndefinedFile, format!("the bucket of {url} does not exist"))
        }
        Kind::UndefinedFile => Error::new(Kind::UndefinedFile, format!("{url} does not exist")),
        Kind::InsufficientPrivilege => {
            Error::new(Kind::InsufficientPrivilege, format!("access to {url} was refused: {reason}"))
                .hint("Check the credential that covers this URL, and its rights.")
        }
        Kind::DiskFull => Error::new(Kind::DiskFull, format!("no space left to write {url}: {reason}"))
            .hint("Make room, then try again."),
        kind => Error::new(kind, format!("{url}: {reason}")),
    };
    match exception(&error, &text) {
        Some(exception) => told.detail(exception),
        None => told,
    }
}

/// What S3 answered, as Redshift writes it; None where it did not answer in its own form.
fn exception(error: &object_store::Error, text: &str) -> Option<String> {
    let code = element(text, "Code")?;
    let message = element(text, "Message").unwrap_or_default().trim_end_matches('.');
    let status = status(error).map(|status| format!(",Status {status}")).unwrap_or_default();
    let request = element(text, "RequestId").map(|id| format!(",Rid {id}")).unwrap_or_default();
    Some(shorten(&format!("S3ServiceException:{message}{status},Error {code}{request}")))
}

/// The HTTP status that an answer had.
fn status(error: &object_store::Error) -> Option<String> {
    let status = |error: &(dyn StdError + 'static)| {
        let text = error.to_string();
        let (_, rest) = text.split_once("non-2xx status code: ")?;
        rest.get(..3).map(str::to_string)
    };
    chain(error).filter_map(status).last()
}

fn kind(error: &object_store::Error, code: Option<&str>) -> Kind {
    use object_store::Error as E;
    match (error, code) {
        (_, Some("NoSuchBucket" | "NoSuchKey")) => Kind::UndefinedFile,
        (_, Some(code)) if REFUSALS.contains(&code) => Kind::InsufficientPrivilege,
        (E::NotFound { .. }, _) => Kind::UndefinedFile,
        (E::PermissionDenied { .. } | E::Unauthenticated { .. }, _) => Kind::InsufficientPrivilege,
        (E::InvalidPath { .. }, _) => Kind::InvalidParameter,
        (E::NotSupported { .. } | E::NotImplemented { .. }, _) => Kind::Unsupported,
        _ => chain(error).find_map(io_kind).or_else(|| status_kind(error)).unwrap_or(Kind::Io),
    }
}

/// By the HTTP status of an answer to a listing, which the client does not tell apart.
fn status_kind(error: &object_store::Error) -> Option<Kind> {
    match status(error)?.as_str() {
        "404" => Some(Kind::UndefinedFile),
        "401" | "403" => Some(Kind::InsufficientPrivilege),
        _ => None,
    }
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<Kind> {
    match error.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Kind::DiskFull),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(Kind::InsufficientPrivilege),
        ErrorKind::NotFound => Some(Kind::UndefinedFile),
        _ => None,
    }
}

fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source())
}

/// What the service said, or else the innermost error: the ones around it repeat it.
fn reason(error: &object_store::Error, text: &str) -> String {
    let said = match (element(text, "Code"), element(text, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(only), None) | (None, Some(only)) => only.to_string(),
        (None, None) => {
            let innermost = chain(error).last().map_or_else(String::new, ToString::to_string);
            // An answer in a form of its own: keep the sentence before it.
            innermost.split('<').next().unwrap_or_default().to_string()
        }
    };
    let words: Vec<_> = said.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    shorten(line.trim_end_matches([':', ' ']))
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_string(),
    }
}

/// The text of an XML element without children.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::Error as E;

    type Source = Box<dyn StdError + Send + Sync>;

    fn generic(source: impl Into<Source>) -> E {
        E::Generic { store: "S3", source: source.into() }
    }

    fn xml(code: &str) -> String {
        format!("status 4xx: <?xml?>\n<Error><Code>{code}</Code>\n<Message>Said  {code}</Message></Error>")
    }

    #[derive(Debug)]
    struct Wrapped(std::io::Error);

    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "outer: {}", self.0)
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_becomes_a_kind_and_one_line_that_names_the_url() {
        let path = || "k".to_string();
        let io = |number| Wrapped(std::io::Error::from_raw_os_error(number));
        for (error, kind, message) in [
            (E::NotFound { path: path(), source: "x".into() }, Kind::UndefinedFile, "s3://b/k does not exist"),
            (
                E::NotFound { path: path(), source: xml("NoSuchBucket").into() },
                Kind::UndefinedFile,
                "the bucket of s3://b/k does not exist",
            ),
            (generic(xml("NoSuchBucket")), Kind::UndefinedFile, "the bucket of s3://b/k does not exist"),
            (
                generic(xml("InvalidAccessKeyId")),
                Kind::InsufficientPrivilege,
                "access to s3://b/k was refused: InvalidAccessKeyId: Said InvalidAccessKeyId",
            ),
            (
                E::PermissionDenied { path: path(), source: xml("SignatureDoesNotMatch").into() },
                Kind::InsufficientPrivilege,
                "access to s3://b/k was refused: SignatureDoesNotMatch: Said SignatureDoesNotMatch",
            ),
            (
                E::Unauthenticated { path: path(), source: "status 401: ".into() },
                Kind::InsufficientPrivilege,
                "access to s3://b/k was refused: status 401",
            ),
            (generic(io(28)), Kind::DiskFull, "no space left to write s3://b/k: No space left on device (os error 28)"),
            (
                generic(io(13)),
                Kind::InsufficientPrivilege,
                "access to s3://b/k was refused: Permission denied (os error 13)",
            ),
            (generic(io(111)), Kind::Io, "s3://b/k: Connection refused (os error 111)"),
            (generic("answered <html><body>long"), Kind::Io, "s3://b/k: answered"),
            (generic(xml("SlowDown")), Kind::Io, "s3://b/k: SlowDown: Said SlowDown"),
            (generic("two\nlines"), Kind::Io, "s3://b/k: two lines"),
        ] {
            let shown = error.to_string();
            let error = object_error(error, "s3://b/k");
            assert_eq!((error.kind(), error.message()), (kind, message), "{shown}");
        }
    }

    #[test]
    fn an_answer_of_s3_is_told_in_its_words() {
        let answer = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code>\
                      <Message>Access Denied.</Message><RequestId>42</RequestId></Error>";
        let error = object_error(E::PermissionDenied { path: "k".into(), source: answer.into() }, "s3://b/k");
        assert_eq!(error.detail_text(), Some("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 42"));
        assert_eq!(object_error(generic("x"), "s3://b/k").detail_text(), None);
    }

    #[test]
    fn a_long_reason_is_cut() {
        let error = object_error(generic("ä".repeat(500)), "s3://b/k");
        assert_eq!(error.message(), format!("s3://b/k: {}…", "ä".repeat(200)));
    }
}
