"""pg8000 against a server: a driver in Python alone, which sends its parameters as text and asks for no types."""

import datetime as dt
import io
from decimal import Decimal

import pg8000.dbapi
import pg8000.native

from checks import SQL_PORT, check, equal, finish

HOW = {"host": "127.0.0.1", "port": SQL_PORT, "database": "dev"}
conn = pg8000.native.Connection("admin", **HOW)
conn.run("SET timezone = 'UTC'")

VALUES = [
    ("boolean", True), ("smallint", -32768), ("int", 2147483647), ("bigint", -9223372036854775808),
    ("real", 1.5), ("double precision", 0.1), ("numeric(10,2)", Decimal("12.34")),
    ("numeric(38,0)", Decimal("99999999999999999999999999999999999999")),
    ("text", "läuft 🚀"), ("text", ""), ("bytea", b"\x00\x01\xff"),
    ("date", dt.date(1969, 12, 31)), ("time", dt.time(1, 2, 3, 4)), ("timestamp", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)),
    ("timestamptz", dt.datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=dt.timezone.utc)),
    ("interval", dt.timedelta(days=1, seconds=3723)), ("int[]", [1, None, 3]), ("text[]", ["a", 'b"c', None, "d,e"]),
]


@check
def values_both_ways():
    wrong = []
    for kind, value in VALUES:
        for sent in (value, None):
            found = conn.run(f"SELECT CAST(:v AS {kind})", v=sent)[0][0]
            if found != sent:
                wrong.append(f"{kind} {str(sent)[:60]!r}: {str(found)[:60]!r}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def columns_and_counts_are_told():
    conn.run("CREATE TABLE pg8000_told (id bigint, name text)")
    conn.run("INSERT INTO pg8000_told VALUES (:a, :b), (2, 'two')", a=1, b="one")
    equal(conn.row_count, 2)
    equal(conn.run("SELECT id, name FROM pg8000_told ORDER BY id"), [[1, "one"], [2, "two"]])
    equal([(c["name"], c["type_oid"]) for c in conn.columns], [("id", 20), ("name", 25)])


@check
def a_prepared_statement_is_used_again():
    statement = conn.prepare("SELECT CAST(:n AS int) + 1")
    equal([statement.run(n=n) for n in range(5)], [[[n + 1]] for n in range(5)])
    statement.close()


@check
def rows_are_copied_in_and_out():
    conn.run("CREATE TABLE pg8000_copied (id int, name text)")
    conn.run("COPY pg8000_copied FROM STDIN WITH (FORMAT CSV)", stream=io.StringIO("1,one\n2,two\n"))
    out = io.StringIO()
    conn.run("COPY (SELECT * FROM pg8000_copied ORDER BY id) TO STDOUT WITH (FORMAT CSV)", stream=out)
    equal(out.getvalue(), "1,one\n2,two\n")


@check
def errors_have_their_code():
    for text, code in [("SELECT * FROM nowhere", "42P01"), ("SELECT 1 / 0", "22012"), ("SELEKT", "42601")]:
        try:
            conn.run(text)
        except pg8000.native.DatabaseError as error:
            equal(error.args[0]["C"], code)
            continue
        raise AssertionError(f"{text}: no error")


@check
def transactions_by_the_database_api():
    with pg8000.dbapi.connect("admin", **HOW) as other:
        cur = other.cursor()
        cur.execute("CREATE TABLE pg8000_moved (a int)")
        other.commit()
        cur.executemany("INSERT INTO pg8000_moved VALUES (%s)", [(n,) for n in range(10)])
        other.rollback()
        cur.execute("SELECT count(*) FROM pg8000_moved")
        equal(cur.fetchone()[0], 0)
        cur.executemany("INSERT INTO pg8000_moved VALUES (%s)", [(n,) for n in range(10)])
        other.commit()
        cur.execute("SELECT sum(a) FROM pg8000_moved")
        equal(cur.fetchone()[0], 45)


finish()
