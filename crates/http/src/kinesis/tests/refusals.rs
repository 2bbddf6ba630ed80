//! What is refused, and by which code.

use super::{NOW_MS, Server};
use serde_json::{Value, json};
use tidegate_core::Settings;

const SHARD: &str = "shardId-000000000000";

#[tokio::test]
async fn streams_that_are_not_there() {
    let server = Server::start().await;
    let cases = [
        ("DeleteStream", json!({})),
        ("DescribeStream", json!({})),
        ("DescribeStreamSummary", json!({})),
        ("ListShards", json!({})),
        ("PutRecord", json!({"Data": "eA==", "PartitionKey": "k"})),
        ("PutRecords", json!({"Records": [{"Data": "eA==", "PartitionKey": "k"}]})),
        ("GetShardIterator", json!({"ShardId": SHARD, "ShardIteratorType": "LATEST"})),
    ];
    for (operation, mut input) in cases {
        server.refused("InvalidArgumentException", operation, input.clone()).await;
        input["StreamName"] = json!("none");
        let message = server.refused("ResourceNotFoundException", operation, input.clone()).await;
        assert_eq!(message, "Stream none under account 000000000000 not found.", "{operation}");
        input["StreamName"] = json!("a b");
        server.refused("ValidationException", operation, input.clone()).await;
        input["StreamName"] = json!("none");
        input["StreamARN"] = json!("arn:aws:kinesis:us-east-1:000000000000:stream/other");
        server.refused("InvalidArgumentException", operation, input).await;
    }
}

#[tokio::test]
async fn streams_that_cannot_be_made() {
    let server = Server::start().await;
    server.create("s", 1).await;
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    let on_demand = json!({"StreamMode": "ON_DEMAND"});
    let cases = [
        (json!({"StreamName": "s", "ShardCount": 1}), "ResourceInUseException"),
        (json!({"StreamName": "t", "ShardCount": 101}), "LimitExceededException"),
        (json!({"StreamName": "t", "ShardCount": 0}), "ValidationException"),
        (json!({"StreamName": "t", "ShardCount": "1"}), "SerializationException"),
        (json!({"StreamName": "t"}), "ValidationException"),
        (json!({"ShardCount": 1}), "ValidationException"),
        (json!({"StreamName": "", "ShardCount": 1}), "ValidationException"),
        (json!({"StreamName": "n".repeat(129), "ShardCount": 1}), "ValidationException"),
        (json!({"StreamName": "t", "StreamModeDetails": {"StreamMode": "SOME"}}), "ValidationException"),
        (json!({"StreamName": "t", "ShardCount": 1, "StreamModeDetails": on_demand}), "InvalidArgumentException"),
        (json!({"StreamName": "t", "ShardCount": 1, "Tags": many}), "InvalidArgumentException"),
        (json!({"StreamName": "t", "ShardCount": 1, "Tags": {"": "v"}}), "ValidationException"),
        (json!({"StreamName": "t", "ShardCount": 1, "MaxRecordSizeInKiB": 2048}), "InvalidArgumentException"),
        (json!({"StreamName": "t", "ShardCount": 1, "WarmThroughputMiBps": 5}), "InvalidArgumentException"),
        (json!({"StreamName": "t", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"}), "InvalidArgumentException"),
    ];
    for (input, code) in cases {
        server.refused(code, "CreateStream", input).await;
    }
    assert_eq!(server.good("ListStreams", json!({})).await["StreamNames"], json!(["s"]));
    server.create(&"n".repeat(128), 100).await;
}

#[tokio::test]
async fn records_that_cannot_be_put() {
    let server = Server::start().await;
    server.create("s", 1).await;
    let beyond = "340282366920938463463374607431768211456";
    let cases = [
        (json!({"PartitionKey": "k"}), "ValidationException"),
        (json!({"Data": "eA=="}), "ValidationException"),
        (json!({"Data": "eA==", "PartitionKey": ""}), "ValidationException"),
        (json!({"Data": "eA==", "PartitionKey": "k".repeat(257)}), "ValidationException"),
        (json!({"Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": "01"}), "ValidationException"),
        (json!({"Data": "eA==", "PartitionKey": "k", "ExplicitHashKey": beyond}), "InvalidArgumentException"),
        (json!({"Data": "e", "PartitionKey": "k"}), "SerializationException"),
        (json!({"Data": 1, "PartitionKey": "k"}), "SerializationException"),
        (json!({"Data": "eA==", "PartitionKey": 1}), "SerializationException"),
    ];
    let good = json!({"Data": "eA==", "PartitionKey": "k"});
    for (record, code) in cases {
        let input = json!({"StreamName": "s", "Records": [good, record]});
        let message = server.refused(code, "PutRecords", input).await;
        if code == "ValidationException" {
            assert!(message.contains("at 'records.2.member."), "{message}");
        }
        let mut input = record;
        input["StreamName"] = json!("s");
        server.refused(code, "PutRecord", input).await;
    }
    let lists = [json!([]), json!(vec![good; 501]), Value::Null];
    for list in lists {
        server.refused("ValidationException", "PutRecords", json!({"StreamName": "s", "Records": list})).await;
    }
    let at = server.iterator("s", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    assert_eq!(server.data(&at).await, "");
}

#[tokio::test]
async fn iterators_that_cannot_be_had() {
    let server = Server::start().await;
    server.create("s", 1).await;
    let number = server.put("s", &["a"]).await.remove(0);
    let future = NOW_MS / 1000 + 60;
    let cases = [
        (json!({"ShardIteratorType": "LATEST"}), "ValidationException"),
        (json!({"ShardId": SHARD}), "ValidationException"),
        (json!({"ShardId": SHARD, "ShardIteratorType": "SOMEWHERE"}), "ValidationException"),
        (json!({"ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"}), "ResourceNotFoundException"),
        (json!({"ShardId": "shard", "ShardIteratorType": "LATEST"}), "ResourceNotFoundException"),
        (json!({"ShardId": SHARD, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}), "InvalidArgumentException"),
        (json!({"ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (
            json!({"ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": future}),
            "InvalidArgumentException",
        ),
        (
            json!({"ShardId": SHARD, "ShardIteratorType": "LATEST", "StartingSequenceNumber": number}),
            "InvalidArgumentException",
        ),
        (
            json!({"ShardId": SHARD, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "12345"}),
            "InvalidArgumentException",
        ),
        (
            json!({"ShardId": SHARD, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "x"}),
            "ValidationException",
        ),
    ];
    for (mut input, code) in cases {
        input["StreamName"] = json!("s");
        server.refused(code, "GetShardIterator", input).await;
    }
    let reads = [
        (json!({}), "ValidationException"),
        (json!({"ShardIterator": "not an iterator"}), "InvalidArgumentException"),
        (json!({"ShardIterator": "A".repeat(513)}), "ValidationException"),
        (json!({"ShardIterator": "AAAA", "Limit": 0}), "ValidationException"),
        (json!({"ShardIterator": "AAAA", "Limit": 10001}), "ValidationException"),
    ];
    for (input, code) in reads {
        server.refused(code, "GetRecords", input).await;
    }
}

#[tokio::test]
async fn requests_that_are_none() {
    let server = Server::start().await;
    let target = |name: &str| format!("x-amz-target: {name}\r\n");
    let list = target("Kinesis_20131202.ListStreams");
    let cases: [(String, &[u8], u16, &str); 9] = [
        (String::new(), b"{}", 400, "UnknownOperationException"),
        (target("Kinesis_20131202.SplitShard"), b"{}", 400, "UnknownOperationException"),
        (target("Firehose_20150804.PutRecord"), b"{}", 400, "UnknownOperationException"),
        (list.clone(), b"", 400, "SerializationException"),
        (list.clone(), b"{", 400, "SerializationException"),
        (list.clone(), b"[1]", 400, "SerializationException"),
        (list.clone(), b"{\"Limit\": \"\xff\"}", 400, "SerializationException"),
        (format!("{list}content-type: application/x-amz-cbor-1.1\r\n"), b"\xa0", 415, "UnsupportedMediaTypeException"),
        (list.clone(), &[b' '; (256 << 10) + 1], 413, "RequestEntityTooLarge"),
    ];
    for (headers, body, status, code) in cases {
        let answer = server.send("POST /", &headers, body).await;
        assert_eq!((answer.status, answer.body["__type"].as_str()), (status, Some(code)), "{headers}: {answer:?}");
        assert!(answer.head.contains("\r\nx-amzn-requestid: "), "{}", answer.head);
    }
    let named = server.send("POST /", &target("Kinesis_20131202.SplitShard"), b"{}").await.body["message"].take();
    assert!(named.as_str().unwrap().contains("SplitShard"), "{named}");
    let big = vec![b' '; (16 << 20) + 1];
    let answer = server.send("POST /", &target("Kinesis_20131202.PutRecords"), &big).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    // Members that are not of the model are passed over, as by AWS.
    let answer = server.send("POST /", &list, b"{\"Other\": [1]}").await;
    assert_eq!((answer.status, &answer.body["StreamNames"]), (200, &json!([])));
    assert_eq!(server.send("GET /", "", b"").await.status, 404);
    assert_eq!(server.send("GET /healthz", "", b"").await.status, 200);
    let page = server.send("GET /metrics", "", b"").await.body;
    assert!(page.as_str().unwrap().contains("tidegate_kinesis_refused_total 11\n"), "{page}");
}

#[tokio::test]
async fn a_server_that_asks_for_proof_has_none_to_accept() {
    let settings = Settings::new();
    settings.set("auth", "password").unwrap();
    let server = Server::start_with(settings).await;
    server.refused("AccessDeniedException", "ListStreams", json!({})).await;
}

#[tokio::test]
async fn the_region_is_a_setting_when_a_request_is_not_signed() {
    let settings = Settings::new();
    settings.set("aws_region", "xx-here-1").unwrap();
    settings.set("aws_account_id", "123456789012").unwrap();
    let server = Server::start_with(settings).await;
    server.create("s", 1).await;
    let headers = "x-amz-target: Kinesis_20131202.ListStreams\r\n";
    let answer = server.send("POST /", headers, b"{}").await;
    assert_eq!(answer.body["StreamSummaries"][0]["StreamARN"], "arn:aws:kinesis:xx-here-1:123456789012:stream/s");
}
