//! Names as AWS writes them: ARNs, shard ids, and the region in a request's signature.

use super::errors::Fault;
use super::validate::{NAME_CHARS_MAX, is_name};
use axum::http::{HeaderMap, header};

const SHARD_PREFIX: &str = "shardId-";
/// Characters of a region's name.
const REGION_CHARS_MAX: usize = 32;

/// `shardId-` and twelve digits.
pub(crate) fn shard_id(number: u32) -> String {
    format!("{SHARD_PREFIX}{number:012}")
}

/// The number in a shard id; AWS takes it without the prefix and the zeros as well.
pub(crate) fn shard_number(id: &str) -> Option<u32> {
    let digits = id.strip_prefix(SHARD_PREFIX).unwrap_or(id);
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The ARN of a stream.
pub(crate) fn stream_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:kinesis:{region}:{account}:stream/{name}")
}

/// The account and the stream's name in an ARN. The region is not looked at: the server has but one set of streams, and
/// tells each client its own region.
fn parse_arn(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let scheme = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let name = resource.strip_prefix("stream/")?;
    let good = scheme.0 == "arn" && scheme.1.starts_with("aws") && scheme.2 == "kinesis";
    (good && is_name(name) && name.len() <= NAME_CHARS_MAX).then_some((account, name))
}

/// The stream's name in an ARN of this account.
pub(crate) fn name_in_arn<'a>(arn: &'a str, account: &str) -> Result<&'a str, Fault> {
    let Some((owner, name)) = parse_arn(arn) else {
        return Err(Fault::argument(format!("StreamARN {arn} is not the ARN of a stream.")));
    };
    if owner != account {
        return Err(Fault::missing(format!("Stream {name} under account {owner} not found.")));
    }
    Ok(name)
}

/// The region in the scope of a request's SigV4 signature.
pub(crate) fn signed_region(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let scope = value.split_once("Credential=")?.1.split([',', ' ']).next()?;
    // Key id, date, region, service, aws4_request; a key id may hold slashes, so it is counted from the end.
    let region = scope.rsplit('/').nth(2)?;
    let good = !region.is_empty() && region.len() <= REGION_CHARS_MAX;
    (good && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn shard_ids_are_read_as_they_are_written() {
        assert_eq!(shard_id(12), "shardId-000000000012");
        let cases = [
            ("shardId-000000000012", Some(12)),
            ("12", Some(12)),
            ("shardId-4294967295", Some(u32::MAX)),
            ("shardId-4294967296", None),
            ("shardId-", None),
            ("shardId-+1", None),
            ("shard-1", None),
            ("", None),
        ];
        for (id, number) in cases {
            assert_eq!(shard_number(id), number, "{id}");
        }
    }

    #[test]
    fn arns_are_read_as_they_are_written() {
        assert_eq!(name_in_arn(&stream_arn("eu-west-1", "000000000000", "a.b"), "000000000000"), Ok("a.b"));
        let cases = [
            ("arn:aws-cn:kinesis:cn-north-1:000000000000:stream/a", None),
            ("arn:aws:kinesis:us-east-1:111111111111:stream/a", Some("ResourceNotFoundException")),
            ("arn:aws:firehose:us-east-1:000000000000:stream/a", Some("InvalidArgumentException")),
            ("arn:aws:kinesis:us-east-1:000000000000:stream/a/b", Some("InvalidArgumentException")),
            ("arn:aws:kinesis:us-east-1:000000000000:stream/", Some("InvalidArgumentException")),
            ("a", Some("InvalidArgumentException")),
        ];
        for (arn, code) in cases {
            assert_eq!(name_in_arn(arn, "000000000000").err().map(|f| f.code), code, "{arn}");
        }
    }

    #[test]
    fn the_region_is_in_the_signature() {
        let cases = [
            (
                "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-3/kinesis/aws4_request, SignedHeaders=a, Signature=b",
                Some("eu-west-3"),
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/20260101/eu-west-3/kinesis/aws4_request,SignedHeaders=a",
                Some("eu-west-3"),
            ),
            ("AWS4-HMAC-SHA256 Credential=AKID/20260101//kinesis/aws4_request, SignedHeaders=a", None),
            ("AWS4-HMAC-SHA256 Credential=AKID/20260101/a:b/kinesis/aws4_request, SignedHeaders=a", None),
            ("AWS4-HMAC-SHA256 Credential=", None),
            ("Basic abc", None),
        ];
        for (value, region) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(signed_region(&headers), region, "{value}");
        }
        assert_eq!(signed_region(&HeaderMap::new()), None);
    }
}
