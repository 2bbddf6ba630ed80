"""Many connections: what thousands that idle hold, and how long one client waits beside hundreds that are busy.

The busy ones are pgbench's, at a rate that both servers keep up with; the one client is measured alone and then beside them.
"""

import pathlib
import re
import socket
import statistics
import struct
import subprocess
import time

from postgres import Postgres

IDLE = 5000
BUSY = 500
PROBES = 2000
PROBE_PAUSE_SECONDS = 0.002
# Transactions a second of all busy ones together.
RATES = (500, 2000, 4000)
QUERY = "SELECT count(*), sum(k) FROM busy WHERE n < 100"
SECONDS = 12


def connected(port):
    conn = socket.create_connection(("127.0.0.1", port))
    start = b"user\0admin\0database\0dev\0\0"
    conn.sendall(struct.pack("!ii", len(start) + 8, 196608) + start)
    answer = b""
    while not answer.endswith(b"Z\0\0\0\5I"):
        answer += conn.recv(65536)
    return conn


def ask(conn, text):
    conn.sendall(b"Q" + struct.pack("!i", len(text) + 5) + text + b"\0")
    answer = b""
    while not answer.endswith(b"Z\0\0\0\5I"):
        answer += conn.recv(65536)


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def idle(server):
    """MiB that idle connections hold, and seconds to open them."""
    before, started = resident_mib(server.process.pid), time.monotonic()
    conns = [connected(server.sql) for _ in range(IDLE)]
    seconds = time.monotonic() - started
    # Each has been used, as those of a pool have.
    for conn in conns:
        ask(conn, b"SELECT 1")
    after = resident_mib(server.process.pid)
    for conn in conns:
        conn.close()
    return before, after, seconds


def probe(port):
    """Milliseconds of one client's queries: the middle, and the 99th of a hundred."""
    conn, taken = connected(port), []
    ask(conn, b"SELECT 1")
    for _ in range(PROBES):
        started = time.monotonic()
        ask(conn, b"SELECT 1")
        taken.append((time.monotonic() - started) * 1000)
        time.sleep(PROBE_PAUSE_SECONDS)
    conn.close()
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def beside(port, binaries, rate):
    """The same beside busy ones, and how many transactions a second these got."""
    script = pathlib.Path("/tmp/tidegate-bench-crowd.sql")
    script.write_text(QUERY + ";\n")
    command = [f"{binaries}/pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", "admin", "-c", str(BUSY), "-j", "1", "-T", str(SECONDS),
               "-R", str(rate), "-f", str(script), "dev"]
    crowd = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3)  # they log in
    found = probe(port)
    out, err = crowd.communicate()
    script.unlink()
    if crowd.returncode:
        raise RuntimeError(err)
    return *found, float(re.search(r"tps = ([\d.]+)", out)[1])


def rows(conn, server):
    make = "CREATE TABLE busy AS SELECT n::bigint AS n, (n % 10)::int AS k FROM generate_series(1, 1000) AS g(n)"
    conn.execute(make)
    before, after, seconds = idle(server)
    postgres = Postgres(f"max_connections={BUSY + 20}")
    try:
        import psycopg
        with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=admin dbname=dev", autocommit=True) as peer:
            peer.execute(make)
        lines = []
        for rate in (0, *RATES):
            cells = []
            for port in (server.sql, postgres.port):
                cells.append((*probe(port), 0.0) if rate == 0 else beside(port, postgres.bin, rate))
            lines.append((f"{BUSY} at {rate} queries a second" if rate else "alone",
                          *(text for p50, p99, tps in cells for text in (f"{p50:.2f}", f"{p99:.2f}", f"{tps:.0f}" if tps else ""))))
    finally:
        postgres.stop()
    return (before, after, seconds), lines


HEAD = ("one client's SELECT 1", "p50, ms", "p99, ms", "got", "Postgres: p50", "p99", "got")
