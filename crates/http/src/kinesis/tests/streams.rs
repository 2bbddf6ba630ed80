//! Streams and shards: made, described, listed, deleted.

use super::{NOW_MS, Server};
use serde_json::{Value, json};

fn ids(answer: &Value) -> Vec<&str> {
    answer["Shards"].as_array().unwrap().iter().map(|shard| shard["ShardId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_is_made_described_and_deleted() {
    let server = Server::start().await;
    server.create("first", 2).await;
    let about = server.good("DescribeStream", json!({"StreamName": "first"})).await["StreamDescription"].take();
    let shard = |number: u32, start: &str, end: &str, sequence: &str| {
        json!({
            "ShardId": format!("shardId-{number:012}"),
            "HashKeyRange": {"StartingHashKey": start, "EndingHashKey": end},
            "SequenceNumberRange": {"StartingSequenceNumber": sequence},
        })
    };
    let (middle, end) = ("170141183460469231731687303715884105727", "340282366920938463463374607431768211455");
    let sequence = |n: usize| about["Shards"][n]["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap();
    assert_eq!(sequence(0).len(), 56);
    let want = json!({
        "StreamName": "first",
        "StreamARN": "arn:aws:kinesis:eu-west-3:000000000000:stream/first",
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_700_000_000.5,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "KeyId": null,
        "HasMoreShards": false,
        "Shards": [
            shard(0, "0", middle, sequence(0)),
            shard(1, "170141183460469231731687303715884105728", end, sequence(1)),
        ],
    });
    assert_eq!(about, want);

    let arn = json!({"StreamARN": about["StreamARN"]});
    let summary = server.good("DescribeStreamSummary", arn.clone()).await["StreamDescriptionSummary"].take();
    assert_eq!((&summary["StreamName"], &summary["OpenShardCount"]), (&json!("first"), &json!(2)));
    assert_eq!((&summary["ConsumerCount"], &summary["MaxRecordSizeInKiB"]), (&json!(0), &json!(1024)));
    assert_eq!(summary["StreamARN"], about["StreamARN"]);

    assert_eq!(server.good("DeleteStream", arn).await, "");
    let message = server.refused("ResourceNotFoundException", "DescribeStream", json!({"StreamName": "first"})).await;
    assert_eq!(message, "Stream first under account 000000000000 not found.");
}

#[tokio::test]
async fn a_stream_on_demand_has_no_number_of_shards() {
    let server = Server::start().await;
    let input = json!({"StreamName": "d", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    server.good("CreateStream", input).await;
    let summary = server.good("DescribeStreamSummary", json!({"StreamName": "d"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
}

#[tokio::test]
async fn tags_go_to_the_engine() {
    let server = Server::start().await;
    let input = json!({"StreamName": "t", "ShardCount": 1, "Tags": {"b": "2", "a": ""}});
    server.good("CreateStream", input).await;
    assert_eq!(*server.memory.tags.lock(), [("a".to_string(), String::new()), ("b".to_string(), "2".to_string())]);
}

#[tokio::test]
async fn streams_are_listed_in_pages() {
    let server = Server::start().await;
    for name in ["e", "c", "a", "d", "b"] {
        server.create(name, 1).await;
    }
    let all = server.good("ListStreams", json!({})).await;
    assert_eq!(all["StreamNames"], json!(["a", "b", "c", "d", "e"]));
    assert_eq!((&all["HasMoreStreams"], &all["NextToken"]), (&json!(false), &Value::Null));
    assert_eq!(all["StreamSummaries"][0]["StreamARN"], "arn:aws:kinesis:eu-west-3:000000000000:stream/a");
    assert_eq!(all["StreamSummaries"][4]["StreamStatus"], "ACTIVE");

    let one = server.good("ListStreams", json!({"Limit": 2})).await;
    assert_eq!((&one["StreamNames"], &one["HasMoreStreams"]), (&json!(["a", "b"]), &json!(true)));
    let two = server.good("ListStreams", json!({"Limit": 3, "NextToken": one["NextToken"]})).await;
    assert_eq!((&two["StreamNames"], &two["HasMoreStreams"]), (&json!(["c", "d", "e"]), &json!(false)));
    let rest = server.good("ListStreams", json!({"ExclusiveStartStreamName": "bb"})).await;
    assert_eq!(rest["StreamNames"], json!(["c", "d", "e"]));

    server.clock.advance_ms(300_001);
    let late = json!({"NextToken": one["NextToken"]});
    server.refused("ExpiredNextTokenException", "ListStreams", late).await;
}

#[tokio::test]
async fn shards_are_listed_in_pages() {
    let server = Server::start().await;
    server.create("wide", 5).await;
    let name = json!({"StreamName": "wide"});
    let all = server.good("ListShards", name.clone()).await;
    assert_eq!(ids(&all).len(), 5);
    assert_eq!(all["NextToken"], Value::Null);
    let one = server.good("ListShards", json!({"StreamName": "wide", "MaxResults": 2})).await;
    let two = server.good("ListShards", json!({"NextToken": one["NextToken"], "MaxResults": 2})).await;
    let three = server.good("ListShards", json!({"NextToken": two["NextToken"]})).await;
    assert_eq!([ids(&one), ids(&two), ids(&three)].concat(), ids(&all));
    assert_eq!(three["NextToken"], Value::Null);
    let after = json!({"StreamName": "wide", "ExclusiveStartShardId": "shardId-000000000002"});
    assert_eq!(ids(&server.good("ListShards", after).await), ids(&all)[3..]);
    let part = server.good("DescribeStream", json!({"StreamName": "wide", "Limit": 3})).await;
    assert_eq!(part["StreamDescription"]["HasMoreShards"], true);

    let both = json!({"StreamName": "wide", "NextToken": one["NextToken"]});
    server.refused("InvalidArgumentException", "ListShards", both).await;
    server.refused("InvalidArgumentException", "ListShards", json!({"NextToken": "AAAA"})).await;
    let other = server.iterator("wide", json!({"ShardIteratorType": "LATEST"})).await;
    server.refused("InvalidArgumentException", "ListShards", json!({"NextToken": other})).await;
    let made = |s: i64| json!({"StreamName": "wide", "StreamCreationTimestamp": s});
    assert_eq!(ids(&server.good("ListShards", made(NOW_MS / 1000)).await).len(), 5);
    server.refused("ResourceNotFoundException", "ListShards", made(NOW_MS / 1000 - 1)).await;

    // Another stream of the name is not what the token goes on with.
    server.good("DeleteStream", name).await;
    server.clock.advance_ms(1);
    server.create("wide", 5).await;
    server.refused("ResourceNotFoundException", "ListShards", json!({"NextToken": one["NextToken"]})).await;
    server.clock.advance_ms(300_001);
    server.refused("ExpiredNextTokenException", "ListShards", json!({"NextToken": one["NextToken"]})).await;
}

#[tokio::test]
async fn shards_are_filtered() {
    let server = Server::start().await;
    server.create("f", 2).await;
    server.clock.advance_ms(100_000);
    server.memory.split("f", 0);
    server.clock.advance_ms(100_000);
    let at = |seconds: i64| json!(NOW_MS / 1000 + seconds);
    let cases = [
        (json!({"Type": "AT_LATEST"}), vec![1, 2, 3]),
        (json!({"Type": "AT_TRIM_HORIZON"}), vec![0, 1]),
        (json!({"Type": "FROM_TRIM_HORIZON"}), vec![0, 1, 2, 3]),
        (json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}), vec![2, 3]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(50)}), vec![0, 1]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(150)}), vec![1, 2, 3]),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(-999_999)}), vec![0, 1]),
        (json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(50)}), vec![0, 1, 2, 3]),
        (json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(150)}), vec![1, 2, 3]),
    ];
    for (filter, numbers) in cases {
        let want: Vec<String> = numbers.iter().map(|n| format!("shardId-{n:012}")).collect();
        let whole = server.good("ListShards", json!({"StreamName": "f", "ShardFilter": filter})).await;
        assert_eq!(ids(&whole), want, "{filter}");
        let input = json!({"StreamName": "f", "ShardFilter": filter, "MaxResults": 1});
        let one = server.good("ListShards", input).await;
        let rest = server.good("ListShards", json!({"NextToken": one["NextToken"]})).await;
        assert_eq!([ids(&one), ids(&rest)].concat(), want, "{filter} in pages");
    }
    let refused = [
        (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": at(201)}), "InvalidArgumentException"),
        (json!({"Type": "AFTER_SHARD_ID"}), "InvalidArgumentException"),
        (json!({"Type": "SOME"}), "ValidationException"),
        (json!({}), "ValidationException"),
    ];
    for (filter, code) in refused {
        server.refused(code, "ListShards", json!({"StreamName": "f", "ShardFilter": filter})).await;
    }
}
