//! DynamoDB, as far as COPY reads it: what a table may be read with, and its items page by page.

use super::connector::Connector;
use super::{S3Access, Stores, object_error, s3};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Error, Kind, Result};

/// Tries of a call that is answered with "too much" or not at all.
const TRIES_MAX: u32 = 8;
/// Wait before the second try; doubled with each further one.
const RETRY: Duration = Duration::from_millis(100);
/// Region of requests where none is named.
const REGION_DEFAULT: &str = "us-east-1";

/// A table of DynamoDB.
pub struct DynamoTable {
    client: HttpClient,
    endpoint: String,
    region: String,
    credential: Arc<AwsCredential>,
    name: String,
}

/// Items that were read at once.
#[derive(Debug)]
pub struct DynamoPage {
    /// The items: attributes by name, each `{"S": "…"}`, `{"N": "…"}` and so on.
    pub items: Vec<Map<String, Value>>,
    /// Where the next page begins; None: there is none.
    pub next: Option<Value>,
    /// Read capacity units that they cost.
    pub units: f64,
}

impl Stores {
    /// A table, by name. 42501 for a host that may not be reached.
    pub async fn dynamo_table(&self, name: &str, access: &S3Access) -> Result<DynamoTable> {
        let region = access.region.clone().unwrap_or_else(|| REGION_DEFAULT.to_string());
        let endpoint = access.endpoint.clone().unwrap_or_else(|| format!("https://dynamodb.{region}.amazonaws.com"));
        self.egress.check(&super::egress::host_of(&endpoint), &format!("dynamodb://{name}"))?;
        // The keys come from where those for S3 do.
        let keys = s3::open("keys", access, &self.egress, name)?;
        let credential = keys.credentials().get_credential().await.map_err(|error| object_error(error, name))?;
        let client = Connector(self.egress.clone()).connect(&ClientOptions::new());
        let client = client.map_err(|error| object_error(error, name))?;
        Ok(DynamoTable { client, endpoint, region, credential, name: name.to_string() })
    }
}

impl DynamoTable {
    /// Read capacity units a second that the table is provisioned with; 0: it is on demand.
    pub async fn read_capacity(&self) -> Result<u64> {
        let answer = self.call("DescribeTable", &json!({ "TableName": self.name })).await?;
        Ok(answer.pointer("/Table/ProvisionedThroughput/ReadCapacityUnits").and_then(Value::as_u64).unwrap_or(0))
    }

    /// A page of items.
    pub async fn scan(&self, from: Option<&Value>) -> Result<DynamoPage> {
        let mut request = json!({ "TableName": self.name, "ReturnConsumedCapacity": "TOTAL" });
        if let (Some(from), Some(request)) = (from, request.as_object_mut()) {
            request.insert("ExclusiveStartKey".to_string(), from.clone());
        }
        let mut answer = self.call("Scan", &request).await?;
        let units = answer.pointer("/ConsumedCapacity/CapacityUnits").and_then(Value::as_f64).unwrap_or(0.0);
        let next = answer.get("LastEvaluatedKey").cloned();
        let items = match answer.get_mut("Items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let object = |item| if let Value::Object(item) = item { Some(item) } else { None };
        Ok(DynamoPage { items: items.into_iter().filter_map(object).collect(), next, units })
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<Value> {
        let mut wait = RETRY;
        for _ in 1..TRIES_MAX {
            match self.try_call(operation, body).await {
                Err(Failed::Again(_)) => tokio::time::sleep(wait).await,
                Err(Failed::Ends(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
            wait *= 2;
        }
        self.try_call(operation, body).await.map_err(|failed| match failed {
            Failed::Again(error) | Failed::Ends(error) => error,
        })
    }

    async fn try_call(&self, operation: &str, body: &Value) -> Result<Value, Failed> {
        let what = format!("DynamoDB {operation} of table {}", self.name);
        let unreachable =
            |error: &dyn std::fmt::Display| Failed::Again(Error::new(Kind::Io, format!("{what}: {error}")));
        let text = body.to_string();
        let request = http::Request::post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .body(HttpRequestBody::from(text));
        let mut request: HttpRequest =
            request.map_err(|error| Failed::Ends(Error::new(Kind::InvalidParameter, format!("{what}: {error}"))))?;
        AwsAuthorizer::new(&self.credential, "dynamodb", &self.region).authorize(&mut request, None);
        let answer = self.client.execute(request).await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.into_body().bytes().await.map_err(|error| unreachable(&error))?;
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match status.is_success() {
            true => Ok(answer),
            false => Err(refused(&what, status.as_u16(), &answer)),
        }
    }
}

/// Why a call gave nothing.
enum Failed {
    /// It may do so the next time.
    Again(Error),
    /// It will not.
    Ends(Error),
}

fn refused(what: &str, status: u16, answer: &Value) -> Failed {
    let word = |name: &str| answer.get(name).and_then(Value::as_str);
    let code = word("__type").unwrap_or_default().rsplit('#').next().unwrap_or_default();
    let message = word("message").or_else(|| word("Message")).unwrap_or_default();
    let kind = match code {
        "ResourceNotFoundException" => Kind::UndefinedFile,
        _ if status == 400 && code.contains("AccessDenied") || matches!(status, 401 | 403) => {
            Kind::InsufficientPrivilege
        }
        "UnrecognizedClientException" | "InvalidSignatureException" => Kind::InsufficientPrivilege,
        _ => Kind::External,
    };
    let error = Error::new(kind, format!("{what}: status {status}, {code}: {message}"));
    let again = status >= 500 || matches!(code, "ProvisionedThroughputExceededException" | "ThrottlingException");
    if again { Failed::Again(error) } else { Failed::Ends(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let cases = [
            (400, "ResourceNotFoundException", false, Kind::UndefinedFile),
            (400, "AccessDeniedException", false, Kind::InsufficientPrivilege),
            (400, "ProvisionedThroughputExceededException", true, Kind::External),
            (500, "InternalServerError", true, Kind::External),
        ];
        for (status, code, again, kind) in cases {
            let answer = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no" });
            let (found, error) = match refused("it", status, &answer) {
                Failed::Again(error) => (true, error),
                Failed::Ends(error) => (false, error),
            };
            assert_eq!((found, error.kind()), (again, kind), "{code}");
        }
    }
}
