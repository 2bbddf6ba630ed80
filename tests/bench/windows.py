"""Events a second through a tumbling count, and through a join with a dimension: Tidegate beside Flink SQL on the same events.

Tidegate reads a stream that holds them already, Flink a file of the same JSON lines; both on all cores of this machine. What Flink
needs to start is measured by the same job over one event, and taken off.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

EVENTS = 5_000_000
CARRIERS = 16
FLINK_HEAP_MB = 4096
RUNS = 3
# What Flink's own scripts open of Java for it.
OPENED = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in
          ("java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "java.text", "java.time", "java.util", "java.util.concurrent",
           "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch")]
HERE = pathlib.Path(__file__).parent

SELECTS = {
    "tumbling count": "SELECT window_start, carrier, count(*) AS n FROM {window} GROUP BY window_start, window_end, carrier",
    "join with a dimension, count": "SELECT window_start, c.airline, count(*) AS n FROM {window} AS f JOIN carriers c ON c.carrier = f.carrier "
                                    "GROUP BY window_start, window_end, c.airline",
}


def write_events(path, count):
    """Flights-like events in about the order of their time, up to eight seconds late."""
    with open(path, "w") as out:
        for n in range(count):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1767225600 + n // 1000 - n * 7919 % 8))
            out.write(f'{{"id":{n},"carrier":"c{n % CARRIERS}","delay":{n % 240 - 60},"at":"{at}"}}\n')


def by_tidegate(conn, events):
    conn.execute("CREATE STREAM flights (id bigint, carrier text, delay int, at timestamptz, WATERMARK FOR at AS at - INTERVAL '10 seconds') "
                 "PARTITION KEY (id) FORMAT JSON WITH (shards = 2)")
    conn.execute("CREATE TABLE carriers AS SELECT 'c' || n AS carrier, 'airline ' || n % 5 AS airline "
                 f"FROM generate_series(0, {CARRIERS - 1}) AS g(n)")
    conn.execute(f"CREATE EXTERNAL TABLE events (id bigint, carrier text, delay int, at timestamptz) STORED AS JSON LOCATION 'file://{events}'")
    # In the order of the file: a scan in several parts would mix them, and make records late by half of all.
    conn.execute("INSERT INTO flights SELECT * FROM events ORDER BY id")
    conn.execute("CHECKPOINT")
    took = {}
    for place, (name, select) in enumerate(SELECTS.items()):
        window = "TUMBLE(TABLE flights, DESCRIPTOR(at), INTERVAL '1 minute')"
        runs = []
        for _ in range(RUNS):
            conn.execute(f"CREATE MATERIALIZED VIEW v{place} AUTO REFRESH NO AS {select.format(window=window)}")
            started = time.monotonic()
            conn.execute(f"REFRESH MATERIALIZED VIEW v{place}")
            runs.append(time.monotonic() - started)
            read = conn.execute("SELECT records, late FROM tidegate.continuous_queries WHERE target LIKE %s", (f"%v{place}",)).fetchone()
            assert read == (EVENTS, 0), read
            conn.execute(f"DROP MATERIALIZED VIEW v{place}")
        took[name] = statistics.median(runs)
    return took


def by_flink(home, folder, events, carriers):
    took = {}
    for name, select in SELECTS.items():
        window = "TABLE(TUMBLE(TABLE flights, DESCRIPTOR(`at`), INTERVAL '1' MINUTE))"
        columns = "window_start TIMESTAMP(3), k STRING, n BIGINT"
        script = folder / "job.sql"
        script.write_text(f"""
            CREATE TABLE flights (id BIGINT, carrier STRING, delay INT, `at` TIMESTAMP_LTZ(3), WATERMARK FOR `at` AS `at` - INTERVAL '10' SECOND)
              WITH ('connector' = 'filesystem', 'path' = 'file://{events}', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
            CREATE TABLE carriers (carrier STRING, airline STRING)
              WITH ('connector' = 'filesystem', 'path' = 'file://{carriers}', 'format' = 'json');
            CREATE TABLE taken ({columns}) WITH ('connector' = 'blackhole');
            INSERT INTO taken {select.format(window=window)};
        """)
        runs = []
        for _ in range(RUNS):
            started = time.monotonic()
            done = subprocess.run(["java", f"-Xmx{FLINK_HEAP_MB}m", *OPENED, "-cp", f"{home}/lib/*", HERE / "FlinkSql.java", script, str(os.cpu_count())],
                                  capture_output=True, text=True)
            runs.append(time.monotonic() - started)
            if done.returncode:
                sys.exit(f"Flink failed: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        took[name] = statistics.median(runs)
    return took


def rows(conn):
    """A row for each query: events a second, and how many times Flink's."""
    home = pathlib.Path(os.environ["TIDEGATE_TEST_CACHE"]) / "flink-venv"
    (home,) = home.glob("lib/python3*/site-packages/pyflink")
    with tempfile.TemporaryDirectory(prefix="tidegate-windows-") as folder:
        folder = pathlib.Path(folder)
        many, one, carriers = folder / "events.jsonl", folder / "one.jsonl", folder / "carriers.jsonl"
        write_events(many, EVENTS)
        write_events(one, 1)
        carriers.write_text("".join(json.dumps({"carrier": f"c{n}", "airline": f"airline {n % 5}"}) + "\n" for n in range(CARRIERS)))
        ours = by_tidegate(conn, many)
        whole, start = by_flink(home, folder, many, carriers), by_flink(home, folder, one, carriers)
    for name in SELECTS:
        mine, theirs = EVENTS / ours[name], EVENTS / max(whole[name] - start[name], 0.001)
        yield name, f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.2f}"
