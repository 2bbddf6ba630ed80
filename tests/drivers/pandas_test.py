"""pandas over SQLAlchemy, with psycopg2 and with psycopg 3: frames written and read, their dtypes and their values."""

import datetime as dt
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import psycopg
import psycopg2
import sqlalchemy as sa
from pandas.testing import assert_frame_equal

from checks import CONNINFO, SQL_PORT, check, equal, finish

UTC = dt.timezone.utc
ROWS = 5000
WIDE_ROWS = 20_000


def each_driver(function):
    """A check that runs once with each driver."""
    for driver in ("psycopg2", "psycopg"):
        def body(driver=driver):
            engine = sa.create_engine(f"postgresql+{driver}://admin@127.0.0.1:{SQL_PORT}/dev",
                                      connect_args={"options": "-c timezone=UTC"})
            try:
                function(engine, f"pandas_{driver}_{function.__name__}")
            finally:
                engine.dispose()
        body.__name__ = f"{function.__name__}_{driver}"
        check(body)
    return function


def frame(rows=ROWS):
    numbers = np.arange(rows)
    return pd.DataFrame({
        "id": numbers.astype("int64"),
        "small": (numbers % 100).astype("int16"),
        "whole": numbers.astype("int32"),
        "part": numbers / 8,
        "single": (numbers / 4).astype("float32"),
        "name": [f"läuft {n}" for n in range(rows)],
        "even": numbers % 2 == 0,
        "at": pd.date_range("2013-01-01", periods=rows, freq="min").as_unit("us"),
        "zoned": pd.date_range("2013-01-01", periods=rows, freq="min", tz="UTC").as_unit("us"),
        "gaps": [None if n % 3 == 0 else n / 2 for n in range(rows)],
        "words": [None if n % 5 == 0 else "w" for n in range(rows)],
    })


def types_of(found):
    return {name: str(dtype) for name, dtype in found.dtypes.items()}


FRAME_TYPES = {"id": "int64", "small": "int64", "whole": "int64", "part": "float64", "single": "float64", "name": "str", "even": "bool",
               "at": "datetime64[us]", "zoned": "datetime64[us, UTC]", "gaps": "float64", "words": "str"}


def column_types(engine, table):
    with engine.connect() as conn:
        return dict(conn.execute(sa.text("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = :t"), {"t": table}).fetchall())


@each_driver
def a_frame_is_written_and_read(engine, table):
    written = frame()
    written.to_sql(table, engine, index=False)
    equal(column_types(engine, table), {
        "id": "bigint", "small": "smallint", "whole": "integer", "part": "double precision", "single": "real", "name": "text", "even": "boolean",
        "at": "timestamp without time zone", "zoned": "timestamp with time zone", "gaps": "double precision", "words": "text"})
    found = pd.read_sql(f"SELECT * FROM {table} ORDER BY id", engine)
    equal(types_of(found), FRAME_TYPES)
    assert_frame_equal(found, written.astype({"small": "int64", "whole": "int64", "single": "float64"}))


@each_driver
def a_frame_is_written_in_chunks_of_many_rows(engine, table):
    written = frame()
    written.to_sql(table, engine, index=False, method="multi", chunksize=500)
    found = pd.read_sql_table(table, engine).sort_values("id", ignore_index=True)
    equal(types_of(found), FRAME_TYPES)
    assert_frame_equal(found, written, check_dtype=False)


@each_driver
def a_frame_is_written_by_a_callable(engine, table):
    def by_union(kept, conn, keys, rows):
        conn.execute(kept.table.insert().from_select(keys, sa.union_all(*[sa.select(*[sa.literal(v) for v in row]) for row in rows])))
    pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}).to_sql(table, engine, index=False, method=by_union)
    equal(pd.read_sql(f"SELECT * FROM {table} ORDER BY a", engine).to_dict("list"), {"a": [1, 2, 3], "b": ["x", "y", "z"]})


@each_driver
def a_table_that_is_there(engine, table):
    first = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    first.to_sql(table, engine, index=False, if_exists="fail")
    try:
        first.to_sql(table, engine, index=False, if_exists="fail")
    except ValueError as error:
        assert "already exists" in str(error), error
    else:
        raise AssertionError("no error")
    first.to_sql(table, engine, index=False, if_exists="append")
    equal(pd.read_sql(f"SELECT a, b FROM {table} ORDER BY a", engine)["a"].tolist(), [1, 1, 2, 2])
    pd.DataFrame({"c": [1.5]}).to_sql(table, engine, index=False, if_exists="replace")
    equal(pd.read_sql(f"SELECT * FROM {table}", engine).to_dict("list"), {"c": [1.5]})
    pd.DataFrame({"c": [2.5, 3.5]}).to_sql(table, engine, index=False, if_exists="delete_rows")
    equal(pd.read_sql(f"SELECT * FROM {table} ORDER BY c", engine).to_dict("list"), {"c": [2.5, 3.5]})


@each_driver
def an_index_becomes_columns(engine, table):
    written = pd.DataFrame({"v": [10, 20]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["k", "l"]))
    written.to_sql(table, engine)
    assert_frame_equal(pd.read_sql(f"SELECT * FROM {table}", engine, index_col=["k", "l"]).sort_index(), written)


@each_driver
def an_index_is_told(engine, table):
    pd.DataFrame({"v": [10, 20]}, index=pd.Index([1, 2], name="k")).to_sql(table, engine)
    equal([index["column_names"] for index in sa.inspect(engine).get_indexes(table)], [["k"]])


@each_driver
def types_are_given(engine, table):
    written = pd.DataFrame({"a": [1, 2], "b": [Decimal("1.50"), Decimal("2.25")], "c": [dt.date(2013, 1, 1), dt.date(1969, 12, 31)],
                            "d": ["x", "y"], "e": [dt.time(1, 2, 3), None], "f": [b"\x00\xff", b""], "g": [1, 0]})
    written.to_sql(table, engine, index=False, dtype={
        "a": sa.SmallInteger, "b": sa.Numeric(10, 2), "c": sa.Date, "d": sa.String(5), "e": sa.Time, "f": sa.LargeBinary, "g": sa.BigInteger})
    equal(column_types(engine, table), {"a": "smallint", "b": "numeric", "c": "date", "d": "character varying", "e": "time without time zone",
                                        "f": "bytea", "g": "bigint"})
    found = pd.read_sql(f"SELECT * FROM {table} ORDER BY a", engine, coerce_float=False)
    found["f"] = found["f"].map(bytes)
    equal(found.to_dict("list"), written.to_dict("list"))
    assert all(isinstance(value, Decimal) for value in found["b"]), found["b"]
    equal(str(pd.read_sql(f"SELECT b FROM {table}", engine)["b"].dtype), "float64")


@each_driver
def intervals_are_read(engine, table):
    with engine.begin() as conn:
        conn.execute(sa.text(f"CREATE TABLE {table} (id int, lasted interval)"))
        conn.execute(sa.text(f"INSERT INTO {table} VALUES (1, '1 day 01:02:03'), (2, NULL)"))
    found = pd.read_sql_table(table, engine).sort_values("id")
    equal(found["lasted"].tolist()[0], dt.timedelta(days=1, seconds=3723))


@each_driver
def documents_are_written_and_read(engine, table):
    pd.DataFrame({"id": [1], "doc": [{"a": [1, None]}]}).to_sql(f"{table}_doc", engine, index=False, dtype={"doc": sa.dialects.postgresql.JSONB})
    equal(pd.read_sql(f"SELECT doc FROM {table}_doc", engine)["doc"].tolist(), [{"a": [1, None]}])


@each_driver
def types_that_hold_nothing(engine, table):
    written = pd.DataFrame({"i": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False], dtype="boolean"),
                            "s": pd.array(["x", None, ""], dtype="string"), "t": pd.to_datetime(["2013-01-01", None, "2013-01-03"]),
                            "f": [1.5, float("nan"), float("inf")], "c": pd.Categorical(["x", "y", "x"])})
    written.to_sql(table, engine, index=False)
    found = pd.read_sql(f"SELECT * FROM {table} ORDER BY t", engine, dtype_backend="numpy_nullable")
    equal(types_of(found), {"i": "Int64", "b": "boolean", "s": "string", "t": "datetime64[us]", "f": "Float64", "c": "string"})
    equal([v if v is not pd.NA else None for v in found["i"]], [1, 3, None])
    equal([v if v is not pd.NA else None for v in found["b"]], [True, False, None])
    equal([v if v is not pd.NA else None for v in found["s"]], ["x", "", None])
    equal(found["c"].tolist(), ["x", "x", "y"])
    equal(pd.read_sql(f"SELECT count(*) AS n FROM {table} WHERE f = 'infinity'", engine)["n"].tolist(), [1])


@each_driver
def parameters_go_into_queries(engine, table):
    frame(100).to_sql(table, engine, index=False)
    found = pd.read_sql(sa.text(f"SELECT id FROM {table} WHERE id > :low AND name <> :name AND at < :at ORDER BY id"), engine,
                        params={"low": 90, "name": "läuft 92", "at": dt.datetime(2013, 1, 1, 1, 35)})
    equal(found["id"].tolist(), [91, 93, 94])
    found = pd.read_sql(sa.text(f"SELECT id FROM {table} WHERE id IN :ids ORDER BY id").bindparams(sa.bindparam("ids", expanding=True)), engine,
                        params={"ids": [3, 5, 1000]})
    equal(found["id"].tolist(), [3, 5])
    kept = sa.Table(table, sa.MetaData(), autoload_with=engine)
    found = pd.read_sql(sa.select(kept.c.even, sa.func.sum(kept.c.id).label("s"), sa.func.avg(kept.c.part).label("m")).group_by(kept.c.even).order_by(kept.c.even), engine)
    equal(found["s"].tolist(), [2500, 2450])
    equal(found["m"].tolist(), [6.25, 6.125])


@each_driver
def a_query_is_read_in_chunks(engine, table):
    frame(WIDE_ROWS)[["id", "name"]].to_sql(table, engine, index=False, method="multi", chunksize=5000)
    sizes = [len(chunk) for chunk in pd.read_sql(f"SELECT * FROM {table}", engine, chunksize=3000)]
    equal(sizes, [3000] * 6 + [2000])
    with engine.connect().execution_options(stream_results=True, max_row_buffer=1000) as conn:
        total = 0
        for chunk in pd.read_sql(sa.text(f"SELECT id FROM {table}"), conn, chunksize=3000):
            equal(types_of(chunk), {"id": "int64"})
            total += int(chunk["id"].sum())
    equal(total, WIDE_ROWS * (WIDE_ROWS - 1) // 2)


@each_driver
def aggregates_have_their_types(engine, table):
    frame(100).to_sql(table, engine, index=False)
    found = pd.read_sql(f"SELECT count(*) AS n, sum(id) AS s, avg(id) AS a, sum(whole) AS w, min(at) AS at, max(zoned) AS z, bool_or(even) AS e, "
                        f"sum(part) AS p, date_trunc('hour', min(at)) AS h FROM {table}", engine)
    equal(types_of(found), {"n": "int64", "s": "float64", "a": "float64", "w": "int64", "at": "datetime64[us]", "z": "datetime64[us, UTC]", "e": "bool",
                            "p": "float64", "h": "datetime64[us]"})
    equal(found.iloc[0].tolist(), [100, 4950.0, 49.5, 4950, pd.Timestamp("2013-01-01"), pd.Timestamp("2013-01-01 01:39", tz="UTC"), True, 618.75,
                                   pd.Timestamp("2013-01-01")])


@each_driver
def dates_are_parsed_on_request(engine, table):
    pd.DataFrame({"s": ["2013-01-01", "2013-02-01"], "n": [0, 86400]}).to_sql(table, engine, index=False)
    found = pd.read_sql(f"SELECT * FROM {table} ORDER BY s", engine, parse_dates={"s": "%Y-%m-%d", "n": "s"})
    equal(found["s"].tolist(), [pd.Timestamp("2013-01-01"), pd.Timestamp("2013-02-01")])
    equal(found["n"].tolist(), [pd.Timestamp("1970-01-01"), pd.Timestamp("1970-01-02")])


@each_driver
def literals_of_time_are_read(engine, _):
    with engine.connect() as conn:
        found = pd.read_sql(sa.text("SELECT DATE '2013-01-01' AS d, TIMESTAMPTZ '2013-01-01 05:00+02' AS z, TIME '01:02' AS t"), conn)
    equal(found.iloc[0].tolist(), [dt.date(2013, 1, 1), pd.Timestamp("2013-01-01 03:00", tz="UTC"), dt.time(1, 2)])


@each_driver
def a_schema_is_named(engine, table):
    with engine.begin() as conn:
        conn.execute(sa.text(f"CREATE SCHEMA {table}"))
    pd.DataFrame({"a": [1]}).to_sql("inner", engine, schema=table, index=False)
    equal(pd.read_sql_table("inner", engine, schema=table).to_dict("list"), {"a": [1]})
    equal(sa.inspect(engine).get_table_names(schema=table), ["inner"])
    pd.DataFrame({"a": [2]}).to_sql("inner", engine, schema=table, index=False, if_exists="replace")
    equal(pd.read_sql_table("inner", engine, schema=table, columns=["a"]).to_dict("list"), {"a": [2]})


@each_driver
def odd_names_hold(engine, table):
    written = pd.DataFrame({"Mixed Case": [1], "select": [2], "per%cent": [3], "qu\"ote": [4], "(paren)": [5], "ümlaut": [6]})
    written.to_sql(f"{table} Odd", engine, index=False)
    assert_frame_equal(pd.read_sql_table(f"{table} Odd", engine), written)


@each_driver
def a_write_that_fails_leaves_nothing(engine, table):
    with engine.begin() as conn:
        conn.execute(sa.text(f"CREATE TABLE {table} (a smallint NOT NULL)"))
    for wrong in ([1, 2, 100_000], [1, None]):
        try:
            pd.DataFrame({"a": pd.array(wrong, dtype="Int64")}).to_sql(table, engine, index=False, if_exists="append", method="multi")
        except (sa.exc.DBAPIError, pd.errors.DatabaseError):
            pass
        else:
            raise AssertionError(f"{wrong}: no error")
        equal(pd.read_sql(f"SELECT count(*) AS n FROM {table}", engine)["n"].tolist(), [0])


@each_driver
def the_inspector_reads_keys(engine, table):
    kept = sa.Table(table, sa.MetaData(), sa.Column("a", sa.Integer, primary_key=True, autoincrement=False), sa.Column("b", sa.Text),
                    sa.Column("c", sa.Numeric(5, 1), nullable=False))
    kept.create(engine)
    inspector = sa.inspect(engine)
    equal(inspector.get_pk_constraint(table)["constrained_columns"], ["a"])
    equal([c["name"] for c in inspector.get_columns(table) if not c["nullable"]], ["a", "c"])


@each_driver
def the_inspector_reads_unique_columns(engine, table):
    sa.Table(table, sa.MetaData(), sa.Column("b", sa.Text), sa.UniqueConstraint("b", name=f"{table}_b")).create(engine)
    equal([(u["name"], u["column_names"]) for u in sa.inspect(engine).get_unique_constraints(table)], [(f"{table}_b", ["b"])])


@each_driver
def the_inspector_reads_comments(engine, table):
    sa.Table(table, sa.MetaData(), sa.Column("a", sa.Integer, nullable=False), sa.Column("b", sa.Text, comment="of b"),
             sa.Column("c", sa.Numeric(5, 1), nullable=False), comment="of the table").create(engine)
    inspector = sa.inspect(engine)
    equal(inspector.get_table_comment(table), {"text": "of the table"})
    equal([(c["name"], str(c["type"]), c["nullable"], c["comment"]) for c in inspector.get_columns(table)],
          [("a", "INTEGER", False, None), ("b", "TEXT", True, "of b"), ("c", "NUMERIC(5, 1)", False, None)])


@each_driver
def keys_that_count_themselves(engine, table):
    kept = sa.Table(table, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    kept.create(engine)
    with engine.begin() as conn:
        equal(conn.execute(kept.insert().values(name="one")).inserted_primary_key, (1,))
        equal(conn.execute(kept.insert().values(name="two").returning(kept.c.id, kept.c.name)).one(), (2, "two"))
    pd.DataFrame({"name": ["three", "four"]}).to_sql(table, engine, index=False, if_exists="append")
    equal(pd.read_sql(f"SELECT id, name FROM {table} ORDER BY id", engine)["id"].tolist(), [1, 2, 3, 4])


# Straight from the drivers, without SQLAlchemy.

@check
def a_frame_from_a_driver_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for connect in (psycopg2.connect, psycopg.connect):
            with connect(CONNINFO) as conn:
                found = pd.read_sql("SELECT n::int AS n, n / 2.0::double precision AS h FROM generate_series(1, %s) AS g(n) ORDER BY n", conn, params=(3,))
            equal(found.to_dict("list"), {"n": [1, 2, 3], "h": [0.5, 1.0, 1.5]})


@check
def psycopg2_copies_in_and_out():
    import io
    import psycopg2.extras
    with psycopg2.connect(CONNINFO) as conn, conn.cursor() as cur:
        cur.execute("CREATE TABLE pandas_copied (id int, name text)")
        cur.copy_from(io.StringIO("1\tone\n2\t\\N\n"), "pandas_copied")
        cur.copy_expert("COPY pandas_copied FROM STDIN WITH CSV HEADER", io.StringIO("id,name\n3,three\n"))
        out = io.StringIO()
        cur.copy_to(out, "pandas_copied", sep="|")
        equal(sorted(out.getvalue().splitlines()), ["1|one", "2|\\N", "3|three"])
        psycopg2.extras.execute_values(cur, "INSERT INTO pandas_copied VALUES %s", [(n, str(n)) for n in range(10, 510)], page_size=100)
        psycopg2.extras.execute_batch(cur, "UPDATE pandas_copied SET name = %s WHERE id = %s", [("x", n) for n in range(10, 20)])
        cur.execute("SELECT count(*), count(CASE WHEN name = 'x' THEN 1 END) FROM pandas_copied")
        equal(cur.fetchone(), (503, 10))


@check
def psycopg2_has_its_own_ways():
    import psycopg2.extras
    from psycopg2 import errorcodes
    with psycopg2.connect(CONNINFO, cursor_factory=psycopg2.extras.RealDictCursor) as conn:
        with conn.cursor() as cur:
            cur.execute("SELECT %s AS a, %s AS b, %s AS c, %s AS d", (1, [1, 2], Decimal("1.5"), dt.date(2013, 1, 1)))
            equal(dict(cur.fetchone()), {"a": 1, "b": [1, 2], "c": Decimal("1.5"), "d": dt.date(2013, 1, 1)})
            cur.execute("SELECT %s::timestamptz AS t, %s AS i, %s AS n, %s AS f", (dt.datetime(2013, 1, 1, tzinfo=UTC), dt.timedelta(days=1, seconds=5), None, b"\x00\xff"))
            row = cur.fetchone()
            equal((row["t"], row["i"], row["n"], bytes(row["f"])), (dt.datetime(2013, 1, 1, tzinfo=UTC), dt.timedelta(days=1, seconds=5), None, b"\x00\xff"))
        with conn.cursor("named") as cur:
            cur.execute("SELECT n::int AS n FROM generate_series(1, 100) AS g(n)")
            equal([row["n"] for row in cur.fetchmany(3)], [1, 2, 3])
            equal([row["n"] for row in cur], list(range(4, 101)))
        conn.rollback()
        try:
            with conn.cursor() as cur:
                cur.execute("SELECT * FROM nowhere")
        except psycopg2.Error as error:
            equal((error.pgcode, error.diag.statement_position), (errorcodes.UNDEFINED_TABLE, "15"))


@check
def psycopg2_scrolls():
    with psycopg2.connect(CONNINFO) as conn, conn.cursor("named", scrollable=True) as cur:
        cur.execute("SELECT n::int FROM generate_series(1, 100) AS g(n)")
        equal(cur.fetchmany(3), [(1,), (2,), (3,)])
        cur.scroll(50, mode="absolute")
        equal(cur.fetchone(), (51,))


@check
def psycopg2_only_reads():
    import psycopg2.extras
    from psycopg2 import errorcodes
    with psycopg2.connect(CONNINFO, cursor_factory=psycopg2.extras.RealDictCursor) as conn:
        conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
        with conn.cursor() as cur:
            cur.execute("SHOW transaction_isolation")
            equal(dict(cur.fetchone()), {"transaction_isolation": "serializable"})
            try:
                cur.execute("CREATE TABLE pandas_refused (a int)")
            except psycopg2.Error as error:
                equal(error.pgcode, errorcodes.READ_ONLY_SQL_TRANSACTION)
            else:
                raise AssertionError("no error")


finish()
