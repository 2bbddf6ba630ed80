//! Errors as an AWS SDK reads them, and the one table from the server's kinds to AWS's codes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tidegate_core::{Error, Kind};

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The shape's name in AWS's model.
    pub code: &'static str,
    pub status: StatusCode,
    pub message: String,
}

impl Fault {
    fn new(code: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Fault { code, status, message: message.into() }
    }

    /// A request that AWS answers with 400 and this code.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, StatusCode::BAD_REQUEST, message)
    }

    /// The arguments do not go together, or not with the stream.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::refused("InvalidArgumentException", message)
    }

    /// No such stream or shard.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::refused("ResourceNotFoundException", message)
    }

    /// The body does not read as the operation's input.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::refused("SerializationException", message)
    }

    /// The body is larger than the operation takes.
    pub fn too_large(max: usize) -> Self {
        let message = format!("The request's body is larger than {max} bytes; send less in one request.");
        Self::new("RequestEntityTooLarge", StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// The body did not come in time.
    pub fn too_slow(seconds: u64) -> Self {
        let message = format!("The request's body did not arrive within {seconds} seconds.");
        Self::new("RequestTimeoutException", StatusCode::REQUEST_TIMEOUT, message)
    }

    /// The body is in a format that is not read here.
    pub fn media_type(message: impl Into<String>) -> Self {
        Self::new("UnsupportedMediaTypeException", StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// Whether it is the server's fault and not the client's.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The HTTP answer, but for the headers that every answer has.
    pub fn into_response(self) -> Response {
        // AWS writes this one word with a capital in this one error.
        let key = if self.code == "SerializationException" { "Message" } else { "message" };
        let body = serde_json::json!({ "__type": self.code, key: self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(super::JSON));
        response
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, status) = code(error.kind());
        let message = match error.hint_text() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_string(),
        };
        Fault::new(code, status, message)
    }
}

/// The table. A kind that no stream operation should meet is a fault of ours.
fn code(kind: Kind) -> (&'static str, StatusCode) {
    let refused = StatusCode::BAD_REQUEST;
    match kind {
        Kind::UndefinedTable | Kind::WrongObjectType | Kind::UndefinedObject | Kind::UndefinedSchema => {
            ("ResourceNotFoundException", refused)
        }
        Kind::DuplicateTable | Kind::DuplicateObject | Kind::DependentObjects | Kind::NotInState => {
            ("ResourceInUseException", refused)
        }
        Kind::LimitExceeded => ("LimitExceededException", refused),
        Kind::InvalidParameter
        | Kind::InvalidText
        | Kind::InvalidDefinition
        | Kind::OutOfRange
        | Kind::StringTooLong
        | Kind::ProgramLimit
        | Kind::Unsupported => ("InvalidArgumentException", refused),
        // SDKs wait and try these again.
        Kind::OutOfMemory | Kind::Conflict => ("ProvisionedThroughputExceededException", refused),
        Kind::InsufficientPrivilege | Kind::InvalidAuthorization | Kind::InvalidPassword => {
            ("AccessDeniedException", refused)
        }
        Kind::Shutdown | Kind::Cancelled => ("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE),
        _ => ("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_codes() {
        let cases = [
            (Kind::UndefinedTable, "ResourceNotFoundException", 400),
            (Kind::WrongObjectType, "ResourceNotFoundException", 400),
            (Kind::DuplicateTable, "ResourceInUseException", 400),
            (Kind::LimitExceeded, "LimitExceededException", 400),
            (Kind::InvalidParameter, "InvalidArgumentException", 400),
            (Kind::OutOfMemory, "ProvisionedThroughputExceededException", 400),
            (Kind::Shutdown, "ServiceUnavailable", 503),
            (Kind::DiskFull, "InternalFailure", 500),
            (Kind::Io, "InternalFailure", 500),
            (Kind::Internal, "InternalFailure", 500),
        ];
        for (kind, want, status) in cases {
            let fault = Fault::from(Error::new(kind, "m").hint("h"));
            assert_eq!(
                (fault.code, fault.status.as_u16(), fault.message.as_str()),
                (want, status, "m (h)"),
                "{kind:?}"
            );
        }
    }
}
