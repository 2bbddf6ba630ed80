"""COPY and UNLOAD of TPC-H's lineitem at factor 1, beside DuckDB and Postgres on the same files.

Every peer loads into tables of its own on the same disk and writes files of its own; each figure is the median of its
runs, and beside it stands the peak of the process's memory. DuckDB runs in a process of its own for each figure.
"""

import glob
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

import tpch
from postgres import Postgres

RUNS = 3
TABLE = """(l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer, l_quantity decimal(15,2),
    l_extendedprice decimal(15,2), l_discount decimal(15,2), l_tax decimal(15,2), l_returnflag varchar(1), l_linestatus varchar(1),
    l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct varchar(25), l_shipmode varchar(10), l_comment varchar(44))"""
ROWS = 6_001_215
FORMATS = ("csv", "json", "parquet")
START_SECONDS_MAX = 60


def files():
    """lineitem in each format; made once."""
    import duckdb
    folder = tpch.data()
    made = {"parquet": folder / "lineitem.parquet", "csv": folder / "load" / "lineitem.csv", "json": folder / "load" / "lineitem.json"}
    (folder / "load").mkdir(exist_ok=True)
    for name, options in (("csv", "FORMAT csv, HEADER false"), ("json", "FORMAT json")):
        if not made[name].exists():
            fresh = made[name].with_suffix(f".{os.getpid()}")
            duckdb.execute(f"COPY (SELECT * FROM '{made['parquet']}') TO '{fresh}' ({options})")
            fresh.rename(made[name])
    return made


class Peak:
    """The peak of a process's memory while the block runs, in MB, and the seconds of CPU that it took."""

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self.before = self.cpu()
        return self

    def __exit__(self, *_):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        self.megabytes = int(line.split()[1]) // 1024
        self.cpu_seconds = (self.cpu() - self.before) / RUNS


def runs(prepare, work):
    seconds = []
    for _ in range(RUNS):
        prepare()
        started = time.monotonic()
        work()
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def make_durable(folder):
    for name in glob.glob(f"{folder}/out/*"):
        with open(name, "rb") as file:
            os.fsync(file.fileno())


def duckdb_child(folder, setup, prepare, work, answer):
    import duckdb
    conn = duckdb.connect(f"{folder}/peer.duckdb")
    for text in setup:
        conn.execute(text)
    seconds = runs(lambda: [conn.execute(text) for text in prepare], lambda: (conn.execute(work), make_durable(folder)))
    answer.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def by_duckdb(setup, prepare, work):
    """Median seconds, and the peak in MB."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-duckdb-") as folder:
        answer = context.Queue()
        child = context.Process(target=duckdb_child, args=(folder, setup, prepare, work.replace("$TMP", folder), answer))
        child.start()
        found = answer.get()
        child.join()
    return found


def by_postgres(csv):
    """COPY of CSV: all that it reads of the three."""
    import psycopg
    postgres = Postgres()
    try:
        # A copy that its user may read.
        own = shutil.copy(csv, postgres.folder)
        with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=admin dbname=dev", autocommit=True) as conn:
            conn.execute(f"CREATE TABLE lineitem {TABLE}")
            with Peak(conn.info.backend_pid) as peak:
                seconds = runs(lambda: conn.execute("TRUNCATE lineitem"), lambda: conn.execute(f"COPY lineitem FROM '{own}' (FORMAT csv)"))
            return seconds, peak.megabytes
    finally:
        postgres.stop()


def copies(conn, server, made):
    """COPY into tables: a row for each format."""
    conn.execute(f"CREATE TABLE lineitem {TABLE}")
    ours = {"csv": "CSV", "json": "FORMAT JSON 'auto'", "parquet": "FORMAT PARQUET"}
    theirs = {"csv": "FORMAT csv, HEADER false", "json": "FORMAT json", "parquet": "FORMAT parquet"}
    for name in FORMATS:
        with Peak(server.process.pid) as peak:
            seconds = runs(lambda: conn.execute("TRUNCATE lineitem"), lambda n=name: conn.execute(f"COPY lineitem FROM 'file://{made[n]}' {ours[n]}"))
        assert conn.execute("SELECT count(*) FROM lineitem").fetchone()[0] == ROWS
        # Its own tables in a file, made durable.
        duck = by_duckdb([f"CREATE TABLE lineitem {TABLE}"], ["DELETE FROM lineitem", "CHECKPOINT"], f"COPY lineitem FROM '{made[name]}' ({theirs[name]}); CHECKPOINT")
        yield f"COPY, {name}", seconds, peak, duck, by_postgres(made["csv"]) if name == "csv" else None


def unloads(conn, server, made):
    """UNLOAD of a table to files: a row for each format. Both make their files durable: UNLOAD does, and DuckDB's are synced."""
    load = [f"CREATE TABLE lineitem {TABLE}", f"INSERT INTO lineitem SELECT * FROM '{made['parquet']}'", "CHECKPOINT"]
    ours = {"csv": "CSV", "parquet": "FORMAT PARQUET"}
    theirs = {"csv": "FORMAT csv, HEADER false, PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true", "parquet": "FORMAT parquet, PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true"}
    for name in ("csv", "parquet"):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-unload-") as folder:
            with Peak(server.process.pid) as peak:
                seconds = runs(lambda: None, lambda n=name, f=folder: conn.execute(f"UNLOAD ('SELECT * FROM lineitem') TO 'file://{f}/out/' {ours[n]} CLEANPATH"))
        duck = by_duckdb(load, [], f"COPY lineitem TO '$TMP/out' ({theirs[name]})")
        yield f"UNLOAD, {name}", seconds, peak, duck, None


def rows(conn, server):
    """The table's rows: what was done, seconds and MB of each, and the ratios."""
    made = files()
    figures = [*copies(conn, server, made), *unloads(conn, server, made)]
    for what, seconds, peak, (duck, duck_megabytes), postgres in figures:
        beside = ("", "", "") if postgres is None else (f"{postgres[0]:.2f}", postgres[1], f"{seconds / postgres[0]:.2f}")
        yield (what, f"{seconds:.2f}", f"{peak.cpu_seconds:.2f}", peak.megabytes, f"{duck:.2f}", duck_megabytes, f"{seconds / duck:.2f}", *beside)


HEAD = ("lineitem", "Tidegate, s", "its CPU, s", "MB", "DuckDB, s", "MB", "ratio", "Postgres, s", "MB of its backend", "ratio")
