"""asyncpg against a server: everything binary, statements prepared and kept, cursors, COPY, transactions, a pool."""

import asyncio
import datetime as dt
import io
import uuid
from decimal import Decimal

import asyncpg

from checks import SQL_PORT, check, equal, finish

DSN = f"postgresql://admin@127.0.0.1:{SQL_PORT}/dev"
UTC = dt.timezone.utc

# (SQL type, value): each goes out as a binary parameter and comes back as a binary column.
VALUES = [
    ("boolean", True), ("smallint", -32768), ("int", -2147483648), ("bigint", 9223372036854775807),
    ("real", 1.5), ("double precision", -1e-300), ("double precision", float("-inf")),
    ("numeric", Decimal("12.34")), ("numeric(38,10)", Decimal("-1234567890123456789012345678.0123456789")),
    ("text", "läuft 🚀"), ("varchar", "x" * 100_000), ("bytea", b"\x00\x01\xff"),
    ("date", dt.date(1969, 12, 31)), ("date", dt.date(9999, 12, 30)),
    ("time", dt.time(23, 59, 59, 999999)),
    ("timestamp", dt.datetime(2013, 1, 1, 5, 0, 0, 123456)),
    ("timestamptz", dt.datetime(2013, 1, 1, 5, 0, 0, 123456, tzinfo=UTC)),
    ("interval", dt.timedelta(days=1, seconds=3723, microseconds=5)),
    ("text[]", ["a", 'b"c', None, "", "d,e"]),
]


def connected(work):
    """A check whose body is given a connection."""
    async def run():
        conn = await asyncpg.connect(DSN)
        try:
            await conn.execute("SET timezone = 'UTC'")
            await work(conn)
        finally:
            await conn.close()

    def checked():
        asyncio.run(asyncio.wait_for(run(), 120))

    checked.__name__ = work.__name__
    return check(checked)


@connected
async def values_both_ways(conn):
    wrong = []
    for kind, value in VALUES:
        for sent in (value, None):
            try:
                found = await conn.fetchval(f"SELECT $1::{kind}", sent)
                if found != sent or type(found) is not type(sent):
                    wrong.append(f"{kind} {str(sent)[:60]!r}: {str(found)[:60]!r}")
            except Exception as error:  # pylint: disable=broad-except
                wrong.append(f"{kind} {str(sent)[:60]!r}: {type(error).__name__} {error}")
    assert not wrong, "\n  " + "\n  ".join(wrong)


@connected
async def a_statement_is_described(conn):
    await conn.execute("CREATE TABLE described (id bigint, name text, born date)")
    statement = await conn.prepare("SELECT id, name, born FROM described WHERE id > $1 AND born = $2")
    equal([p.name for p in statement.get_parameters()], ["int8", "date"])
    equal([(a.name, a.type.name) for a in statement.get_attributes()], [("id", "int8"), ("name", "text"), ("born", "date")])


@connected
async def many_rows_by_executemany(conn):
    await conn.execute("CREATE TABLE many (id bigint, name text)")
    await conn.executemany("INSERT INTO many VALUES ($1, $2)", [(n, f"name {n}") for n in range(500)])
    equal(await conn.fetchval("SELECT count(*) FROM many"), 500)
    equal(await conn.execute("DELETE FROM many WHERE id < $1", 100), "DELETE 100")
    row = await conn.fetchrow("SELECT * FROM many WHERE name = $1", "name 200")
    equal((row["id"], row["name"]), (200, "name 200"))


@connected
async def a_cursor_fetches_piece_by_piece(conn):
    async with conn.transaction():
        cursor = await conn.cursor("SELECT * FROM generate_series(1, 10000)")
        equal([row[0] for row in await cursor.fetch(3)], [1, 2, 3])
        equal((await cursor.fetchrow())[0], 4)
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("SELECT * FROM generate_series(1, 5000)", prefetch=100):
            total += row[0]
    equal(total, 5000 * 5001 // 2)


@connected
async def transactions_nest(conn):
    await conn.execute("CREATE TABLE nested (a int)")
    async with conn.transaction():
        await conn.execute("INSERT INTO nested VALUES (1)")
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO nested VALUES (2)")
                await conn.execute("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError:
            pass
        await conn.execute("INSERT INTO nested VALUES (3)")
    equal([row["a"] for row in await conn.fetch("SELECT a FROM nested ORDER BY a")], [1, 3])


@connected
async def rows_are_copied_in_and_out(conn):
    await conn.execute("CREATE TABLE copied_a (id int, name text)")
    out = io.BytesIO(b"".join(f"{n},name {n}\n".encode() for n in range(1000)))
    equal(await conn.copy_to_table("copied_a", source=out, format="csv"), "COPY 1000")
    back = io.BytesIO()
    await conn.copy_from_query("SELECT id, name FROM copied_a WHERE id < $1 ORDER BY id", 3, output=back, format="csv")
    equal(back.getvalue(), b"0,name 0\n1,name 1\n2,name 2\n")


@connected
async def records_are_copied_in(conn):
    at = dt.datetime(2024, 2, 29, 10, 11, 12, 123456)
    await conn.execute("CREATE TABLE copied_r (id int, name text, price numeric(10,2), at timestamp, tags text[])")
    records = [(n, None if n % 3 == 0 else f"name {n}", Decimal("10.25"), at, ["a", None]) for n in range(1000)]
    equal(await conn.copy_records_to_table("copied_r", records=records), "COPY 1000")
    equal([tuple(row) for row in await conn.fetch("SELECT * FROM copied_r ORDER BY id")], records)
    equal(await conn.copy_records_to_table("copied_r", records=[(1,)], columns=["id"]), "COPY 1")


@connected
async def a_timeout_cancels(conn):
    slow = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 % 7 = b.m % 11"
    try:
        await conn.fetchval(slow, timeout=0.5)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("it was not cancelled")
    equal(await conn.fetchval("SELECT 1"), 1)


@connected
async def errors_are_told(conn):
    for text, kind in [("SELECT * FROM nowhere", asyncpg.UndefinedTableError), ("SELEKT", asyncpg.PostgresSyntaxError),
                       ("SELECT nothing", asyncpg.UndefinedColumnError), ("SELECT 'x'::int", asyncpg.InvalidTextRepresentationError)]:
        try:
            await conn.fetch(text)
        except kind:
            continue
        raise AssertionError(f"{text}: no error")


@check
def a_pool_resets_what_it_lends():
    async def run():
        async with asyncpg.create_pool(DSN, min_size=1, max_size=4) as pool:
            async with pool.acquire() as conn:
                await conn.execute("SET application_name = 'lent'")
            async with pool.acquire() as conn:
                equal(await conn.fetchval("SHOW application_name"), "")
            equal(sorted(await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(40)))), list(range(40)))

    asyncio.run(asyncio.wait_for(run(), 60))


finish()
