"""boto3 against a server, unmodified but for the endpoint: ten operations of Kinesis, five kinds of iterator, SQL on the same stream."""

import datetime as dt
import json
import os
import time

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError

from checks import CONNINFO, HTTP_PORT, check, equal, finish

UTC = dt.timezone.utc
READS_MAX = 50
kinesis = boto3.client("kinesis", endpoint_url=f"http://127.0.0.1:{HTTP_PORT}", region_name="us-east-1",
                       config=Config(retries={"max_attempts": 1}))
WITH_SQL = os.environ.get("TIDEGATE_SQL_PORT") is not None
sql = psycopg.connect(CONNINFO, autocommit=True) if WITH_SQL else None


def wait_active(name):
    for _ in range(100):
        if kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE":
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} did not become ACTIVE")


def create(name, shards):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    wait_active(name)


def shard_ids(name):
    return [s["ShardId"] for s in kinesis.list_shards(StreamName=name)["Shards"]]


def read(iterator, limit=10_000):
    """Follows an iterator until it has caught up."""
    found = []
    for _ in range(READS_MAX):
        answer = kinesis.get_records(ShardIterator=iterator, Limit=limit)
        found += answer["Records"]
        iterator = answer["NextShardIterator"]
        if answer["MillisBehindLatest"] == 0 and not answer["Records"]:
            break
    return found


def iterator(name, shard, kind, **more):
    return kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def everything(name):
    return [r for shard in shard_ids(name) for r in read(iterator(name, shard, "TRIM_HORIZON"))]


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code)
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        assert error.response["Error"]["Message"], "no message"
    else:
        raise AssertionError(f"no {code}")


@check
def create_describe_list_delete():
    create("first", 2)
    d = kinesis.describe_stream(StreamName="first")["StreamDescription"]
    equal((d["StreamName"], d["StreamStatus"], d["RetentionPeriodHours"], d["HasMoreShards"], d["EncryptionType"]),
          ("first", "ACTIVE", 24, False, "NONE"))
    equal(d["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/first")
    equal([s["ShardId"] for s in d["Shards"]], ["shardId-000000000000", "shardId-000000000001"])
    ranges = [s["HashKeyRange"] for s in d["Shards"]]
    equal((ranges[0]["StartingHashKey"], ranges[1]["EndingHashKey"]), ("0", str(2**128 - 1)))
    equal(int(ranges[0]["EndingHashKey"]) + 1, int(ranges[1]["StartingHashKey"]))
    assert all(len(s["SequenceNumberRange"]["StartingSequenceNumber"]) == 56 for s in d["Shards"])
    assert abs((dt.datetime.now(UTC) - d["StreamCreationTimestamp"]).total_seconds()) < 60
    summary = kinesis.describe_stream_summary(StreamName="first")["StreamDescriptionSummary"]
    equal((summary["OpenShardCount"], summary["ConsumerCount"], summary["StreamModeDetails"]["StreamMode"]), (2, 0, "PROVISIONED"))
    by_arn = kinesis.describe_stream_summary(StreamARN=d["StreamARN"])["StreamDescriptionSummary"]
    equal(by_arn["StreamName"], "first")
    assert "first" in kinesis.list_streams()["StreamNames"]
    kinesis.delete_stream(StreamName="first")
    for _ in range(100):
        if "first" not in kinesis.list_streams()["StreamNames"]:
            break
        time.sleep(0.05)
    refused("ResourceNotFoundException", kinesis.describe_stream, StreamName="first")


@check
def lists_come_in_pages():
    for n in range(5):
        create(f"page-{n}", 1)
    one = kinesis.list_streams(Limit=2)
    equal((len(one["StreamNames"]), one["HasMoreStreams"]), (2, True))
    two = kinesis.list_streams(Limit=100, ExclusiveStartStreamName=one["StreamNames"][-1])
    equal(one["StreamNames"] + two["StreamNames"], sorted(kinesis.list_streams()["StreamNames"]))
    equal({s["StreamName"] for s in two["StreamSummaries"]}, set(two["StreamNames"]))
    create("wide", 5)
    first = kinesis.list_shards(StreamName="wide", MaxResults=2)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    equal([s["ShardId"] for s in first["Shards"] + rest["Shards"]], [f"shardId-{n:012}" for n in range(5)])
    part = kinesis.describe_stream(StreamName="wide", Limit=3)["StreamDescription"]
    equal((len(part["Shards"]), part["HasMoreShards"]), (3, True))
    last = kinesis.describe_stream(StreamName="wide", ExclusiveStartShardId=part["Shards"][-1]["ShardId"])["StreamDescription"]
    equal((len(last["Shards"]), last["HasMoreShards"]), (2, False))


@check
def put_record_and_get_it():
    create("put", 2)
    answer = kinesis.put_record(StreamName="put", Data=b"\x00binary\xff", PartitionKey="k")
    equal(len(answer["SequenceNumber"]), 56)
    (record,) = read(iterator("put", answer["ShardId"], "TRIM_HORIZON"))
    equal((record["Data"], record["PartitionKey"], record["SequenceNumber"]), (b"\x00binary\xff", "k", answer["SequenceNumber"]))
    assert abs((dt.datetime.now(UTC) - record["ApproximateArrivalTimestamp"]).total_seconds()) < 60


@check
def put_records_keep_their_order():
    create("many", 3)
    sent = []
    for batch in range(4):
        records = [{"Data": f"{batch}/{n}".encode(), "PartitionKey": f"key {n % 17}"} for n in range(500)]
        answer = kinesis.put_records(StreamName="many", Records=records)
        equal((answer["FailedRecordCount"], len(answer["Records"])), (0, 500))
        sent += [(a["ShardId"], a["SequenceNumber"], r["Data"]) for r, a in zip(records, answer["Records"])]
    equal(len({s for _, s, _ in sent}), 2000)
    for shard in shard_ids("many"):
        expected = [(s, d) for where, s, d in sent if where == shard]
        assert expected, f"nothing went to {shard}"
        found = [(r["SequenceNumber"], r["Data"]) for r in read(iterator("many", shard, "TRIM_HORIZON"), limit=130)]
        equal(found, expected)
        equal([int(s) for s, _ in found], sorted(int(s) for s, _ in found))


@check
def the_hash_key_chooses_the_shard():
    create("hashed", 4)
    for n, shard in enumerate(kinesis.list_shards(StreamName="hashed")["Shards"]):
        for key in (shard["HashKeyRange"]["StartingHashKey"], shard["HashKeyRange"]["EndingHashKey"]):
            equal(kinesis.put_record(StreamName="hashed", Data=b"x", PartitionKey="p", ExplicitHashKey=key)["ShardId"], f"shardId-{n:012}")
    # MD5 of "a" is 0cc1…, of "b" 92eb…: the first and the third quarter.
    equal([kinesis.put_record(StreamName="hashed", Data=b"x", PartitionKey=k)["ShardId"][-1] for k in "ab"], ["0", "2"])


@check
def five_kinds_of_iterator():
    create("five", 1)
    shard = shard_ids("five")[0]
    latest = iterator("five", shard, "LATEST")
    numbers = [kinesis.put_record(StreamName="five", Data=str(n).encode(), PartitionKey="k")["SequenceNumber"] for n in range(5)]
    time.sleep(1.1)
    middle = dt.datetime.now(UTC)
    time.sleep(0.1)
    numbers += [kinesis.put_record(StreamName="five", Data=str(n).encode(), PartitionKey="k")["SequenceNumber"] for n in range(5, 10)]

    def data(*arguments, **more):
        return b"".join(r["Data"] for r in read(iterator("five", shard, *arguments, **more)))

    equal(data("TRIM_HORIZON"), b"0123456789")
    equal(data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]), b"3456789")
    equal(data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]), b"456789")
    equal(data("AT_TIMESTAMP", Timestamp=middle), b"56789")
    equal(data("AT_TIMESTAMP", Timestamp=middle - dt.timedelta(hours=1)), b"0123456789")
    equal(data("LATEST"), b"")
    equal(b"".join(r["Data"] for r in read(latest)), b"0123456789")
    start = kinesis.list_shards(StreamName="five")["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"]
    equal(data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=start), b"0123456789")


@check
def an_empty_read_gives_a_next_iterator():
    create("empty", 1)
    at = iterator("empty", shard_ids("empty")[0], "LATEST")
    for _ in range(3):
        answer = kinesis.get_records(ShardIterator=at)
        equal((answer["Records"], answer["MillisBehindLatest"]), ([], 0))
        at = answer["NextShardIterator"]
    kinesis.put_record(StreamName="empty", Data=b"x", PartitionKey="k")
    equal([r["Data"] for r in kinesis.get_records(ShardIterator=at)["Records"]], [b"x"])


@check
def limits_of_a_read():
    create("limited", 1)
    kinesis.put_records(StreamName="limited", Records=[{"Data": bytes([n]), "PartitionKey": "k"} for n in range(10)])
    answer = kinesis.get_records(ShardIterator=iterator("limited", shard_ids("limited")[0], "TRIM_HORIZON"), Limit=3)
    equal([r["Data"] for r in answer["Records"]], [b"\0", b"\1", b"\2"])
    answer = kinesis.get_records(ShardIterator=answer["NextShardIterator"], Limit=3)
    equal([r["Data"] for r in answer["Records"]], [b"\3", b"\4", b"\5"])


@check
def a_large_record():
    create("large", 1)
    data = os.urandom(1 << 20)
    kinesis.put_record(StreamName="large", Data=data, PartitionKey="k")
    (record,) = everything("large")
    assert record["Data"] == data, "other bytes came back"


@check
def what_is_refused():
    create("refusing", 1)
    shard = shard_ids("refusing")[0]
    refused("ResourceInUseException", kinesis.create_stream, StreamName="refusing", ShardCount=1)
    missing = {"StreamName": "no-such-stream"}
    for call, more in [(kinesis.describe_stream, {}), (kinesis.describe_stream_summary, {}), (kinesis.list_shards, {}),
                       (kinesis.delete_stream, {}), (kinesis.put_record, {"Data": b"x", "PartitionKey": "k"}),
                       (kinesis.put_records, {"Records": [{"Data": b"x", "PartitionKey": "k"}]}),
                       (kinesis.get_shard_iterator, {"ShardId": shard, "ShardIteratorType": "LATEST"})]:
        refused("ResourceNotFoundException", call, **missing, **more)
    named = {"StreamName": "refusing"}
    refused("ResourceNotFoundException", kinesis.get_shard_iterator, **named, ShardId="shardId-000000000009", ShardIteratorType="LATEST")
    refused("InvalidArgumentException", kinesis.get_shard_iterator, **named, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber="12345")
    refused("InvalidArgumentException", kinesis.get_records, ShardIterator="not an iterator")
    refused("InvalidArgumentException", kinesis.put_record, **named, Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128))
    loose = boto3.client("kinesis", endpoint_url=f"http://127.0.0.1:{HTTP_PORT}", region_name="us-east-1",
                         config=Config(parameter_validation=False, retries={"max_attempts": 1}))
    refused("ValidationException", loose.create_stream, StreamName="with space", ShardCount=1)
    refused("ValidationException", loose.put_record, **named, Data=b"x", PartitionKey="k" * 257)
    refused("ValidationException", loose.put_records, **named, Records=[{"Data": b"x", "PartitionKey": "k"}] * 501)
    refused("ValidationException", loose.get_shard_iterator, **named, ShardId=shard, ShardIteratorType="SOMEWHERE")
    equal(everything("refusing"), [])


@check
def a_record_put_by_boto3_is_in_the_next_select():
    create("shared", 2)
    answer = kinesis.put_record(StreamName="shared", Data=b"from boto3", PartitionKey="pk")
    row = sql.execute("SELECT shard_id, sequence_number, partition_key, data FROM shared").fetchall()
    equal(row, [(answer["ShardId"], answer["SequenceNumber"], "pk", b"from boto3")])
    arrival = sql.execute("SELECT approximate_arrival_timestamp FROM shared").fetchone()[0]
    (record,) = read(iterator("shared", answer["ShardId"], "TRIM_HORIZON"))
    equal(arrival, record["ApproximateArrivalTimestamp"])


@check
def a_row_inserted_by_sql_is_in_the_next_get_records():
    sql.execute("CREATE STREAM typed (id int, name text) PARTITION KEY (id) FORMAT JSON WITH (shards = 2)")
    shards = shard_ids("typed")
    equal(len(shards), 2)
    iterators = {shard: iterator("typed", shard, "LATEST") for shard in shards}
    sql.execute("INSERT INTO typed VALUES (1, 'one'), (2, NULL), (3, 'läuft')")
    found = {}
    for shard, at in iterators.items():
        for record in read(at):
            value = json.loads(record["Data"])
            found[value["id"]] = (shard, record["SequenceNumber"], record["PartitionKey"], value.get("name"))
    rows = sql.execute("SELECT id, shard_id, sequence_number, partition_key, name FROM typed").fetchall()
    equal(found, {row[0]: row[1:] for row in rows})
    equal(sorted(found), [1, 2, 3])
    equal({key for _, _, key, _ in found.values()}, {"1", "2", "3"})


@check
def typed_columns_read_what_boto3_put():
    data = json.dumps({"id": 4, "name": "four"}).encode()
    number = kinesis.put_record(StreamName="typed", Data=data, PartitionKey="4")["SequenceNumber"]
    equal(sql.execute("SELECT id, name, sequence_number, data, decode_error FROM typed WHERE id = 4").fetchall(),
          [(4, "four", number, data, None)])
    kinesis.put_record(StreamName="typed", Data=b"{not json", PartitionKey="5")
    (row,) = sql.execute("SELECT id, name, data, decode_error FROM typed WHERE decode_error IS NOT NULL").fetchall()
    equal(row[:3], (None, None, b"{not json"))
    assert row[3], "no decode_error"
    equal(sql.execute("SELECT count(*) FROM typed").fetchone(), (5,))


@check
def sealed_records_stay_the_same():
    before = sorted((r["SequenceNumber"], r["Data"]) for r in everything("typed"))
    rows = sql.execute("SELECT shard_id, sequence_number, data FROM typed ORDER BY 2").fetchall()
    sql.execute("CHECKPOINT")
    equal(sorted((r["SequenceNumber"], r["Data"]) for r in everything("typed")), before)
    equal(sql.execute("SELECT shard_id, sequence_number, data FROM typed ORDER BY 2").fetchall(), rows)
    shard, number, data = rows[0]
    (record, *_) = read(iterator("typed", shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number))
    equal((record["SequenceNumber"], record["Data"]), (number, data))


@check
def drop_and_delete_are_one():
    sql.execute("DROP STREAM typed")
    refused("ResourceNotFoundException", kinesis.describe_stream, StreamName="typed")
    kinesis.delete_stream(StreamName="shared")
    time.sleep(0.2)
    try:
        sql.execute("SELECT count(*) FROM shared")
    except psycopg.errors.UndefinedTable:
        pass
    else:
        raise AssertionError("the deleted stream can be read")


finish()
