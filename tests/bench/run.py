"""Measures a release server beside what a user would pick instead, in one run, and prints Markdown tables.

    tests/run --bench          or    tests/bench/run.py --server target/release/tidegate [--only tpch,load,ingest,wire,windows]

Every figure is the median of its runs; peers run in the same process, on the same files, one after the other.
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
RUNS = 3
RECORD_BYTES = 1024
PUT_THREADS = 2
PUT_BATCH_RECORDS = 500
INGEST_SECONDS = 8
COPY_RECORDS = 200_000
WIRE_ROWS = 5_000_000
START_SECONDS_MAX = 60


class Server:
    """A server on a throw-away directory; its ports stand in the environment of this process."""

    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory(prefix="tidegate-bench-")
        data = pathlib.Path(self.folder.name) / "data"
        self.log = open(pathlib.Path(self.folder.name) / "log", "wb")
        command = [binary, "serve", "--data", data, "--sql-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                   "--cluster-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(START_SECONDS_MAX * 20):
            if (data / "ports.json").exists():
                break
            if self.process.poll() is not None:
                sys.exit(f"the server ended: {pathlib.Path(self.log.name).read_text()}")
            time.sleep(0.05)
        else:
            self.stop()
            sys.exit(f"the server did not answer within {START_SECONDS_MAX} s")
        ports = json.loads((data / "ports.json").read_text())
        self.sql, self.http = ports["sql"], ports["http"]
        os.environ.update(TIDEGATE_SQL_PORT=str(self.sql), TIDEGATE_HTTP_PORT=str(self.http))

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


def timed(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def median(work):
    return statistics.median(timed(work) for _ in range(RUNS))


def table(title, head, rows):
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)


def bench_tpch(conn, _server):
    import tpch
    folder = tpch.data()
    duck, queries = tpch.open_duckdb(folder)
    tpch.create_tables(conn, folder)
    rows, ratios, sums = [], [], [0.0, 0.0]
    for number, text in queries.items():
        try:
            ours = median(lambda text=text: conn.cursor(binary=True).execute(text).fetchall())
        except Exception as error:  # noqa: BLE001: one query that fails is a row of the table
            rows.append((f"q{number:02}", f"failed: {error}".splitlines()[0], "", ""))
            continue
        theirs = median(lambda text=text: duck.execute(text).fetchall())
        ratios.append(ours / theirs)
        sums = [sums[0] + ours, sums[1] + theirs]
        rows.append((f"q{number:02}", f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}"))
    mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else math.nan
    rows.append(("**sum, geometric mean**", f"**{sums[0]:.2f}**", f"**{sums[1]:.2f}**", f"**{mean:.2f}**"))
    table(f"TPC-H, scale factor 1, the same Parquet files, seconds, median of {RUNS}", ("query", "Tidegate", "DuckDB", "ratio"), rows)


def put_until(port, stop, counts, place):
    import boto3
    from botocore.config import Config
    client = boto3.client("kinesis", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="test",
                          aws_secret_access_key="testtest", config=Config(max_pool_connections=4))
    data = os.urandom(RECORD_BYTES)
    records = [{"Data": data, "PartitionKey": f"{place}-{n}"} for n in range(PUT_BATCH_RECORDS)]
    while not stop.is_set():
        answer = client.put_records(StreamName="by_boto3", Records=records)
        assert answer["FailedRecordCount"] == 0
        counts[place] += PUT_BATCH_RECORDS


def records_a_second_by_boto3(conn, server):
    conn.execute("CREATE STREAM by_boto3 WITH (shards = 4)")
    stop, counts, samples = threading.Event(), [0] * PUT_THREADS, []
    with concurrent.futures.ThreadPoolExecutor(PUT_THREADS) as pool:
        puts = [pool.submit(put_until, server.http, stop, counts, n) for n in range(PUT_THREADS)]
        time.sleep(1)  # connections and the first batches
        for _ in range(RUNS):
            before, started = sum(counts), time.monotonic()
            time.sleep(INGEST_SECONDS / RUNS)
            samples.append((sum(counts) - before) / (time.monotonic() - started))
        stop.set()
    for put in puts:
        put.result()  # a put that failed ends the bench: its rate would be a lie
    stored = conn.execute("SELECT count(*) FROM by_boto3").fetchone()[0]
    assert stored == sum(counts), f"{stored} stored, {sum(counts)} acknowledged"
    return statistics.median(samples)


def records_a_second_by_copy(conn):
    conn.execute("CREATE STREAM by_copy (id bigint, body text) PARTITION KEY (id) FORMAT JSON WITH (shards = 4)")
    body = "x" * (RECORD_BYTES - 30)
    lines = [f"{n}\t{body}\n" for n in range(COPY_RECORDS)]
    chunks = ["".join(lines[n:n + 1000]).encode() for n in range(0, COPY_RECORDS, 1000)]

    def load():
        with conn.cursor() as cur, cur.copy("COPY by_copy FROM STDIN") as copy:
            for chunk in chunks:
                copy.write(chunk)
    rate = COPY_RECORDS / median(load)
    stored = conn.execute("SELECT count(*) FROM by_copy").fetchone()[0]
    assert stored == COPY_RECORDS * RUNS, stored
    return rate


def bench_ingest(conn, server):
    rows = [("boto3 put_records", f"{PUT_THREADS} threads, batches of {PUT_BATCH_RECORDS}", records_a_second_by_boto3(conn, server)),
            ("COPY … FROM STDIN", "one connection, text", records_a_second_by_copy(conn))]
    shown = [(how, detail, f"{rate:,.0f}", f"{rate * RECORD_BYTES / 1e6:,.1f}") for how, detail, rate in rows]
    table(f"Into a durable stream, records of {RECORD_BYTES} bytes, median of {RUNS}", ("by", "how", "records a second", "MB a second"), shown)


def psycopg_rows(conn, binary):
    count = sum(1 for _ in conn.cursor(binary=binary).stream("SELECT n, t FROM wide", size=10_000))
    assert count == WIRE_ROWS, count


def psql_rows(server, command):
    connection = f"host=127.0.0.1 port={server.sql} user=admin dbname=dev"
    subprocess.run(["psql", "-X", "-q", "-A", "-t", connection, "-c", command], check=True, stdout=subprocess.DEVNULL)


def bench_wire(conn, server):
    conn.execute(f"CREATE TABLE wide AS SELECT n, 'row number ' || n AS t FROM generate_series(1, {WIRE_ROWS}) AS g(n)")
    ways = [
        ("psycopg, text", lambda: psycopg_rows(conn, False)),
        ("psycopg, binary", lambda: psycopg_rows(conn, True)),
        ("psql, COPY … TO STDOUT", lambda: psql_rows(server, "COPY (SELECT n, t FROM wide) TO STDOUT")),
        ("psql > /dev/null", lambda: psql_rows(server, "SELECT n, t FROM wide")),
    ]
    rows = [(name, f"{WIRE_ROWS / median(work):,.0f}") for name, work in ways]
    table(f"Rows a second out over the wire, {WIRE_ROWS:,} rows of a bigint and a text, median of {RUNS}", ("client", "rows a second"), rows)


def bench_windows(conn, _server):
    import windows
    table(f"Windows, {windows.EVENTS:,} events, events a second, median of {windows.RUNS}", ("query", "Tidegate", "Flink SQL", "ratio"), list(windows.rows(conn)))


def bench_load(conn, server):
    import load
    table(f"Into tables and out of them, 6,001,215 rows, median of {load.RUNS}", load.HEAD, list(load.rows(conn, server)))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--cache")
    arguments.add_argument("--only", default="tpch,load,ingest,wire,windows")
    chosen = arguments.parse_args()
    if chosen.cache:
        os.environ["TIDEGATE_TEST_CACHE"] = chosen.cache
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / "drivers")]
    server = Server(chosen.server)
    try:
        import psycopg
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
        print(f"{os.cpu_count()} cores, {memory} GiB, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.release()}")
        parts = {"tpch": bench_tpch, "load": bench_load, "ingest": bench_ingest, "wire": bench_wire, "windows": bench_windows}
        for name in chosen.only.split(","):
            with psycopg.connect(f"host=127.0.0.1 port={server.sql} user=admin dbname=dev", autocommit=True) as conn:
                parts[name](conn, server)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
