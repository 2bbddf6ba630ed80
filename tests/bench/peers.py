"""What TPC-H is measured beside, each in a process of its own, so that its CPU time and its peak of memory are its own.

    tests/bench/peers.py duckdb_parquet|duckdb_tables|chdb FOLDER RUNS      queries by number, as JSON, on standard input

Prints JSON: seconds of each run of each query (or why it failed), CPU seconds of one run of all, peak of memory in MiB.
"""

import json
import sys
import time

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
SORTED_BY = {"lineitem": "l_shipdate", "orders": "o_orderdate"}


def duckdb_parquet(folder):
    import duckdb
    duck = duckdb.connect()
    for table in TABLES:
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM '{folder}/{table}.parquet'")
    return lambda text: duck.execute(text).fetchall()


def duckdb_tables(folder):
    import duckdb
    duck = duckdb.connect()
    for table in TABLES:
        order = f" ORDER BY {SORTED_BY[table]}" if table in SORTED_BY else ""
        duck.execute(f"CREATE TABLE {table} AS SELECT * FROM '{folder}/{table}.parquet'{order}")
    return lambda text: duck.execute(text).fetchall()


def chdb(folder):
    from chdb.session import Session
    session = Session()
    session.query("SET allow_experimental_correlated_subqueries = 1")
    for table in TABLES:
        session.query(f"CREATE VIEW {table} AS SELECT * FROM file('{folder}/{table}.parquet', Parquet)")
    return lambda text: session.query(text, "TabSeparated").bytes()


def peak_mib(pid="self"):
    """The peak of a process's memory since it began, or since `forget_peak`."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def forget_peak(pid="self"):
    with open(f"/proc/{pid}/clear_refs", "w") as refs:
        refs.write("5")


def timed(ask, text, runs):
    """Seconds of each run, or why there are none."""
    try:
        taken = []
        for _ in range(runs):
            started = time.monotonic()
            ask(text)
            taken.append(time.monotonic() - started)
        return taken
    except Exception as error:  # noqa: BLE001: one query that fails is a cell of the table
        return (str(error).splitlines() or [type(error).__name__])[0][:120]


def main():
    name, folder, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    queries = json.load(sys.stdin)
    ask = {"duckdb_parquet": duckdb_parquet, "duckdb_tables": duckdb_tables, "chdb": chdb}[name](folder)
    forget_peak()
    before = time.process_time()
    seconds = {number: timed(ask, text, runs) for number, text in queries.items()}
    print(json.dumps({"seconds": seconds, "cpu": (time.process_time() - before) / runs, "peak": peak_mib()}))


if __name__ == "__main__":
    main()
