"""The 99 queries of TPC-DS on managed tables, through the wire, against DuckDB's answers on the same files.

Prints `PASS q01` or `FAIL q01` for each. Data lies in the cache of `tests/run`; TIDEGATE_TPCDS_SCALE chooses another factor
than 0.1. At 0.1 some answers are empty, since there is one store; at 1 all but one have rows.
"""

import os
import pathlib
import subprocess
import sys
import time

import duckdb
import duckdb_extension_tpcds
import psycopg

sys.path.insert(0, str(pathlib.Path(__file__).parent / "drivers"))
from checks import CONNINFO  # noqa: E402
from tpch import cache, difference  # noqa: E402

QUERIES = 99
# Queries that cannot agree, each with its reason. They must differ: one that agrees again is taken out of here.
EXPECTED = {}


def open_duckdb():
    duck = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    (extension,) = pathlib.Path(duckdb_extension_tpcds.__file__).parent.glob("extensions/*/tpcds.duckdb_extension")
    duck.execute(f"LOAD '{extension}'")
    return duck


def data(scale):
    """The folder with a Parquet file for each table; made once."""
    folder = cache() / f"tpcds-{scale}"
    if not (folder / ".stamp").exists():
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
        fresh.mkdir(parents=True)
        duck = open_duckdb()
        duck.execute(f"CALL dsdgen(sf = {float(scale)})")
        for (table,) in duck.execute("SHOW TABLES").fetchall():
            duck.execute(f"COPY {table} TO '{fresh}/{table}.parquet'")
        (fresh / ".stamp").write_text("made by tests/tpcds.py\n")
        try:
            fresh.rename(folder)
        except OSError:  # another run was first
            subprocess.run(["rm", "-rf", fresh], check=True)
    return folder


def create_tables(conn, duck, folder):
    """A managed table for each file, loaded by COPY, and a view of DuckDB's on the file."""
    conn.execute("CREATE SCHEMA tpcds")
    conn.execute("SET search_path = tpcds, public")
    for file in sorted(folder.glob("*.parquet")):
        duck.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'")
        described = duck.execute(f"DESCRIBE {file.stem}").fetchall()
        columns = ", ".join(f"{name} {kind}" for name, kind, *_ in described)
        conn.execute(f"CREATE TABLE {file.stem} ({columns})")
        conn.execute(f"COPY {file.stem} FROM 'file://{file}' FORMAT AS PARQUET")


def asked(conn, text, expected):
    """None, or how the answer differs from what DuckDB says."""
    try:
        found = conn.cursor(binary=True).execute(text).fetchall()
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}"
    return difference(found, expected)


def main():
    folder = data(os.environ.get("TIDEGATE_TPCDS_SCALE", "0.1"))
    duck = open_duckdb()
    queries = dict(duck.execute("SELECT query_nr, query FROM tpcds_queries() ORDER BY 1").fetchall())
    conn = psycopg.connect(CONNINFO, autocommit=True)
    create_tables(conn, duck, folder)
    wrong, agree, ours, theirs = 0, 0, 0.0, 0.0
    for number, text in queries.items():
        started = time.monotonic()
        expected = duck.execute(text).fetchall()
        middle = time.monotonic()
        problem = asked(conn, text, expected)
        ended = time.monotonic()
        ours, theirs = ours + ended - middle, theirs + middle - started
        as_known = (number in EXPECTED) == (problem is not None)
        agree, wrong = agree + (problem is None), wrong + (not as_known)
        print(f"{'PASS' if as_known else 'FAIL'} q{number:02}", flush=True)
        told = f"differs: {problem}" if problem else "ok" if as_known else "agrees, though it was not expected to"
        print(f"  q{number:02} {told}, {ended - middle:.2f} s, DuckDB {middle - started:.2f} s")
    print(f"  {agree} of {len(queries)} agree; {ours:.1f} s, DuckDB {theirs:.1f} s")
    sys.exit(1 if wrong or len(queries) != QUERIES else 0)


if __name__ == "__main__":
    main()
