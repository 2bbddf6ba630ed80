"""psqlODBC against a server, through unixODBC and pyodbc: values, prepared parameters, the catalog's functions, transactions."""

import datetime as dt
import os
import sys
import threading
import uuid
from decimal import Decimal

DRIVER = os.environ.get("TIDEGATE_ODBC_DRIVER", f"/usr/lib/{os.uname().machine}-linux-gnu/odbc/psqlodbcw.so")
if not os.path.exists(DRIVER):
    print(f"SKIP odbc: there is no {DRIVER} (Debian's odbc-postgresql)")
    sys.exit(0)
try:
    import pyodbc
except ImportError as missing:
    print(f"SKIP odbc: {missing} (Debian's unixodbc)")
    sys.exit(0)

import checks  # noqa: E402
from checks import SQL_PORT, check, finish  # noqa: E402


def plain(value):
    """Rows as tuples: pyodbc's own are equal to nothing else."""
    if isinstance(value, pyodbc.Row):
        return tuple(value)
    return [plain(v) for v in value] if isinstance(value, list) else value


def equal(found, expected):
    checks.equal(plain(found), plain(expected))


def connect(autocommit=True, **options):
    told = {"Driver": DRIVER, "Server": "127.0.0.1", "Port": SQL_PORT, "Database": "dev", "UID": "admin", **options}
    opened = pyodbc.connect(";".join(f"{k}={v}" for k, v in told.items()), autocommit=autocommit)
    opened.setdecoding(pyodbc.SQL_WCHAR, encoding="utf-16le")
    return opened


def listed(rows, *columns):
    return [tuple(getattr(row, c) for c in columns) for row in rows]


def run(conn, *texts):
    for text in texts:
        conn.execute(text)


def fails(state, function):
    try:
        function()
    except pyodbc.Error as error:
        equal((error.args[0], str(error)[:200] if error.args[0] != state else ""), (state, ""))
        return
    raise AssertionError(f"no error, expected {state}")


conn = connect()
run(conn, "SET timezone = 'UTC'", "CREATE SCHEMA odbc_meta",
    "CREATE TABLE odbc_meta.parent (id bigint NOT NULL PRIMARY KEY, code varchar(20) NOT NULL DEFAULT 'x', price numeric(10,2) DEFAULT 0,"
    " born date, at timestamp, flag boolean, small smallint, whole int, half real, full_ double precision, long_text text, fixed char(5))",
    "CREATE TABLE odbc_meta.child (a int NOT NULL, b int NOT NULL, parent_id bigint, other text UNIQUE,"
    " CONSTRAINT odbc_child_key PRIMARY KEY (b, a), CONSTRAINT odbc_child_parent FOREIGN KEY (parent_id) REFERENCES odbc_meta.parent (id))",
    "CREATE VIEW odbc_meta.seen AS SELECT id, code FROM odbc_meta.parent",
    "COMMENT ON TABLE odbc_meta.parent IS 'what others refer to'",
    "CREATE FUNCTION odbc_meta.plus(int, int) RETURNS int IMMUTABLE AS $$ SELECT $1 + $2 $$ LANGUAGE sql")

VALUES = [
    ("smallint", -32768), ("int", 2147483647), ("bigint", -9223372036854775808),
    ("real", 1.5), ("double precision", 0.1), ("double precision", 1e-300),
    ("numeric(10,2)", Decimal("12.34")), ("numeric(28,10)", Decimal("-123456789012345678.0123456789")), ("numeric(38,0)", Decimal("9" * 38)),
    ("text", "läuft 🚀"), ("text", ""), ("varchar(100)", "it's \\ \"q\"\n\t"), ("text", "x" * 5000),
    ("date", dt.date(2013, 1, 1)), ("date", dt.date(1969, 12, 31)), ("date", dt.date(1, 1, 1)), ("date", dt.date(9999, 12, 31)),
    ("time", dt.time(1, 2, 3)), ("timestamp", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)), ("timestamp", dt.datetime(1900, 1, 1)),
    ("timestamp", dt.datetime(9999, 12, 31, 23, 59, 59)),
    ("timestamptz", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)), ("bytea", b"\x00\x01\xff'\\"), ("bytea", b""),
]


def values_both_ways(**options):
    wrong = []
    with_options = connect(**options)
    run(with_options, "SET timezone = 'UTC'")
    for kind, value in VALUES:
        for sent in (value, None):
            try:
                found = with_options.execute(f"SELECT CAST(? AS {kind})", sent).fetchone()[0]
                if found != sent:
                    wrong.append(f"{kind} {str(sent)[:60]!r}: {str(found)[:60]!r}")
            except pyodbc.Error as error:
                wrong.append(f"{kind} {str(sent)[:60]!r}: {error}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def connects_and_tells_versions():
    equal(conn.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
    assert conn.getinfo(pyodbc.SQL_DBMS_VER).startswith("15."), conn.getinfo(pyodbc.SQL_DBMS_VER)
    equal(conn.getinfo(pyodbc.SQL_DATABASE_NAME), "dev")
    equal(conn.getinfo(pyodbc.SQL_USER_NAME), "admin")
    equal(conn.execute("SELECT current_database()").fetchone()[0], "dev")


@check
def values_prepared_by_the_server():
    values_both_ways(UseServerSidePrepare=1)


@check
def values_written_into_the_text():
    values_both_ways(UseServerSidePrepare=0)


@check
def values_of_kinds_that_odbc_lacks():
    equal(conn.execute("SELECT true, false, CAST(? AS boolean)", True).fetchone(), ("1", "0", "1"))
    with connect(BoolsAsChar=0) as other:
        equal(tuple(other.execute("SELECT true, false, CAST(? AS boolean)", True).fetchone()), (True, False, True))
    given = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
    equal(conn.execute("SELECT CAST(? AS uuid)", given).fetchone()[0].lower(), str(given))
    equal(conn.execute("SELECT INTERVAL '1 day 02:00:00'").fetchone()[0], "1 day 02:00:00")
    equal(conn.execute("SELECT ARRAY[1, NULL, 3]").fetchone()[0], "{1,NULL,3}")
    equal(conn.execute("SELECT CAST('{\"a\": 1}' AS json)").fetchone()[0], '{"a": 1}')


@check
def columns_are_described():
    cur = conn.execute("SELECT id, code, price, born, at, small, half, full_, long_text, fixed FROM odbc_meta.parent")
    equal([(c[0], c[1].__name__, c[3], c[5], c[6]) for c in cur.description], [
        ("id", "int", 19, 0, False), ("code", "str", 20, 0, False), ("price", "Decimal", 10, 2, True), ("born", "date", 10, 0, True),
        ("at", "datetime", 26, 6, True), ("small", "int", 5, 0, True), ("half", "float", 9, 0, True), ("full_", "float", 17, 0, True),
        ("long_text", "str", 8190, 0, True), ("fixed", "str", 5, 0, True)])


@check
def a_table_through_parameters():
    conn.execute("CREATE TABLE odbc_people (id bigint, name varchar(30), born date, score numeric(8,2), at timestamp)")
    cur = conn.cursor()
    rows = [(n, f"name {n}", dt.date(1980, 1, 1) + dt.timedelta(days=n), Decimal(n) / 4, dt.datetime(2013, 1, 1, 0, n % 60)) for n in range(200)]
    cur.executemany("INSERT INTO odbc_people VALUES (?, ?, ?, ?, ?)", rows)
    found = conn.execute("SELECT id, name, born, score, at FROM odbc_people WHERE id >= ? AND name <> ? ORDER BY id", 100, "name 150").fetchall()
    equal(len(found), 99)
    equal(tuple(found[0]), rows[100])
    equal(conn.execute("UPDATE odbc_people SET score = ? WHERE id < ?", Decimal("1.5"), 10).rowcount, 10)
    equal(conn.execute("DELETE FROM odbc_people WHERE born = ?", dt.date(1980, 1, 6)).rowcount, 1)
    equal(conn.execute("SELECT sum(score) FROM odbc_people WHERE id < 10").fetchone()[0], Decimal("13.50"))
    equal(conn.execute("SELECT count(*) FROM odbc_people WHERE at = ? AND score IS NOT NULL", rows[0][4]).fetchone()[0], 4)
    conn.execute("INSERT INTO odbc_people VALUES (?, ?, ?, ?, ?)", 1000, None, None, None, None)
    equal(tuple(conn.execute("SELECT name, born, score, at FROM odbc_people WHERE id = ?", 1000).fetchone()), (None,) * 4)


@check
def many_rows_at_once():
    conn.execute("CREATE TABLE odbc_many (id int, name varchar(20))")
    cur = conn.cursor()
    cur.fast_executemany = True
    cur.executemany("INSERT INTO odbc_many VALUES (?, ?)", [(n, f"n{n}") for n in range(1000)])
    equal(tuple(conn.execute("SELECT count(*), sum(id), max(name) FROM odbc_many").fetchone()), (1000, 499500, "n999"))


@check
def a_prepared_statement_is_used_again():
    cur = conn.cursor()
    for n in range(10):
        equal(cur.execute("SELECT CAST(? AS int) + 1, CAST(? AS varchar) || 'x'", n, f"s{n}").fetchone(), (n + 1, f"s{n}x"))


@check
def returning_gives_rows():
    conn.execute("CREATE TABLE odbc_returned (id int GENERATED BY DEFAULT AS IDENTITY, name text)")
    equal(conn.execute("INSERT INTO odbc_returned (name) VALUES (?) RETURNING name", "a").fetchone(), ("a",))
    equal(len(conn.execute("INSERT INTO odbc_returned (name) VALUES ('b'), ('c') RETURNING id").fetchall()), 2)


@check
def many_results_of_one_text():
    cur = conn.execute("SELECT 1; SELECT 'a', 'b'")
    equal(cur.fetchall(), [(1,)])
    equal(cur.nextset(), True)
    equal(cur.fetchall(), [("a", "b")])
    assert not cur.nextset()


@check
def tables_are_listed():
    cur = conn.cursor()
    columns = ("table_schem", "table_name", "table_type", "remarks")
    equal(listed(cur.tables(schema="odbc_meta"), "table_schem", "table_name", "table_type"),
          [("odbc_meta", "child", "TABLE"), ("odbc_meta", "parent", "TABLE"), ("odbc_meta", "seen", "VIEW")])
    equal(listed(cur.tables(schema="odbc_meta", tableType="VIEW"), *columns[:3]), [("odbc_meta", "seen", "VIEW")])
    equal(listed(cur.tables(table="par%", schema="odbc\\_meta", tableType="TABLE,VIEW"), *columns[:3]), [("odbc_meta", "parent", "TABLE")])
    with connect(ShowSystemTables=1) as other:
        equal(listed(other.cursor().tables(table="pg_class", schema="pg_catalog"), "table_name", "table_type"), [("pg_class", "TABLE")])


@check
def schemas_and_catalogs_are_listed():
    assert "odbc_meta" in [row.table_schem for row in conn.cursor().tables(schema="%", catalog="", table="")]
    assert "dev" in [row.table_cat for row in conn.cursor().tables(catalog="%", schema="", table="")]


@check
def columns_are_listed():
    rows = listed(conn.cursor().columns(table="parent", schema="odbc_meta"), "ordinal_position", "column_name", "type_name", "data_type", "column_size",
                  "decimal_digits", "nullable", "column_def")
    wrong = [f"{found} instead of {expected}" for found, expected in zip(rows, [
        (1, "id", "int8", -5, 19, 0, 0, None), (2, "code", "varchar", -9, 20, None, 0, "'x'::character varying"), (3, "price", "numeric", 2, 10, 2, 1, "0"),
        (4, "born", "date", 91, 10, None, 1, None), (5, "at", "timestamp", 93, 26, 6, 1, None), (6, "flag", "bool", 12, 5, 0, 1, None),
        (7, "small", "int2", 5, 5, 0, 1, None), (8, "whole", "int4", 4, 10, 0, 1, None), (9, "half", "float4", 7, 9, 0, 1, None),
        (10, "full_", "float8", 6, 17, 0, 1, None), (11, "long_text", "text", -10, 8190, None, 1, None), (12, "fixed", "bpchar", -8, 5, None, 1, None),
    ], strict=True) if found != expected]
    assert not wrong, "\n  " + "\n  ".join(wrong)
    equal(listed(conn.cursor().columns(table="seen", schema="odbc_meta", column="co%"), "column_name", "type_name"), [("code", "varchar")])


@check
def primary_keys_are_listed():
    columns = ("table_schem", "table_name", "column_name", "key_seq", "pk_name")
    equal(listed(conn.cursor().primaryKeys("child", schema="odbc_meta"), *columns),
          [("odbc_meta", "child", "b", 1, "odbc_child_key"), ("odbc_meta", "child", "a", 2, "odbc_child_key")])
    equal(listed(conn.cursor().primaryKeys("seen", schema="odbc_meta"), *columns), [])


FOREIGN = ("pktable_schem", "pktable_name", "pkcolumn_name", "fktable_schem", "fktable_name", "fkcolumn_name", "key_seq", "fk_name", "pk_name")
CHILD_PARENT = [("odbc_meta", "parent", "id", "odbc_meta", "child", "parent_id", 1, "odbc_child_parent", "parent_pkey")]


@check
def foreign_keys_are_listed():
    equal(listed(conn.cursor().foreignKeys(foreignTable="child", foreignSchema="odbc_meta"), *FOREIGN), CHILD_PARENT)


@check
def keys_that_refer_here_are_listed():
    equal(listed(conn.cursor().foreignKeys(table="parent", schema="odbc_meta"), *FOREIGN), CHILD_PARENT)


@check
def indexes_are_listed():
    found = listed(conn.cursor().statistics("child", schema="odbc_meta"), "non_unique", "index_name", "ordinal_position", "column_name")
    equal([f for f in found if f[1] is not None],
          [(0, "odbc_child_key", 1, "b"), (0, "odbc_child_key", 2, "a"), (0, "child_other_key", 1, "other")])


@check
def types_are_listed():
    names = {row.type_name for row in conn.cursor().getTypeInfo()}
    assert {"int2", "int4", "int8", "float4", "float8", "numeric", "bool", "varchar", "text", "date", "time", "timestamptz", "bytea", "uuid"} <= names, names


@check
def procedures_are_listed():
    equal(listed(conn.cursor().procedures(schema="odbc_meta"), "procedure_schem", "procedure_name"), [("odbc_meta", "plus")])
    found = listed(conn.cursor().procedureColumns("plus", schema="odbc_meta"), "column_type", "type_name", "ordinal_position")
    equal(found, [(5, "int4", 0), (1, "int4", 1), (1, "int4", 2)])


@check
def a_procedure_is_called():
    equal(conn.execute("SELECT odbc_meta.plus(?, ?)", 1, 2).fetchone(), (3,))
    equal(conn.execute("{call upper(?)}", "abc").fetchone(), ("ABC",))


@check
def escapes_of_odbc():
    for text, expected in [
        ("SELECT {d '2013-01-01'}", dt.date(2013, 1, 1)), ("SELECT {ts '2013-01-01 05:00:00'}", dt.datetime(2013, 1, 1, 5)), ("SELECT {t '05:00:00'}", dt.time(5)),
        ("SELECT {fn UCASE('a')}", "A"), ("SELECT {fn CONCAT('a', 'b')}", "ab"), ("SELECT {fn LENGTH('abc')}", 3), ("SELECT {fn MOD(7, 4)}", 3),
        ("SELECT {fn LEFT('abc', 2)}", "ab"), ("SELECT a.n FROM {oj generate_series(1, 1) a(n) LEFT OUTER JOIN generate_series(1, 1) b(n) ON a.n = b.n}", 1),
    ]:
        equal((text, conn.execute(text).fetchone()[0]), (text, expected))


def streamed(count, **options):
    with connect(autocommit=False, UseDeclareFetch=1, Fetch=500, **options) as other:
        cur = other.execute("SELECT n, 'row ' || n FROM generate_series(1, ?) AS g(n) ORDER BY n", count)
        seen = 0
        for n, text in cur:
            seen += 1
            if (n, text) != (seen, f"row {seen}"):
                raise AssertionError(f"row {seen}: {n} {text}")
        equal(seen, count)
        equal(other.execute("SELECT 1").fetchone(), (1,))
        other.commit()


@check
def rows_through_a_cursor():
    streamed(20_000)


@check
def rows_through_a_cursor_of_written_text():
    streamed(20_000, UseServerSidePrepare=0)


@check
def rows_through_a_cursor_outside_a_transaction():
    with connect(UseDeclareFetch=1, Fetch=500) as other:
        equal(sum(n for (n,) in other.execute("SELECT n FROM generate_series(1, 3000) AS g(n)")), 3000 * 3001 // 2)


@check
def transactions():
    with connect(autocommit=False) as other:
        run(other, "CREATE TABLE odbc_moved (a int)")
        other.commit()
        run(other, "INSERT INTO odbc_moved VALUES (1)")
        other.rollback()
        equal(other.execute("SELECT count(*) FROM odbc_moved").fetchone()[0], 0)
        run(other, "INSERT INTO odbc_moved VALUES (2)")
        other.commit()
    equal(conn.execute("SELECT sum(a) FROM odbc_moved").fetchone()[0], 2)


def after_an_error(protocol):
    with connect(autocommit=False, Protocol=protocol) as other:
        name = "odbc_saved" + protocol[-1]
        run(other, f"CREATE TABLE {name} (a int)", f"INSERT INTO {name} VALUES (1)")
        fails("22012", lambda: other.execute("SELECT 1 / 0").fetchall())
        try:
            run(other, f"INSERT INTO {name} VALUES (2)")
        except pyodbc.Error as error:
            other.rollback()
            return error.args[0]
        fails("42P01", lambda: other.execute("SELECT * FROM nowhere WHERE a = ?", 1))
        other.commit()
        return other.execute(f"SELECT sum(a) FROM {name}").fetchone()[0]


@check
def an_error_rolls_back_to_a_savepoint():
    equal(after_an_error("7.4-2"), 3)


@check
def an_error_fails_the_transaction():
    equal(after_an_error("7.4-0"), "25P02")


@check
def isolation_levels():
    with connect(autocommit=False) as other:
        other.set_attr(pyodbc.SQL_ATTR_TXN_ISOLATION, pyodbc.SQL_TXN_SERIALIZABLE)
        equal(other.execute("SHOW transaction_isolation").fetchone()[0], "serializable")
        other.rollback()


@check
def a_connection_that_only_reads():
    conn.execute("CREATE TABLE odbc_read (a int)")
    with connect(ReadOnly=1) as other:
        equal(other.execute("SELECT count(*) FROM odbc_read").fetchone()[0], 0)
        try:
            other.execute("INSERT INTO odbc_read VALUES (1)")
        except pyodbc.Error:
            pass
    equal(conn.execute("SELECT count(*) FROM odbc_read").fetchone()[0], 0)


@check
def a_slow_query_is_cancelled():
    with connect() as other:
        cur = other.cursor()
        timer = threading.Timer(0.7, cur.cancel)
        timer.start()
        slow = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 % 7 = b.m % 11"
        fails("57014", lambda: cur.execute(slow))
        timer.join()
        equal(other.execute("SELECT 1").fetchone(), (1,))


@check
def errors_have_their_state():
    wrong = []
    for text, state in [
        ("SELEKT 1", "42601"), ("SELECT * FROM nowhere", "42P01"), ("SELECT nothing", "42703"), ("SELECT nothing(1)", "42883"), ("SELECT 1 / 0", "22012"),
        ("SELECT 'x'::int", "22P02"), ("CREATE TABLE odbc_meta.parent (a int)", "42P07"), ("SELECT 40000::smallint", "22003"),
        ("INSERT INTO odbc_meta.parent (id, code) VALUES (1, NULL)", "23502"),
    ]:
        try:
            conn.execute(text)
            wrong.append(f"{text}: no error")
        except pyodbc.Error as error:
            if error.args[0] != state:
                wrong.append(f"{text}: {error.args[0]} instead of {state}: {error}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


finish()
