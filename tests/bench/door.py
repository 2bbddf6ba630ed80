"""Rows out over the wire, beside Postgres on the same rows: how fast, how much CPU of the server, how much memory.

A reader that only counts bytes measures the server alone; psql, psycopg and pgJDBC say what a user gets. The reader runs on
one core and the servers on the other, so that each server has one core.
"""

import os
import pathlib
import re
import socket
import statistics
import struct
import subprocess
import time

from postgres import Postgres

ROWS = 10_000_000
RUNS = 3
TABLE = f"""CREATE TABLE wide AS SELECT n::bigint AS n, (n % 1000)::int AS k, n / 7.0::float8 AS x,
    timestamp '2013-01-01 05:00:00' + n * interval '1 second' AS at, 'row number ' || n AS t FROM generate_series(1, {ROWS}) AS g(n)"""
SELECT = "SELECT n, k, x, at, t FROM wide"
CHUNK_BYTES = 1 << 20
HERE = pathlib.Path(__file__).resolve().parent


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


class Reader:
    """A connection that counts what comes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        start = b"user\0admin\0database\0dev\0\0"
        self.socket.sendall(struct.pack("!ii", len(start) + 8, 196608) + start)
        self.drain()
        self.buffer = bytearray(CHUNK_BYTES)

    def drain(self):
        """Reads until the server is ready for a query; the bytes that came."""
        total, tail = 0, b""
        buffer = getattr(self, "buffer", None) or bytearray(CHUNK_BYTES)
        while not tail.endswith(b"Z\0\0\0\5I"):
            count = self.socket.recv_into(buffer)
            if not count:
                raise RuntimeError("the server closed the connection")
            total += count
            tail = (tail + bytes(buffer[max(0, count - 6):count]))[-6:]
        return total

    def simple(self, text):
        self.socket.sendall(message(b"Q", text.encode() + b"\0"))
        return self.drain()

    def binary(self, text):
        self.socket.sendall(message(b"P", b"\0" + text.encode() + b"\0\0\0") + message(b"B", b"\0\0\0\0\0\0\0\1\0\1")
                            + message(b"E", b"\0\0\0\0\0") + message(b"S"))
        return self.drain()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def measured(pid_of, work):
    """Median seconds, median CPU seconds of the server's process, its peak above what it held, and what work gave."""
    seconds, cpu, given = [], [], None
    pid = pid_of()
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    held = peak_mib(pid)
    for _ in range(RUNS):
        before, started = cpu_seconds(pid), time.monotonic()
        given = work()
        seconds.append(time.monotonic() - started)
        cpu.append(cpu_seconds(pid) - before)
    return statistics.median(seconds), statistics.median(cpu), peak_mib(pid) - held, given


def by_reader(port, pid):
    """What a server sends at best: seconds, CPU seconds, MiB more, and bytes, by way."""
    reader = Reader(port)
    own = pid or backend(reader)
    ways = {
        "text": lambda: reader.simple(SELECT),
        "binary": lambda: reader.binary(SELECT),
        "COPY, text": lambda: reader.simple(f"COPY ({SELECT}) TO STDOUT"),
        "COPY, binary": lambda: reader.simple(f"COPY ({SELECT}) TO STDOUT (FORMAT binary)"),
    }
    return {name: measured(lambda: own, work) for name, work in ways.items()}


def backend(reader):
    """The process that serves a connection of Postgres."""
    reader.socket.sendall(message(b"Q", b"SELECT pg_backend_pid()\0"))
    answer = reader.socket.recv(CHUNK_BYTES)
    return int(re.search(rb"D\x00\x00\x00.\x00\x01\x00\x00\x00.(\d+)", answer, re.DOTALL)[1])


def psql(port, command, *options):
    connection = f"host=127.0.0.1 port={port} user=admin dbname=dev"
    subprocess.run(["psql", "-X", "-q", "-A", "-t", *options, connection, "-c", command], check=True, stdout=subprocess.DEVNULL)


def psycopg_rows(port, binary):
    import psycopg
    with psycopg.connect(f"host=127.0.0.1 port={port} user=admin dbname=dev") as conn:
        count = sum(1 for _ in conn.cursor(binary=binary).stream(SELECT, size=10_000))
    assert count == ROWS, count


def jdbc_rows(port):
    """pgJDBC reads by portals of 10,000 rows, in binary where it can."""
    source = HERE / "DoorRows.java"
    answer = subprocess.run(["java", "-cp", "/usr/share/java/postgresql.jar", str(source), str(port), SELECT],
                            check=True, capture_output=True, text=True)
    assert int(answer.stdout) == ROWS, answer.stdout


CLIENTS = {
    "psql, COPY … TO STDOUT": lambda port: psql(port, f"COPY ({SELECT}) TO STDOUT"),
    "psql, FETCH_COUNT": lambda port: psql(port, SELECT, "-v", "FETCH_COUNT=10000"),
    "psycopg, text": lambda port: psycopg_rows(port, False),
    "psycopg, binary": lambda port: psycopg_rows(port, True),
    "pgJDBC, 10,000 rows at a time": jdbc_rows,
}


def timed(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def by_clients(port, pid):
    """Seconds of one run, and the server's peak above what it held where its process is known."""
    found = {}
    for name, work in CLIENTS.items():
        if pid:
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        held = peak_mib(pid) if pid else 0
        seconds = timed(lambda: work(port))
        found[name] = seconds, (peak_mib(pid) - held if pid else None)
    return found


def pin(pid, core):
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


def rows(conn, server):
    """The figures of both: what the reader finds, and what clients do."""
    conn.execute(TABLE)
    conn.execute("CHECKPOINT")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    pin(server.process.pid, cores[0])
    ours = by_reader(server.sql, server.process.pid), by_clients(server.sql, server.process.pid)
    os.sched_setaffinity(0, {cores[0]})
    # What it starts stays on the core that it is started on.
    postgres = Postgres("max_parallel_workers_per_gather=0", "jit=off")
    try:
        import psycopg
        with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=admin dbname=dev", autocommit=True) as peer:
            peer.execute(TABLE)
            peer.execute("VACUUM ANALYZE wide")
            peer.execute("SELECT sum(n) FROM wide")  # in the page cache
        os.sched_setaffinity(0, {cores[-1]})
        theirs = by_reader(postgres.port, None), by_clients(postgres.port, None)
    finally:
        postgres.stop()
        os.sched_setaffinity(0, set(cores))
        pin_all(server.process.pid, cores)
    return ours, theirs


def pin_all(pid, cores):
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), set(cores))


def reader_table(ours, theirs):
    for way, (seconds, cpu, more, given) in ours.items():
        peer_seconds, peer_cpu, _, peer_given = theirs[way]
        yield (way, f"{ROWS / seconds / 1e6:.2f}", f"{given / seconds / 1e6:.0f}", f"{cpu:.2f}", f"{more:.0f}", f"{ROWS / peer_seconds / 1e6:.2f}",
               f"{peer_given / peer_seconds / 1e6:.0f}", f"{peer_cpu:.2f}", f"{peer_seconds / seconds:.2f}")


def client_table(ours, theirs):
    for client, (seconds, more) in ours.items():
        yield client, f"{ROWS / seconds / 1e6:.2f}", f"{more:.0f}", f"{ROWS / theirs[client][0] / 1e6:.2f}", f"{theirs[client][0] / seconds:.2f}"


READER_HEAD = ("way", "million rows a second", "MB a second", "CPU s", "MiB more", "Postgres: million rows", "MB", "CPU s", "rate to Postgres'")
CLIENT_HEAD = ("client", "million rows a second", "MiB more", "Postgres: million rows", "rate to Postgres'")
