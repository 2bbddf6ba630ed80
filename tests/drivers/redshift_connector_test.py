"""redshift_connector against a server with compat_mode = redshift: values, frames, and what it reads of the catalog."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import redshift_connector

from checks import SQL_PORT, check, equal, finish

UTC = dt.timezone.utc
HOW = {"host": "127.0.0.1", "port": SQL_PORT, "database": "dev", "user": "admin", "password": "", "ssl": False, "timeout": 60}


def connect(**more):
    other = redshift_connector.connect(**HOW, **more)
    other.autocommit = True
    with other.cursor() as cur:
        cur.execute("SET compat_mode = redshift")
        cur.execute("SET timezone = 'UTC'")
    return other


conn = connect()


def run(text, *args):
    with conn.cursor() as cur:
        cur.execute(text, *args)
        return [list(row) for row in cur.fetchall()] if cur.description else cur.rowcount


VALUES = [
    ("boolean", True), ("boolean", False), ("smallint", -32768), ("int", 2147483647), ("bigint", -9223372036854775808),
    ("real", 1.5), ("double precision", 0.1), ("double precision", 1e-300),
    ("numeric(10,2)", Decimal("12.34")), ("numeric(38,10)", Decimal("-1234567890123456789012345678.0123456789")),
    ("numeric(38,0)", Decimal("9" * 38)), ("varchar(20)", "läuft 🚀"), ("varchar(max)", "x" * 65535), ("char(5)", "ab   "),
    ("date", dt.date(2013, 1, 1)), ("date", dt.date(1969, 12, 31)), ("time", dt.time(1, 2, 3, 4)), ("timestamp", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)),
    ("timestamptz", dt.datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=UTC)), ("timetz", dt.time(1, 2, 3, 4, tzinfo=UTC)),
]


@check
def values_are_read():
    wrong = []
    literal = {bool: str, int: str, float: repr, Decimal: str}
    for kind, value in VALUES:
        text = literal.get(type(value), lambda v: f"'{v}'")(value)
        for sent, expected in ((text, value), ("NULL", None)):
            try:
                found = run(f"SELECT CAST({sent} AS {kind}) AS v")[0][0]
                if found != expected:
                    wrong.append(f"{kind} {sent[:60]}: {str(found)[:60]!r}")
            except Exception as error:  # noqa: BLE001: all that goes wrong is told at once
                wrong.append(f"{kind} {sent[:60]}: {str(error)[:200]}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def values_go_out_as_parameters():
    wrong = []
    for kind, value in VALUES:
        for sent in (value, None):
            try:
                found = run(f"SELECT CAST(%s AS {kind}) AS v", (sent,))[0][0]
                if found != sent:
                    wrong.append(f"{kind} {str(sent)[:60]!r}: {str(found)[:60]!r}")
            except Exception as error:  # noqa: BLE001: all that goes wrong is told at once
                wrong.append(f"{kind} {str(sent)[:60]!r}: {str(error)[:200]}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def values_go_through_a_table():
    columns = ", ".join(f"c{n} {kind}" for n, (kind, _) in enumerate(VALUES))
    run(f"CREATE TABLE rsc_kinds ({columns}) DISTSTYLE EVEN")
    run(f"INSERT INTO rsc_kinds VALUES ({', '.join(['%s'] * len(VALUES))})", [value for _, value in VALUES])
    equal(run("SELECT * FROM rsc_kinds"), [[value for _, value in VALUES]])


@check
def redshift_types():
    wrong = []
    for text, expected in [
        ("SELECT JSON_PARSE('{\"a\":[1,2]}') AS v", '{"a":[1,2]}'),
        ("SELECT 'abc'::varbyte AS v", b"abc"),
        ("SELECT INTERVAL '1 day 01:02:03' DAY TO SECOND AS v", dt.timedelta(days=1, seconds=3723)),
        ("SELECT INTERVAL '1-2' YEAR TO MONTH AS v", "1 year 2 mons"),
        ("SELECT ARRAY(1, 2) AS v", "[1,2]"),
        ("SELECT 'x'::bpchar AS v", "x"),
        ("SELECT GETDATE() - GETDATE() = INTERVAL '0' AS v", True),
        ("SELECT 7.6::numeric AS v", Decimal("8")),
    ]:
        try:
            found = run(text)[0][0]
            if str(found) != str(expected) and found != expected:
                wrong.append(f"{text}: {found!r}")
        except Exception as error:  # noqa: BLE001: all that goes wrong is told at once
            wrong.append(f"{text}: {str(error)[:200]}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def the_server_is_seen_as_redshift():
    text = run("SELECT version()")[0][0]
    assert text.startswith("PostgreSQL 8.0.2") and "Redshift 1.0" in text, text


@check
def columns_are_told():
    with conn.cursor() as cur:
        cur.execute("SELECT 1::smallint AS a, 1::int AS b, 1::bigint AS c, 1.5::numeric(5,1) AS d, 'x'::varchar(3) AS e, true AS f, DATE '2013-01-01' AS g")
        equal([c[0] for c in cur.description], list("abcdefg"))
        equal([c[1] for c in cur.description], [21, 23, 20, 1700, 1043, 16, 1082])


@check
def executemany_counts():
    run("CREATE TABLE rsc_many (id int, name varchar(20))")
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO rsc_many VALUES (%s, %s)", [(n, f"n{n}") for n in range(100)])
        equal(cur.rowcount, 100)
        cur.execute("SELECT id, name FROM rsc_many WHERE id < %s ORDER BY id", (3,))
        equal([list(row) for row in cur.fetchmany(2)], [[0, "n0"], [1, "n1"]])
        equal([list(row) for row in cur.fetchall()], [[2, "n2"]])
        cur.execute("UPDATE rsc_many SET name = %s WHERE id >= %s", ("x", 90))
        equal(cur.rowcount, 10)


@check
def rows_are_inserted_in_bulk():
    import csv
    import tempfile
    run("CREATE TABLE rsc_bulk (id int, name varchar(20))")
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="") as file, conn.cursor() as cur:
        csv.writer(file).writerows([["id", "name"], *[[n, f"n{n}"] for n in range(250)]])
        file.flush()
        cur.insert_data_bulk(filename=file.name, table_name="rsc_bulk", parameter_indices=[0, 1], column_names=["id", "name"], delimiter=",", batch_size=100)
    equal(run("SELECT count(*), sum(id::int) FROM rsc_bulk"), [[250, 31125]])


@check
def every_style_of_parameter():
    with conn.cursor() as cur:
        for style, text, args in [("format", "SELECT %s + 1 AS v", (1,)), ("qmark", "SELECT ? + 1 AS v", (1,)), ("numeric", "SELECT :1 + 1 AS v", (1,)),
                                  ("named", "SELECT :n + 1 AS v", {"n": 1}), ("pyformat", "SELECT %(n)s + 1 AS v", {"n": 1})]:
            cur.paramstyle = style
            cur.execute(text, args)
            equal(list(cur.fetchone()), [2])


@check
def a_frame_is_written_and_fetched():
    written = pd.DataFrame({"id": [1, 2, 3], "name": pd.Series(["one", None, "three"], dtype=object), "part": [0.5, 1.5, 2.5], "at": pd.to_datetime(["2013-01-01"] * 3), "even": [False, True, False]})
    run("CREATE TABLE rsc_frame (id bigint, name varchar(20), part double precision, at timestamp, even boolean)")
    with conn.cursor() as cur:
        cur.write_dataframe(written, "rsc_frame")
        cur.execute("SELECT * FROM rsc_frame ORDER BY id")
        found = cur.fetch_dataframe()
        equal(list(found.columns), ["id", "name", "part", "at", "even"])
        equal(found["id"].tolist(), [1, 2, 3])
        equal([None if pd.isna(v) else v for v in found["name"]], ["one", None, "three"])
        equal(found["part"].tolist(), [0.5, 1.5, 2.5])
        equal(found["at"].tolist(), [pd.Timestamp("2013-01-01")] * 3)
        equal(found["even"].tolist(), [False, True, False])
        cur.execute("SELECT id, part FROM rsc_frame ORDER BY id")
        equal(cur.fetch_numpy_array().tolist(), [[1, 0.5], [2, 1.5], [3, 2.5]])


def listed(method, *args, **named):
    """A metadata method's rows as dictionaries."""
    with conn.cursor() as cur:
        result = getattr(cur, method)(*args, **named)
        names = [(c[0].decode() if isinstance(c[0], bytes) else c[0]).lower() for c in cur.description]
        return [dict(zip(names, row)) for row in result]


@check
def catalogs_are_listed():
    assert "dev" in [row["table_cat"] for row in listed("get_catalogs")], listed("get_catalogs")


@check
def schemas_are_listed():
    run("CREATE SCHEMA rsc_schema")
    found = [row["table_schem"] for row in listed("get_schemas")]
    assert {"public", "rsc_schema"} <= set(found), found
    equal([row["table_schem"] for row in listed("get_schemas", schema_pattern="rsc%")], ["rsc_schema"])


@check
def tables_are_listed():
    run("CREATE TABLE rsc_schema.listed (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(10,2) DEFAULT 1.5, at timestamptz)")
    run("CREATE VIEW rsc_schema.seen AS SELECT id FROM rsc_schema.listed")
    equal(sorted((row["table_name"], row["table_type"]) for row in listed("get_tables", schema_pattern="rsc_schema")), [("listed", "TABLE"), ("seen", "VIEW")])
    equal([row["table_name"] for row in listed("get_tables", schema_pattern="rsc_schema", table_name_pattern="l%", types=["TABLE"])], ["listed"])
    equal(listed("get_tables", schema_pattern="nowhere"), [])


@check
def columns_are_listed():
    found = listed("get_columns", schema_pattern="rsc_schema", tablename_pattern="listed")
    equal([(row["column_name"], row["type_name"], row["column_size"], row["nullable"], row["ordinal_position"]) for row in found], [
        ("id", "int4", 10, 0, 1), ("name", "varchar", 20, 0, 2), ("price", "numeric", 10, 1, 3), ("at", "timestamptz", 35, 1, 4)])
    equal(found[2]["decimal_digits"], 2)
    assert "1.5" in (found[2]["column_def"] or ""), found[2]
    equal([row["column_name"] for row in listed("get_columns", schema_pattern="rsc_schema", columnname_pattern="n%")], ["name"])


@check
def primary_keys_are_listed():
    equal([(row["table_schem"], row["table_name"], row["column_name"], row["key_seq"]) for row in listed("get_primary_keys", schema="rsc_schema", table="listed")],
          [("rsc_schema", "listed", "id", 1)])


@check
def procedures_are_listed():
    run("CREATE PROCEDURE rsc_schema.rsc_proc(a int) AS $$ BEGIN NULL; END $$ LANGUAGE plpgsql")
    equal([row["procedure_name"] for row in listed("get_procedures", schema_pattern="rsc_schema")], ["rsc_proc"])


@check
def a_transaction_rolls_back():
    run("CREATE TABLE rsc_moved (a int)")
    with redshift_connector.connect(**HOW) as other, other.cursor() as cur:
        cur.execute("INSERT INTO rsc_moved VALUES (1)")
        equal(run("SELECT count(*) FROM rsc_moved"), [[0]])
        other.rollback()
        cur.execute("INSERT INTO rsc_moved VALUES (2)")
        other.commit()
        equal(run("SELECT a FROM rsc_moved"), [[2]])
        try:
            cur.execute("SELECT 1 / 0")
        except redshift_connector.ProgrammingError as error:
            equal(error.args[0]["C"], "22012")
        else:
            raise AssertionError("no error")
        other.rollback()
        cur.execute("SELECT 1")
        equal(list(cur.fetchone()), [1])


@check
def errors_have_their_code():
    wrong = []
    for text, code in [("SELECT * FROM nowhere", "42P01"), ("SELECT nothing", "42703"), ("SELEKT", "42601"), ("CREATE TABLE rsc_moved (a int)", "42P07")]:
        try:
            run(text)
            wrong.append(f"{text}: no error")
        except redshift_connector.ProgrammingError as error:
            if error.args[0]["C"] != code:
                wrong.append(f"{text}: {error.args[0]}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@check
def every_protocol_version():
    for version in (0, 1, 2):
        with connect(client_protocol_version=version) as other, other.cursor() as cur:
            cur.execute("SELECT 1 AS a, 12.34::numeric(10,2) AS b, 'x' AS c, TIMESTAMP '2013-01-01 05:00' AS d")
            equal(list(cur.fetchone()), [1, Decimal("12.34"), "x", dt.datetime(2013, 1, 1, 5)])


@check
def a_large_result_is_read_piece_by_piece():
    with connect() as other, other.cursor() as cur:
        other.autocommit = False
        cur.arraysize = 1000
        cur.execute("SELECT n FROM generate_series(1, 50000) AS g(n)")
        equal(sum(row[0] for row in cur), 1250025000)


finish()
