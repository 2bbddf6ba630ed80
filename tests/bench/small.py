"""Ten batches of a hundred rows a second for ten minutes: the files that they leave, and what a scan costs beside the same
table compacted. TIDEGATE_SMALL_SECONDS says how long.
"""

import os
import statistics
import time

SECONDS = int(os.environ.get("TIDEGATE_SMALL_SECONDS", "600"))
BATCHES_A_SECOND = 10
ROWS = 100
SCANS = 15
SCAN = "SELECT count(*), sum(amount), count(DISTINCT customer), max(note) FROM small WHERE at >= '2000-01-01'"
HEAD = ("after", "rows", "files", "scan, ms", "slowest INSERT, ms", "median INSERT, ms")


def scan_ms(conn):
    taken = []
    for _ in range(SCANS):
        started = time.monotonic()
        conn.execute(SCAN).fetchall()
        taken.append((time.monotonic() - started) * 1000)
    return statistics.median(taken)


def insert(conn):
    """Milliseconds of each batch; one that is late is made up for."""
    text = "INSERT INTO small (id, customer, amount, note) VALUES " + ", ".join(["(%s, %s, %s, %s)"] * ROWS)
    taken, began = [], time.monotonic()
    for batch in range(SECONDS * BATCHES_A_SECOND):
        time.sleep(max(0, began + batch / BATCHES_A_SECOND - time.monotonic()))
        ids = range(batch * ROWS, (batch + 1) * ROWS)
        values = [value for n in ids for value in (n, n * 7919 % 5000, f"{n % 10_000}.25", f"note number {n}")]
        started = time.monotonic()
        conn.execute(text, values)
        taken.append((time.monotonic() - started) * 1000)
    return taken


def state(conn):
    files = conn.execute("SELECT files FROM tidegate.tables WHERE name = 'small'").fetchone()[0]
    return conn.execute("SELECT count(*) FROM small").fetchone()[0], files, scan_ms(conn)


def rows(conn):
    conn.execute("""CREATE TABLE small (id bigint, customer int, amount numeric(12,2), note varchar(40),
        at timestamp DEFAULT current_timestamp) SORTKEY (at)""")
    taken = insert(conn)
    count, files, before = state(conn)
    assert count == SECONDS * BATCHES_A_SECOND * ROWS, count
    yield f"{SECONDS} s of batches", count, files, f"{before:.1f}", f"{max(taken):.0f}", f"{statistics.median(taken):.1f}"
    conn.execute("VACUUM FULL small TO 100 PERCENT")
    count, files, after = state(conn)
    yield "VACUUM", count, files, f"{after:.1f}", "", ""
    yield "ratio", "", "", f"{before / after:.2f}", "", ""
