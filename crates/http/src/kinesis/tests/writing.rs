//! PutRecord and PutRecords.

use super::{Server, joined};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[tokio::test]
async fn a_record_comes_back_as_it_was_put() {
    let server = Server::start().await;
    server.create("put", 1).await;
    let input = json!({"StreamName": "put", "Data": "AGJpbmFyef8=", "PartitionKey": "schlüssel \"1\""});
    let put = server.good("PutRecord", input).await;
    assert_eq!((&put["ShardId"], &put["EncryptionType"]), (&json!("shardId-000000000000"), &json!("NONE")));
    let at = server.iterator("put", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    let read = server.good("GetRecords", json!({"ShardIterator": at})).await;
    let want = json!([{
        "SequenceNumber": put["SequenceNumber"],
        "ApproximateArrivalTimestamp": 1_700_000_000.5,
        "Data": "AGJpbmFyef8=",
        "PartitionKey": "schlüssel \"1\"",
        "EncryptionType": "NONE",
    }]);
    assert_eq!(read["Records"], want);
    assert_eq!(read["MillisBehindLatest"], 0);
}

#[tokio::test]
async fn many_records_are_put_in_order() {
    let server = Server::start().await;
    server.create("many", 3).await;
    let records: Vec<Value> = (0..500)
        .map(|n| json!({"Data": STANDARD.encode(format!("{n:03}")), "PartitionKey": format!("key {}", n % 17)}))
        .collect();
    let answer = server.good("PutRecords", json!({"StreamName": "many", "Records": records})).await;
    assert_eq!((&answer["FailedRecordCount"], &answer["EncryptionType"]), (&json!(0), &json!("NONE")));
    let results = answer["Records"].as_array().unwrap();
    assert_eq!(results.len(), 500);
    for shard in 0..3 {
        let id = format!("shardId-{shard:012}");
        let sent: String = (0..500).filter(|n| results[*n]["ShardId"] == id).map(|n| format!("{n:03}")).collect();
        let input = json!({"StreamName": "many", "ShardId": id, "ShardIteratorType": "TRIM_HORIZON"});
        let at = server.good("GetShardIterator", input).await;
        let read = server.good("GetRecords", json!({"ShardIterator": at["ShardIterator"]})).await;
        assert!(!sent.is_empty());
        assert_eq!(joined(&read), sent, "{id}");
    }
    let page = server.send("GET /metrics", "", b"").await.body;
    let page = page.as_str().unwrap();
    assert!(page.contains("tidegate_kinesis_records_put_total 500\n"), "{page}");
    assert!(page.contains("tidegate_kinesis_records_read_total 500\n"), "{page}");
}

#[tokio::test]
async fn the_hash_key_chooses_the_shard() {
    let server = Server::start().await;
    server.create("hashed", 4).await;
    let last = "340282366920938463463374607431768211455";
    let cases = [
        (json!({"PartitionKey": "a"}), "0"),
        (json!({"PartitionKey": "b"}), "2"),
        (json!({"PartitionKey": "a", "ExplicitHashKey": last}), "3"),
        (json!({"PartitionKey": "b", "ExplicitHashKey": "0"}), "0"),
    ];
    for (mut input, shard) in cases {
        input["StreamName"] = json!("hashed");
        input["Data"] = json!("eA==");
        let put = server.good("PutRecord", input.clone()).await;
        assert_eq!(put["ShardId"], format!("shardId-00000000000{shard}"), "{input}");
    }
}

#[tokio::test]
async fn the_largest_record_and_the_largest_batch() {
    let server = Server::start().await;
    server.create("large", 1).await;
    let data = STANDARD.encode(vec![7; 1 << 20]);
    let record = |n: usize| json!({"Data": data, "PartitionKey": n.to_string()});
    server.good("PutRecord", json!({"StreamName": "large", "Data": data, "PartitionKey": "k"})).await;
    let nine: Vec<Value> = (0..9).map(record).collect();
    server.good("PutRecords", json!({"StreamName": "large", "Records": nine})).await;
    let eleven: Vec<Value> = (0..11).map(record).collect();
    let input = json!({"StreamName": "large", "Records": eleven});
    let message = server.refused("InvalidArgumentException", "PutRecords", input).await;
    assert_eq!(message, "Records size exceeds 10 MB limit");
    let above = STANDARD.encode(vec![7; (1 << 20) + 1]);
    let input = json!({"StreamName": "large", "Data": above, "PartitionKey": "k"});
    let message = server.refused("ValidationException", "PutRecord", input).await;
    assert!(message.contains("at 'data' failed to satisfy constraint: Member must have length less"), "{message}");

    // 10 MiB are the most that one answer holds.
    server.put("large", &["tail"]).await;
    let at = server.iterator("large", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    let read = server.good("GetRecords", json!({"ShardIterator": at})).await;
    assert_eq!(read["Records"].as_array().unwrap().len(), 10);
    assert_eq!(server.data(read["NextShardIterator"].as_str().unwrap()).await, "tail");
}

#[tokio::test]
async fn what_is_tried_is_not_done() {
    let server = Server::start().await;
    server.create("dry", 1).await;
    let record = json!({"Data": "eA==", "PartitionKey": "k"});
    let many = json!({"StreamName": "dry", "Records": [record], "DryRun": true});
    server.refused("DryRunOperationException", "PutRecords", many).await;
    let one = json!({"StreamName": "dry", "Data": "eA==", "PartitionKey": "k", "DryRun": true});
    server.refused("DryRunOperationException", "PutRecord", one).await;
    let one = json!({"StreamName": "none", "Data": "eA==", "PartitionKey": "k", "DryRun": true});
    server.refused("ResourceNotFoundException", "PutRecord", one).await;
    let at = server.iterator("dry", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    server.refused("DryRunOperationException", "GetRecords", json!({"ShardIterator": at, "DryRun": true})).await;
    assert_eq!(server.data(&at).await, "");
}

#[tokio::test]
async fn an_order_can_be_asked_for() {
    let server = Server::start().await;
    server.create("order", 1).await;
    let number = server.put("order", &["a"]).await.remove(0);
    let put = |number: &str| json!({"StreamName": "order", "Data": "eA==", "PartitionKey": "k", "SequenceNumberForOrdering": number});
    let next = server.good("PutRecord", put(&number)).await;
    assert!(next["SequenceNumber"].as_str().unwrap() > number.as_str());
    server.refused("InvalidArgumentException", "PutRecord", put("12345")).await;
    server.refused("ValidationException", "PutRecord", put("x")).await;
    // A number of the future.
    server.clock.advance_ms(-5000);
    server.refused("InvalidArgumentException", "PutRecord", put(&number)).await;
}
