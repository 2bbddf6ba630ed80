"""psycopg 3 against a server: extended protocol, binary both ways, COPY, cancel, errors, streaming."""

import datetime as dt
import json
import os
import socket
import struct
import threading
import time
import uuid
from decimal import Decimal

import psycopg
from psycopg import errors, pq, sql

from checks import CONNINFO, SQL_PORT, check, equal, finish, server_memory_kib

PID = os.environ.get("TIDEGATE_PID")
RSS_GROWTH_KIB_MAX = 256 * 1024
STREAMED_ROWS = 10_000_000
SLOW = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 %% 7 = b.m %% 11"
UTC = dt.timezone.utc

conn = psycopg.connect(CONNINFO, autocommit=True)
conn.execute("SET timezone = 'UTC'")

# (SQL type, value): each goes out as a parameter and comes back as a column, as text and as binary.
VALUES = [
    ("boolean", True), ("boolean", False),
    ("smallint", -32768), ("int", 2147483647), ("bigint", -9223372036854775808),
    ("real", 1.5), ("double precision", 0.1), ("double precision", float("inf")), ("double precision", 1e-300),
    ("numeric(10,2)", Decimal("12.34")), ("numeric(38,10)", Decimal("-1234567890123456789012345678.0123456789")),
    ("numeric(38,0)", Decimal("99999999999999999999999999999999999999")), ("numeric(6,3)", Decimal("0.000")),
    ("text", "läuft 🚀"), ("text", ""), ("varchar", "x" * 100_000),
    ("bytea", b"\x00\x01\xff"), ("bytea", b""),
    ("date", dt.date(2013, 1, 1)), ("date", dt.date(1969, 12, 31)), ("date", dt.date(9999, 12, 31)),
    ("timestamp", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)), ("timestamp", dt.datetime(1900, 1, 1)),
    ("timestamptz", dt.datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=UTC)),
    ("interval", dt.timedelta(days=1, seconds=3723)),
    ("int[]", [1, None, 3]), ("text[]", ["a", 'b"c', None, "", "d,e"]), ("double precision[]", [0.5, 1.5]),
]
NULLABLE = ["boolean", "int", "bigint", "double precision", "numeric", "text", "bytea", "date", "timestamp", "timestamptz"]


def round_trips(binary):
    fmt = sql.SQL("%b" if binary else "%t")
    wrong = []
    for kind, value in VALUES:
        query = sql.SQL("SELECT {}::{} AS v").format(fmt, sql.SQL(kind))
        try:
            found = conn.cursor(binary=binary).execute(query, [value]).fetchone()[0]
            if found != value or type(found) is not type(value):
                wrong.append(f"{kind} {str(value)[:60]!r}: {str(found)[:60]!r}")
        except psycopg.Error as error:
            wrong.append(f"{kind} {str(value)[:60]!r}: {error}")
    for kind in NULLABLE:
        query = sql.SQL("SELECT {}::{}").format(fmt, sql.SQL(kind))
        try:
            found = conn.cursor(binary=binary).execute(query, [None]).fetchone()[0]
            if found is not None:
                wrong.append(f"{kind} NULL: {found!r}")
        except psycopg.Error as error:
            wrong.append(f"{kind} NULL: {error}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def a_union_is_told_in_the_type_that_its_rows_have():
    rows = conn.cursor(binary=True).execute("SELECT 1 AS g UNION ALL SELECT 9000000000 ORDER BY 1").fetchall()
    equal(rows, [(1,), (9000000000,)])


@check
def values_both_ways_as_text():
    round_trips(binary=False)


@check
def values_both_ways_as_binary():
    round_trips(binary=True)


@check
def result_types_are_described():
    cur = conn.execute("SELECT 1::smallint a, 1::int b, 1::bigint c, 1::real d, 1::double precision e, 1::numeric f, 't'::text g, "
                       "true h, DATE '2013-01-01' i, TIMESTAMP '2013-01-01' j, TIMESTAMPTZ '2013-01-01' k, '\\x00'::bytea l")
    equal([c.type_code for c in cur.description], [21, 23, 20, 700, 701, 1700, 25, 16, 1082, 1114, 1184, 17])
    equal("".join(c.name for c in cur.description), "abcdefghijkl")


@check
def a_redshift_session_is_described_as_it_runs():
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        other.execute("SET compat_mode = redshift")
        cur = other.cursor(binary=True).execute("SELECT (%b::numeric)::text, %b::numeric AS n", [Decimal("7.6"), Decimal("7.6")])
        equal(cur.fetchall(), [("8", Decimal(8))])
        equal((cur.description[1].precision, cur.description[1].scale), (18, 0))


@check
def a_table_through_parameters():
    conn.execute("CREATE TABLE people (id bigint, name text, born date, score numeric(8,2))")
    rows = [(n, f"name {n}", dt.date(1980, 1, 1) + dt.timedelta(days=n), Decimal(n) / 4) for n in range(200)]
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO people VALUES (%s, %s, %s, %s)", rows)
        equal(cur.rowcount, 200)
    cur = conn.cursor(binary=True)
    found = cur.execute("SELECT id, name, born, score FROM people WHERE id >= %b AND name <> %b ORDER BY id", [100, "name 150"]).fetchall()
    equal(len(found), 99)
    equal(found[0], (100, "name 100", dt.date(1980, 4, 10), Decimal("25.00")))
    equal(conn.execute("UPDATE people SET score = %s WHERE id < %s", [Decimal("1.5"), 10]).rowcount, 10)
    equal(conn.execute("DELETE FROM people WHERE id = %s", [5]).rowcount, 1)
    equal(conn.execute("SELECT sum(score) FROM people WHERE id < 10").fetchone()[0], Decimal("13.50"))


@check
def the_server_infers_parameter_types():
    equal(conn.execute("SELECT id FROM people WHERE born = %s", [dt.date(1980, 1, 2)]).fetchone(), (1,))
    equal(conn.execute("SELECT count(*) FROM people WHERE id = ANY(%s)", [[1, 2, 3]]).fetchone(), (3,))
    equal(conn.execute("SELECT id FROM people ORDER BY id LIMIT %s OFFSET %s", [2, 3]).fetchall(), [(3,), (4,)])
    equal(conn.execute("SELECT %s || 'x'", ["a"]).fetchone(), ("ax",))


@check
def a_prepared_statement_is_used_again():
    conn.prepare_threshold = 0
    try:
        for n in range(20):
            equal(conn.execute("SELECT name FROM people WHERE id = %s", [n + 20]).fetchone(), (f"name {n + 20}",))
        conn.execute("CREATE TABLE again (a int)")
        conn.execute("INSERT INTO again VALUES (1)")
        equal(conn.execute("SELECT * FROM again", prepare=True).fetchall(), [(1,)])
        conn.execute("INSERT INTO again VALUES (2)")
        equal(len(conn.execute("SELECT * FROM again", prepare=True).fetchall()), 2)
    finally:
        conn.prepare_threshold = 5


@check
def a_pipeline_answers_in_order():
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s::int", [n]) for n in range(50)]
    equal([c.fetchone()[0] for c in cursors], list(range(50)))


@check
def an_error_in_a_pipeline_skips_to_its_end():
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        try:
            with other.pipeline():
                other.execute("SELECT 1")
                other.execute("SELECT 1 / 0")
                other.execute("SELECT 2")
        except errors.DivisionByZero:
            pass
        else:
            raise AssertionError("no error")
        equal(other.execute("SELECT 3").fetchone(), (3,))


@check
def transactions():
    with psycopg.connect(CONNINFO) as other:
        other.execute("CREATE TABLE moved (a int)")
        other.commit()
        try:
            with other.transaction():
                other.execute("INSERT INTO moved VALUES (1)")
                raise KeyError
        except KeyError:
            pass
        equal(other.execute("SELECT count(*) FROM moved").fetchone(), (0,))
        with other.transaction():
            other.execute("INSERT INTO moved VALUES (2)")
            try:
                with other.transaction():
                    other.execute("SELECT 1 / 0")
            except errors.DivisionByZero:
                pass
            other.execute("INSERT INTO moved VALUES (3)")
        equal(other.info.transaction_status, pq.TransactionStatus.INTRANS)
        other.commit()
        equal(other.info.transaction_status, pq.TransactionStatus.IDLE)
    equal(conn.execute("SELECT a FROM moved ORDER BY a").fetchall(), [(2,), (3,)])


@check
def copy_in_and_out():
    conn.execute("CREATE TABLE copied (id int, name text, at timestamptz)")
    rows = [(n, None if n % 7 == 0 else f"tab\t{n}\nline \\ ", dt.datetime(2013, 1, 1, tzinfo=UTC)) for n in range(5000)]
    with conn.cursor() as cur:
        with cur.copy("COPY copied FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        equal(cur.rowcount, 5000)
        with cur.copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "timestamptz"])
            found = list(copy.rows())
    equal(found, rows)


@check
def copy_in_binary():
    types = ["int4", "int8", "float8", "numeric", "text", "bool", "date", "time", "timestamp", "timestamptz", "bytea", "uuid"]
    conn.execute(f"CREATE TABLE copied_b ({', '.join(f'{name}_ {name}' for name in types)})".replace("numeric_ numeric", "numeric_ numeric(12,3)"))
    at = dt.datetime(1999, 12, 31, 23, 59, 59, 999999)
    full = (-7, 2**63 - 1, 1e-300, Decimal("-123456.789"), "é\t\n", True, dt.date(2024, 2, 29), dt.time(1, 2, 3, 4), at, at.replace(tzinfo=UTC), b"\x00\xff", uuid.UUID(int=2**127))
    rows = [full, (None,) * len(types)] * 5000
    with conn.cursor() as cur:
        with cur.copy("COPY copied_b FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        equal(cur.rowcount, 10000)
        with cur.copy("COPY (SELECT * FROM copied_b ORDER BY int4_) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(types)
            found = list(copy.rows())
    equal([found.count(full), found.count(rows[1]), len(found)], [5000, 5000, 10000])
    for options in ("DELIMITER ','", "NULL ''", "HEADER"):
        try:
            with conn.cursor() as cur, cur.copy(f"COPY copied_b FROM STDIN (FORMAT BINARY, {options})"):
                pass
        except psycopg.errors.SyntaxError as error:
            equal(str(error), f"cannot specify {options.split()[0]} in BINARY mode")
        else:
            raise AssertionError(options)


@check
def notifications_come_when_they_are_committed():
    with psycopg.connect(CONNINFO, autocommit=True) as listener, psycopg.connect(CONNINFO) as sender:
        listener.execute("LISTEN news")
        sender.execute("NOTIFY news, 'one'")
        sender.execute("SAVEPOINT s")
        sender.execute("NOTIFY news, 'undone'")
        sender.execute("ROLLBACK TO s")
        sender.execute("SELECT pg_notify('news', 'two'), pg_notify('news', 'one'), pg_notify('other', 'unheard')")
        equal(list(listener.notifies(timeout=0.3)), [])
        sender.commit()
        told = list(listener.notifies(timeout=5, stop_after=2))
        equal([(n.pid, n.channel, n.payload) for n in told], [(sender.info.backend_pid, "news", "one"), (sender.info.backend_pid, "news", "two")])
        sender.execute("NOTIFY news, 'taken back'")
        sender.rollback()
        listener.execute("BEGIN")
        sender.execute("NOTIFY news, 'later'")
        sender.commit()
        equal(list(listener.notifies(timeout=0.3)), [])  # not inside of a block
        listener.execute("COMMIT")
        equal([n.payload for n in listener.notifies(timeout=5, stop_after=1)], ["later"])
        listener.execute("NOTIFY news, 'to itself'")
        equal([n.payload for n in listener.notifies(timeout=5, stop_after=1)], ["to itself"])
        listener.execute("UNLISTEN *")
        sender.execute("NOTIFY news, 'unheard'")
        sender.commit()
        equal(list(listener.notifies(timeout=0.3)), [])


@check
def jobs_tell_how_they_stand():
    with psycopg.connect(CONNINFO, autocommit=True) as listener:
        listener.execute("LISTEN batch_job_state_change")
        conn.execute("CREATE COMPUTE ENVIRONMENT listened WITH (max_vcpus = 1)")
        conn.execute("CREATE JOB QUEUE listened COMPUTE ENVIRONMENTS (listened)")
        conn.execute("""CREATE JOB DEFINITION listened AS '{"type": "container", "containerProperties": {"command": ["sh", "-c", "sleep 0.3; exit 3"]}}'""")
        conn.execute("SELECT batch.submit_job(job_name => 'listened', job_queue => 'listened', job_definition => 'listened')")
        told = []
        for notification in listener.notifies(timeout=30):
            told.append(json.loads(notification.payload))
            if told[-1]["detail"]["status"] in ("SUCCEEDED", "FAILED"):
                break
        equal([(event["source"], event["detail"]["jobName"]) for event in told], [("aws.batch", "listened")] * len(told))
        statuses = [event["detail"]["status"] for event in told]
        equal(statuses[-2:], ["RUNNING", "FAILED"])
        equal(told[-1]["detail"]["container"]["exitCode"], 3)


@check
def a_copy_that_is_given_up_leaves_nothing():
    try:
        with conn.cursor() as cur, cur.copy("COPY copied FROM STDIN") as copy:
            copy.write_row((9999, "x", None))
            raise KeyError
    except (KeyError, psycopg.Error):
        pass
    equal(conn.execute("SELECT count(*) FROM copied WHERE id = 9999").fetchone(), (0,))


@check
def cancel_ends_a_query():
    timer = threading.Timer(0.7, conn.cancel_safe)
    timer.start()
    started = time.monotonic()
    try:
        conn.execute(SLOW.replace("%%", "%"))
    except errors.QueryCanceled as error:
        equal(error.sqlstate, "57014")
    else:
        raise AssertionError("it was not cancelled")
    finally:
        timer.join()
    assert time.monotonic() - started < 10
    equal(conn.execute("SELECT 1").fetchone(), (1,))


@check
def cancel_ends_rows_being_sent():
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        cur = other.cursor()
        rows = cur.stream("SELECT * FROM generate_series(1, 1000000000)")
        equal(next(rows), (1,))
        other.cancel_safe()
        try:
            for _ in rows:
                pass
        except errors.QueryCanceled:
            pass
        else:
            raise AssertionError("it was not cancelled")


@check
def statement_timeout_ends_a_query():
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        other.execute("SET statement_timeout = 300")
        try:
            other.execute(SLOW.replace("%%", "%"))
        except errors.QueryCanceled as error:
            assert "timeout" in str(error), error
        else:
            raise AssertionError("no timeout")
        equal(other.execute("SELECT 1").fetchone(), (1,))


@check
def a_closed_socket_ends_its_query():
    with socket.create_connection(("127.0.0.1", SQL_PORT)) as raw:
        body = struct.pack("!i", 196608) + b"user\0admin\0database\0dev\0\0"
        raw.sendall(struct.pack("!i", len(body) + 4) + body)
        time.sleep(0.5)
        text = SLOW.replace("%%", "%").encode() + b"\0"
        raw.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
        time.sleep(0.5)
    if PID is None:
        return
    # The work ends: the server's processor time comes to stand still.
    def cpu():
        with open(f"/proc/{PID}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    for _ in range(30):
        before = cpu()
        time.sleep(1.0)
        spent = (cpu() - before) / os.sysconf("SC_CLK_TCK")
        if spent < 0.5:
            return
    raise AssertionError(f"{spent:.1f} s of processor time in a second, half a minute after the client had gone")


@check
def errors_have_their_class():
    cases = [
        ("SELEKT 1", errors.SyntaxError), ("SELECT * FROM nowhere", errors.UndefinedTable), ("SELECT nothing", errors.UndefinedColumn),
        ("SELECT nothing(1)", errors.UndefinedFunction), ("SELECT 1 / 0", errors.DivisionByZero),
        ("SELECT 'x'::int", errors.InvalidTextRepresentation), ("CREATE TABLE people (a int)", errors.DuplicateTable),
        ("SELECT 40000::smallint", errors.NumericValueOutOfRange), ("SELECT 1 FROM people GROUP BY id HAVING name = 'x'", errors.GroupingError),
    ]
    wrong = []
    for text, expected in cases:
        try:
            conn.execute(text)
            wrong.append(f"{text}: no error")
        except psycopg.Error as error:
            if not isinstance(error, expected):
                wrong.append(f"{text}: {error.sqlstate} {error}")
    assert not wrong, "\n  " + "\n  ".join(wrong)
    try:
        conn.execute("SELECT id, nothing FROM people WHERE id = %s", [1])
    except errors.UndefinedColumn as error:
        equal(error.diag.statement_position, "12")
    try:
        conn.execute("SELECT 1 / %s", [0])
    except errors.DivisionByZero:
        pass


@check
def a_named_cursor_fetches_piece_by_piece():
    with psycopg.connect(CONNINFO) as other, other.cursor("c") as cur:
        cur.itersize = 1000
        cur.execute("SELECT * FROM generate_series(1, 10000)")
        equal(cur.fetchone(), (1,))
        equal(cur.fetchmany(3), [(2,), (3,), (4,)])
        equal(sum(1 for _ in cur), 9996)


@check
def ten_million_rows_hold_memory_flat():
    with psycopg.connect(CONNINFO, autocommit=True) as other:
        before = server_memory_kib(PID) if PID else 0
        highest = before
        count = total = 0
        cur = other.cursor(binary=True)
        for (n,) in cur.stream("SELECT * FROM generate_series(1, %s)", [STREAMED_ROWS], size=10_000):
            count += 1
            total += n
            if PID and count % 250_000 == 0:
                highest = max(highest, server_memory_kib(PID))
    equal((count, total), (STREAMED_ROWS, STREAMED_ROWS * (STREAMED_ROWS + 1) // 2))
    grown = highest - before
    print(f"  server memory: {before // 1024} MiB before, {highest // 1024} MiB at most")
    assert grown < RSS_GROWTH_KIB_MAX, f"the server grew by {grown // 1024} MiB"


@check
def a_slow_reader_holds_memory_flat():
    """A client that does not read must not make the server buffer its whole result."""
    if PID is None:
        return
    with socket.create_connection(("127.0.0.1", SQL_PORT)) as raw:
        body = struct.pack("!i", 196608) + b"user\0admin\0database\0dev\0\0"
        raw.sendall(struct.pack("!i", len(body) + 4) + body)
        time.sleep(0.5)
        before = server_memory_kib(PID)
        text = b"SELECT n, repeat('x', 100) FROM generate_series(1, 20000000) AS g(n)\0"
        raw.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
        time.sleep(5)
        grown = server_memory_kib(PID) - before
    assert grown < RSS_GROWTH_KIB_MAX, f"the server grew by {grown // 1024} MiB"


finish()
