"""The Python package deltalake reads managed tables without the server: `location` of tidegate.tables is a Delta table."""

import datetime as dt
import pathlib
from decimal import Decimal

import duckdb
import psycopg
import pyarrow
from deltalake import DeltaTable, QueryBuilder

from checks import CONNINFO, check, equal, finish

conn = psycopg.connect(CONNINFO, autocommit=True)


def delta(name):
    location = conn.execute("SELECT location FROM tidegate.tables WHERE schema = 'public' AND name = %s", [name]).fetchone()[0]
    return DeltaTable(location)


def rows(name):
    conn.execute("CHECKPOINT")
    return sorted(delta(name).to_pyarrow_table().to_pylist(), key=lambda row: row["id"])


@check
def rows_after_each_kind_of_change():
    conn.execute("CREATE TABLE kept (id bigint, name text, price numeric(10,2), born date, at timestamptz, ok boolean)")
    equal(rows("kept"), [])
    conn.execute("INSERT INTO kept VALUES (1, 'one', 1.25, '2013-01-01', '2013-01-01 05:00:00+00', true), (2, NULL, NULL, NULL, NULL, NULL)")
    one = {"id": 1, "name": "one", "price": Decimal("1.25"), "born": dt.date(2013, 1, 1),
           "at": dt.datetime(2013, 1, 1, 5, tzinfo=dt.timezone.utc), "ok": True}
    two = {"id": 2, "name": None, "price": None, "born": None, "at": None, "ok": None}
    equal(rows("kept"), [one, two])
    conn.execute("UPDATE kept SET name = 'two' WHERE id = 2")
    equal(rows("kept"), [one, two | {"name": "two"}])
    conn.execute("DELETE FROM kept WHERE id = 1")
    equal(rows("kept"), [two | {"name": "two"}])
    conn.execute("TRUNCATE kept")
    equal(rows("kept"), [])


@check
def versions_count_commits():
    conn.execute("CREATE TABLE counted (id int)")
    before = delta("counted").version()
    with conn.transaction():
        conn.execute("INSERT INTO counted VALUES (1)")
        conn.execute("INSERT INTO counted VALUES (2)")
    conn.execute("CHECKPOINT")
    after = delta("counted")
    # Several changes in one transaction are one version; a flush of small writes may be one more.
    assert before < after.version() <= before + 2, (before, after.version())
    equal(after.version(), conn.execute("SELECT version FROM tidegate.tables WHERE name = 'counted'").fetchone()[0])


@check
def an_older_version_can_be_read():
    conn.execute("CREATE TABLE past (id int)")
    conn.execute("INSERT INTO past VALUES (1)")
    conn.execute("CHECKPOINT")
    table = delta("past")
    conn.execute("DELETE FROM past")
    conn.execute("CHECKPOINT")
    equal(delta("past").to_pyarrow_table().num_rows, 0)
    table.load_as_version(table.version())
    equal(table.to_pyarrow_table().num_rows, 1)


@check
def statistics_are_there():
    conn.execute("CREATE TABLE wide AS SELECT n AS id, n * 2 AS twice FROM generate_series(1, 100000) AS g(n)")
    conn.execute("CHECKPOINT")
    # Loaded without a catalog of ours: filters prune by the statistics in the log.
    found = delta("wide").to_pyarrow_table(filters=[("id", ">", 99990)])
    equal(found.num_rows, 10)


@check
def small_writes_compaction_and_checkpoints():
    conn.execute("CREATE TABLE busy (id int, name text)")
    for n in range(25):
        conn.execute("INSERT INTO busy VALUES (%s, 'row')", [n])
        conn.execute("CHECKPOINT")
    location = conn.execute("SELECT location FROM tidegate.tables WHERE name = 'busy'").fetchone()[0]
    check_point = pathlib.Path(location.removeprefix("file://")) / "_delta_log" / "_last_checkpoint"
    assert check_point.exists(), check_point
    equal([row["id"] for row in rows("busy")], list(range(25)))
    conn.execute("UPDATE busy SET name = 'changed' WHERE id >= 20")
    conn.execute("VACUUM busy")
    found = delta("busy")
    equal(len(found.file_uris()), 1)
    equal([row["id"] for row in rows("busy") if row["name"] == "changed"], list(range(20, 25)))
    equal(found.version(), conn.execute("SELECT version FROM tidegate.tables WHERE name = 'busy'").fetchone()[0])


@check
def duckdb_reads_the_files_that_are_listed():
    conn.execute("CREATE TABLE listed (id int, name text, price numeric(10,2), seen timestamptz)")
    conn.execute("INSERT INTO listed SELECT n, 'row ' || n, n / 4.0, '2013-01-01 05:00:00+00' FROM generate_series(1, 20000) AS g(n)")
    conn.execute("DELETE FROM listed WHERE id % 3 = 0")
    conn.execute("INSERT INTO listed VALUES (0, NULL, NULL, NULL)")
    conn.execute("CHECKPOINT")
    conn.execute("UPDATE listed SET name = 'changed' WHERE id < 10")
    conn.execute("VACUUM listed")
    conn.execute("CHECKPOINT")
    query = "SELECT count(*), count(name), sum(id), sum(price), count(seen), max(name) FROM {}"
    paths = [uri.removeprefix("file://") for uri in delta("listed").file_uris()]
    ours = conn.execute(query.format("listed")).fetchone()
    equal(duckdb.execute(query.format(f"read_parquet({paths})")).fetchone(), ours)
    equal(ours[0], 13335)


@check
def columns_under_other_names():
    """Mapped by name: the package's own engine reads that, its way through pyarrow refuses the table."""
    conn.execute("CREATE TABLE renamed (id int, a text, gone int, \"odd name\" int)")
    conn.execute("INSERT INTO renamed VALUES (1, 'x', 7, 10)")
    conn.execute("CHECKPOINT")
    conn.execute("ALTER TABLE renamed RENAME COLUMN a TO b")
    conn.execute("ALTER TABLE renamed DROP COLUMN gone")
    conn.execute("ALTER TABLE renamed ADD COLUMN gone text")
    conn.execute("INSERT INTO renamed VALUES (2, 'y', 20, 'back')")
    conn.execute("CHECKPOINT")
    query = "SELECT id, b, \"odd name\", gone FROM t ORDER BY id"
    found = pyarrow.table(QueryBuilder().register("t", delta("renamed")).execute(query).read_all()).to_pylist()
    ours = conn.execute("SELECT id, b, \"odd name\", gone FROM renamed ORDER BY id").fetchall()
    equal([tuple(row.values()) for row in found], ours)
    equal(ours, [(1, "x", 10, None), (2, "y", 20, "back")])


finish()
