"""The 22 queries of TPC-H at scale factor 1 over external Parquet, through the wire, against DuckDB's answers on the same files.

Prints `PASS q01` or `FAIL q01` for each. Data lies in the cache of `tests/run`; TIDEGATE_TPCH_SCALE chooses another factor.
"""

import datetime as dt
import itertools
import math
import os
import pathlib
import subprocess
import sys
import time
from decimal import Decimal

import duckdb
import duckdb_extension_tpch
import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).parent / "drivers"))
from checks import CONNINFO  # noqa: E402

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
SORT_KEYS = {"lineitem": "l_shipdate", "orders": "o_orderdate"}  # of managed tables
RELATIVE = 1e-6
ABSOLUTE = 0.01
SHOWN_ROWS_MAX = 3
ANSWER_SECONDS_MAX = 10  # with what the query itself takes, a few on a busy machine


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(os.environ.get("TIDEGATE_TEST_CACHE") or os.path.join(base, "tidegate"))


def data(scale="1"):
    """The folder with a Parquet file for each table; made once."""
    folder = cache() / f"tpch-{scale}"
    if not (folder / ".stamp").exists():
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
        tool = pathlib.Path(sys.executable).with_name("tpchgen-cli")
        subprocess.run([tool, "parquet", "-s", scale, f"--output-dir={fresh}"], check=True, stdout=subprocess.DEVNULL)
        (fresh / ".stamp").write_text("made by tests/tpch.py\n")
        try:
            fresh.rename(folder)
        except OSError:  # another run was first
            subprocess.run(["rm", "-rf", fresh], check=True)
    return folder


def open_duckdb(folder):
    """DuckDB with a view on each file, and the texts of the queries."""
    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    (extension,) = pathlib.Path(duckdb_extension_tpch.__file__).parent.glob("extensions/*/tpch.duckdb_extension")
    duck.execute(f"LOAD '{extension}'")
    queries = dict(duck.execute("SELECT query_nr, query FROM tpch_queries() ORDER BY 1").fetchall())
    for table in TABLES:
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{folder}/{table}.parquet'")
    return duck, queries


def create_tables(conn, folder, schema="tpch", managed=False):
    """A table for each file: an external one, or a managed one that is loaded from it."""
    conn.execute(f"CREATE SCHEMA {schema}")
    conn.execute(f"SET search_path = {schema}, public")
    for table in TABLES:
        file = f"file://{folder}/{table}.parquet"
        if managed:
            key = f"SORTKEY ({SORT_KEYS[table]}) " if table in SORT_KEYS else ""
            conn.execute(f"CREATE TABLE {schema}.{table} {key}AS SELECT * FROM '{file}'")
        else:
            conn.execute(f"CREATE EXTERNAL TABLE {schema}.{table} STORED AS PARQUET LOCATION '{file}'")


def same(left, right):
    if left is None or right is None:
        return left is right
    numbers = (int, float, Decimal)
    if isinstance(left, numbers) and isinstance(right, numbers):
        if isinstance(left, int) and isinstance(right, int):
            return left == right
        return math.isclose(float(left), float(right), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(left, dt.datetime) != isinstance(right, dt.datetime):
        left, right = (v.date() if isinstance(v, dt.datetime) and v.time() == dt.time() else v for v in (left, right))
    if isinstance(left, str) and isinstance(right, str):
        return left.rstrip() == right.rstrip()
    return left == right


def difference(found, expected):
    """None, or what differs first."""
    if len(found) != len(expected):
        return f"{len(found)} rows, expected {len(expected)}\n  found    {found[:SHOWN_ROWS_MAX]}\n  expected {expected[:SHOWN_ROWS_MAX]}"
    for n, (left, right) in enumerate(zip(found, expected)):
        if len(left) != len(right) or not all(map(same, left, right)):
            return f"row {n + 1}\n  found    {left}\n  expected {right}"
    return None


def repeat(conn, duck, queries, seconds):
    """The queries over and over while nodes come and go: each answer is right, or an error, and comes in time."""
    expected = {number: duck.execute(text).fetchall() for number, text in queries.items()}
    until, answers, failed, slowest = time.monotonic() + seconds, 0, 0, 0.0
    numbers = itertools.cycle(queries)
    while time.monotonic() < until:
        number = next(numbers)
        started = time.monotonic()
        try:
            problem = difference(conn.cursor(binary=True).execute(queries[number]).fetchall(), expected[number])
            answers += 1
        except psycopg.Error as error:
            # 38000: a node was lost when rows had been sent already, so that nothing could be tried again.
            problem = None if error.sqlstate == "38000" else f"{error.sqlstate} {error}"
            failed += 1
        slowest = max(slowest, time.monotonic() - started)
        if problem or slowest > ANSWER_SECONDS_MAX:
            print(f"FAIL while nodes come and go\n  q{number:02}, {slowest:.1f} s: {problem}")
            return 1
    print(f"PASS while nodes come and go\n  {answers} answers, {failed} errors, the slowest after {slowest:.1f} s")
    return 0 if answers else 1


def main():
    folder = data(os.environ.get("TIDEGATE_TPCH_SCALE", "1"))
    duck, queries = open_duckdb(folder)
    conn = psycopg.connect(CONNINFO, autocommit=True)
    create_tables(conn, folder, managed="TIDEGATE_TPCH_MANAGED" in os.environ)
    if "TIDEGATE_TPCH_SECONDS" in os.environ:
        sys.exit(repeat(conn, duck, queries, float(os.environ["TIDEGATE_TPCH_SECONDS"])))
    wrong, ours, theirs = 0, 0.0, 0.0
    for number, text in queries.items():
        started = time.monotonic()
        expected = duck.execute(text).fetchall()
        middle = time.monotonic()
        try:
            found = conn.cursor(binary=True).execute(text).fetchall()
            problem = difference(found, expected)
        except psycopg.Error as error:
            problem = f"{error.sqlstate} {error}"
        ended = time.monotonic()
        ours, theirs = ours + ended - middle, theirs + middle - started
        print(f"{'FAIL' if problem else 'PASS'} q{number:02}", flush=True)
        print(f"  q{number:02} {'differs: ' + problem if problem else 'ok'}, {ended - middle:.2f} s, DuckDB {middle - started:.2f} s")
        wrong += problem is not None
    print(f"  {len(queries) - wrong} of {len(queries)} agree; {ours:.1f} s, DuckDB {theirs:.1f} s")
    sys.exit(1 if wrong or len(queries) != 22 else 0)


if __name__ == "__main__":
    main()
