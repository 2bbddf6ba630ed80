"""Measures a release server beside what a user would pick instead, in one run, and prints Markdown tables.

    tests/run --bench          or    tests/bench/run.py --server target/release/tidegate [--only tpch,tpch10,load,small,ingest,door,crowd,windows]

Every figure is the median of its runs; peers run one after the other, on the same files.
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

import peers

HERE = pathlib.Path(__file__).resolve().parent
RUNS = 3
RECORD_BYTES = 1024
PUT_THREADS = 2
PUT_BATCH_RECORDS = 500
INGEST_SECONDS = 8
COPY_RECORDS = 200_000
START_SECONDS_MAX = 60


class Server:
    """A server on a throw-away directory; its ports stand in the environment of this process."""

    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory(prefix="tidegate-bench-")
        data = pathlib.Path(self.folder.name) / "data"
        self.log = open(pathlib.Path(self.folder.name) / "log", "wb")
        command = [binary, "serve", "--data", data, "--sql-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                   "--cluster-listen", "127.0.0.1:0", "--set", "max_connections=6000"]
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


PEERS = {"duckdb_parquet": "DuckDB, Parquet", "duckdb_tables": "DuckDB, own tables", "chdb": "chDB, Parquet"}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tpch_here(conn, pid, queries):
    """The same figures as of a peer, of the server."""
    def ask(text):
        return conn.cursor(binary=True).execute(text).fetchall()
    peers.forget_peak(pid)
    before = cpu_seconds(pid)
    seconds = {str(number): peers.timed(ask, text, RUNS) for number, text in queries.items()}
    return {"seconds": seconds, "cpu": (cpu_seconds(pid) - before) / RUNS, "peak": peers.peak_mib(pid)}


def tpch_beside(name, folder, queries):
    command = [sys.executable, HERE / "peers.py", name, folder, str(RUNS)]
    done = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def tpch_row(number, ours, others):
    mine = ours["seconds"][number]
    cells = [f"q{int(number):02}", mine if isinstance(mine, str) else f"{statistics.median(mine):.3f}"]
    for other in others:
        theirs = other["seconds"][number]
        if isinstance(theirs, str) or isinstance(mine, str):
            cells += [theirs if isinstance(theirs, str) else f"{statistics.median(theirs):.3f}", ""]
        else:
            ratio = statistics.median(mine) / statistics.median(theirs)
            other.setdefault("ratios", []).append(ratio)
            cells += [f"{statistics.median(theirs):.3f}", f"{ratio:.2f}"]
    return cells


def total(of):
    return sum(statistics.median(taken) for taken in of["seconds"].values() if not isinstance(taken, str))


def bench_tpch(conn, server, scale="1"):
    """Managed tables, sorted by date, beside peers on the files that they were loaded from."""
    import tpch
    folder = tpch.data(scale)
    _, queries = tpch.open_duckdb(folder)
    tpch.create_tables(conn, folder, schema=f"tpch_{scale}", managed=True)
    ours = tpch_here(conn, server.process.pid, queries)
    others = [tpch_beside(name, folder, queries) for name in PEERS]
    rows = [tpch_row(str(number), ours, others) for number in queries]
    means = [math.exp(statistics.fmean(map(math.log, other["ratios"]))) for other in others]
    of_all = [(f"{total(other):.2f}", f"**{mean:.2f}**") for other, mean in zip(others, means)]
    rows.append(("sum, **geometric mean**", f"{total(ours):.2f}", *(cell for pair in of_all for cell in pair)))
    rows.append(("CPU seconds", f"{ours['cpu']:.2f}", *(cell for other in others for cell in (f"{other['cpu']:.2f}", ""))))
    rows.append(("peak, MiB", f"{ours['peak']:.0f}", *(cell for other in others for cell in (f"{other['peak']:.0f}", ""))))
    head = ("query", "Tidegate", *(cell for name in PEERS.values() for cell in (name, "ratio")))
    table(f"TPC-H, scale factor {scale}, seconds, median of {RUNS}", head, rows)


def bench_tpch10(conn, server):
    bench_tpch(conn, server, "10")


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


def bench_door(conn, server):
    import door
    (ours, clients), (theirs, their_clients) = door.rows(conn, server)
    table(f"Rows out over the wire, {door.ROWS:,} rows of five columns, each server on one core, median of {RUNS}", door.READER_HEAD,
          list(door.reader_table(ours, theirs)))
    table("… to clients on the other core, one run", door.CLIENT_HEAD, list(door.client_table(clients, their_clients)))


def bench_crowd(conn, server):
    import crowd
    (before, after, seconds), lines = crowd.rows(conn, server)
    print(f"\n{crowd.IDLE:,} idle connections: {before:.0f} MiB before, {after:.0f} MiB with them, opened in {seconds:.1f} s")
    table("A client beside busy ones", crowd.HEAD, lines)


def bench_windows(conn, _server):
    import windows
    table(f"Windows, {windows.EVENTS:,} events, events a second, median of {windows.RUNS}", ("query", "Tidegate", "Flink SQL", "ratio"), list(windows.rows(conn)))


def bench_small(conn, _server):
    import small
    table(f"{small.BATCHES_A_SECOND} batches of {small.ROWS} rows a second", small.HEAD, list(small.rows(conn)))


def bench_load(conn, server):
    import load
    table(f"Into tables and out of them, 6,001,215 rows, median of {load.RUNS}", load.HEAD, list(load.rows(conn, server)))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--cache")
    arguments.add_argument("--only", default="tpch,load,ingest,door,crowd,windows")
    chosen = arguments.parse_args()
    if chosen.cache:
        os.environ["TIDEGATE_TEST_CACHE"] = chosen.cache
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / "drivers")]
    server = Server(chosen.server)
    try:
        import psycopg
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
        print(f"{os.cpu_count()} cores, {memory} GiB, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.release()}")
        parts = {
            "tpch": bench_tpch, "tpch10": bench_tpch10, "load": bench_load, "small": bench_small, "ingest": bench_ingest,
            "door": bench_door, "crowd": bench_crowd, "windows": bench_windows,
        }
        for name in chosen.only.split(","):
            with psycopg.connect(f"host=127.0.0.1 port={server.sql} user=admin dbname=dev", autocommit=True) as conn:
                parts[name](conn, server)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
