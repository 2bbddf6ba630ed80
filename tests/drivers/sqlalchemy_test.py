"""SQLAlchemy over psycopg 3: tables made from classes, rows both ways, and what its inspector reads."""

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa

from checks import SQL_PORT, check, equal, finish

engine = sa.create_engine(f"postgresql+psycopg://admin@127.0.0.1:{SQL_PORT}/dev")
metadata = sa.MetaData()
planes = sa.Table(
    "planes", metadata,
    sa.Column("tailnum", sa.String(10), primary_key=True),
    sa.Column("seats", sa.Integer, nullable=False),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("built", sa.Date),
    sa.Column("seen", sa.DateTime(timezone=True)),
    sa.Column("maker", sa.String(20), server_default="nobody"),
)
ROW = {"tailnum": "N1", "seats": 100, "price": Decimal("12.50"), "built": dt.date(2001, 2, 3),
       "seen": dt.datetime(2013, 1, 1, 5, tzinfo=dt.timezone.utc)}


@check
def tables_are_made_and_filled():
    metadata.create_all(engine)
    metadata.create_all(engine)  # what is there already is left alone
    with engine.begin() as conn:
        conn.execute(planes.insert(), [dict(ROW, tailnum=f"N{n}", seats=n) for n in range(100)])
    with engine.connect() as conn:
        equal(conn.execute(sa.select(sa.func.count(), sa.func.sum(planes.c.seats))).one(), (100, 4950))
        row = conn.execute(sa.select(planes).where(planes.c.tailnum == "N7")).mappings().one()
        equal(dict(row), dict(ROW, tailnum="N7", seats=7, maker="nobody"))


@check
def an_error_rolls_back():
    try:
        with engine.begin() as conn:
            conn.execute(planes.delete())
            conn.execute(sa.text("SELECT 1 / 0"))
    except sa.exc.DBAPIError as error:
        equal(error.orig.sqlstate, "22012")
    with engine.connect() as conn:
        equal(conn.execute(sa.select(sa.func.count()).select_from(planes)).scalar(), 100)


@check
def the_inspector_lists_relations():
    with engine.begin() as conn:
        conn.execute(sa.text("CREATE VIEW large_planes AS SELECT tailnum FROM planes WHERE seats > 50"))
    inspector = sa.inspect(engine)
    assert {"public", "information_schema"} <= set(inspector.get_schema_names()), inspector.get_schema_names()
    equal(inspector.get_table_names(), ["planes"])
    equal(inspector.get_view_names(), ["large_planes"])
    assert inspector.has_table("planes") and not inspector.has_table("nowhere")
    equal(inspector.get_foreign_keys("planes"), [])
    equal(inspector.get_indexes("planes"), [])


@check
def the_inspector_describes_columns():
    found = sa.inspect(engine).get_columns("planes")
    equal([(column["name"], str(column["type"]), column["nullable"]) for column in found], [
        ("tailnum", "VARCHAR(10)", False), ("seats", "INTEGER", False), ("price", "NUMERIC(10, 2)", True),
        ("built", "DATE", True), ("seen", "TIMESTAMP", True), ("maker", "VARCHAR(20)", True)])
    assert found[4]["type"].timezone and "nobody" in found[5]["default"], found
    equal([column["name"] for column in sa.inspect(engine).get_columns("large_planes")], ["tailnum"])


@check
def tables_are_dropped():
    with engine.begin() as conn:
        conn.execute(sa.text("DROP VIEW large_planes"))
    metadata.drop_all(engine)
    equal(sa.inspect(engine).get_table_names(), [])


finish()
