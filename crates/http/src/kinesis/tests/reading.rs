//! GetShardIterator and GetRecords.

use super::{NOW_MS, Server, joined};
use serde_json::{Value, json};

#[tokio::test]
async fn five_kinds_of_iterator() {
    let server = Server::start().await;
    server.create("five", 1).await;
    let latest = server.iterator("five", json!({"ShardIteratorType": "LATEST"})).await;
    let numbers = server.put("five", &["0", "1", "2", "3", "4"]).await;
    server.clock.advance_ms(1500);
    server.put("five", &["5", "6", "7", "8", "9"]).await;
    let shard = server.good("ListShards", json!({"StreamName": "five"})).await["Shards"][0].take();
    let start = &shard["SequenceNumberRange"]["StartingSequenceNumber"];
    let time = |ms: i64| json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": (NOW_MS + ms) as f64 / 1000.0});
    let number = |kind: &str, n: &Value| json!({"ShardIteratorType": kind, "StartingSequenceNumber": n});
    let cases = [
        (json!({"ShardIteratorType": "TRIM_HORIZON"}), "0123456789"),
        (json!({"ShardIteratorType": "LATEST"}), ""),
        (number("AT_SEQUENCE_NUMBER", &json!(numbers[3])), "3456789"),
        (number("AFTER_SEQUENCE_NUMBER", &json!(numbers[3])), "456789"),
        (number("AT_SEQUENCE_NUMBER", start), "0123456789"),
        (number("AFTER_SEQUENCE_NUMBER", start), "0123456789"),
        (time(-3_600_000), "0123456789"),
        (time(0), "0123456789"),
        (time(1), "56789"),
        (time(1500), "56789"),
    ];
    for (kind, want) in cases {
        let at = server.iterator("five", kind.clone()).await;
        assert_eq!(server.data(&at).await, want, "{kind}");
    }
    assert_eq!(server.data(&latest).await, "0123456789");
}

#[tokio::test]
async fn a_read_goes_on_where_the_last_one_ended() {
    let server = Server::start().await;
    server.create("go", 1).await;
    let mut at = server.iterator("go", json!({"ShardIteratorType": "LATEST"})).await;
    for _ in 0..3 {
        let read = server.good("GetRecords", json!({"ShardIterator": at})).await;
        assert_eq!((&read["Records"], &read["MillisBehindLatest"]), (&json!([]), &json!(0)));
        at = read["NextShardIterator"].as_str().unwrap().into();
    }
    server.put("go", &["0", "1", "2", "3", "4", "5", "6"]).await;
    server.clock.advance_ms(2000);
    let mut found = Vec::new();
    for behind in [2000, 2000, 0] {
        let read = server.good("GetRecords", json!({"ShardIterator": at, "Limit": 3})).await;
        assert_eq!(read["MillisBehindLatest"], behind);
        assert!(read.get("ChildShards").is_none());
        found.push(joined(&read));
        at = read["NextShardIterator"].as_str().unwrap().into();
    }
    assert_eq!(found, ["012", "345", "6"]);
}

#[tokio::test]
async fn a_closed_shard_ends_and_names_its_children() {
    let server = Server::start().await;
    server.create("closed", 1).await;
    server.put("closed", &["a", "b"]).await;
    server.memory.split("closed", 0);
    let at = server.iterator("closed", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    let one = server.good("GetRecords", json!({"ShardIterator": at, "Limit": 1})).await;
    assert!(one["NextShardIterator"].is_string());
    let two = server.good("GetRecords", json!({"ShardIterator": one["NextShardIterator"]})).await;
    assert_eq!((joined(&two).as_str(), &two["NextShardIterator"]), ("b", &Value::Null));
    let child = |n: u32, start: &str, end: &str| {
        json!({
            "ShardId": format!("shardId-{n:012}"),
            "ParentShards": ["shardId-000000000000"],
            "HashKeyRange": {"StartingHashKey": start, "EndingHashKey": end},
        })
    };
    let middle = "170141183460469231731687303715884105727";
    let want = json!([
        child(1, "0", middle),
        child(2, "170141183460469231731687303715884105728", "340282366920938463463374607431768211455"),
    ]);
    assert_eq!(two["ChildShards"], want);
    let listed = server.good("DescribeStream", json!({"StreamName": "closed"})).await["StreamDescription"].take();
    assert_eq!(listed["Shards"][1]["ParentShardId"], "shardId-000000000000");
    assert!(listed["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
    let summary = server.good("DescribeStreamSummary", json!({"StreamName": "closed"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 2);
}

#[tokio::test]
async fn iterators_end_with_their_time_and_their_stream() {
    let server = Server::start().await;
    server.create("end", 1).await;
    let at = server.iterator("end", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    let read = json!({"ShardIterator": at});
    server.clock.advance_ms(300_000);
    server.good("GetRecords", read.clone()).await;
    let other = json!({"ShardIterator": at, "StreamARN": "arn:aws:kinesis:eu-west-3:000000000000:stream/other"});
    server.refused("InvalidArgumentException", "GetRecords", other).await;

    let young = server.iterator("end", json!({"ShardIteratorType": "TRIM_HORIZON"})).await;
    server.good("DeleteStream", json!({"StreamName": "end"})).await;
    server.refused("ResourceNotFoundException", "GetRecords", json!({"ShardIterator": young})).await;
    server.create("end", 1).await;
    server.refused("ResourceNotFoundException", "GetRecords", json!({"ShardIterator": young})).await;

    server.clock.advance_ms(1);
    let message = server.refused("ExpiredIteratorException", "GetRecords", read).await;
    assert!(message.starts_with("Iterator expired. The iterator was created at time Tue Nov 14 22:13:20 UTC 2023"));
    let mut mangled = young.into_bytes();
    mangled[40] = if mangled[40] == b'A' { b'B' } else { b'A' };
    let mangled = String::from_utf8(mangled).unwrap();
    server.refused("InvalidArgumentException", "GetRecords", json!({"ShardIterator": mangled})).await;
}
