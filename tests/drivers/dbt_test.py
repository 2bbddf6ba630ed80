"""dbt against a server: seeds, tables, views, incremental models, a snapshot, tests and documentation, and the rows that are there afterwards.

Runs in an environment of its own, `$TIDEGATE_TEST_CACHE/dbt-venv`. TIDEGATE_DBT says which adapters: `postgres`, `redshift` or both.
"""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import psycopg

from checks import CONNINFO, check, equal, finish

DBT = Path(sys.executable).parent / "dbt"
DBT_SECONDS_MAX = 180
DAYS = [dt.date(2013, 1, 1), dt.date(2013, 1, 2), dt.date(2013, 1, 3)]


def through(adapter):
    schema = {"postgres": "dbt_flights", "redshift": "dbt_redshift"}[adapter]
    project = Path(tempfile.mkdtemp(prefix="dbt-", dir=os.environ.get("TIDEGATE_SCRATCH"))) / "project"
    shutil.copytree(Path(__file__).parent / "dbt", project)

    def dbt(*args, expect=0):
        command = [str(DBT), "--no-use-colors", "--no-version-check", "--no-partial-parse", *args, "--project-dir", str(project), "--profiles-dir", str(project)]
        ran = subprocess.run(command, env=os.environ | {"DBT_TARGET_KIND": adapter, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
                             capture_output=True, text=True, timeout=DBT_SECONDS_MAX)
        assert ran.returncode == expect, f"dbt {' '.join(args)}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def rows(text):
        with psycopg.connect(CONNINFO, autocommit=True) as conn:
            return conn.execute(text.format(s=schema)).fetchall()

    def named(function):
        function.__name__ = f"{function.__name__}_{adapter}"
        return check(function)

    @named
    def dbt_connects():
        assert "All checks passed!" in dbt("debug")

    @named
    def dbt_seeds():
        dbt("seed")
        equal(rows("SELECT * FROM {s}.raw_flights ORDER BY id"), [
            (1, "AA", Decimal("10.50"), DAYS[0]), (2, "AA", Decimal("20.25"), DAYS[1]), (3, "UA", Decimal("30.00"), DAYS[1]), (4, "UA", None, DAYS[2]),
            (5, "D,L", Decimal("5.75"), DAYS[2])])
        dbt("seed")  # a table that is there is emptied and filled again
        equal(rows("SELECT count(*) FROM {s}.raw_flights"), [(5,)])
        dbt("seed", "--full-refresh")
        equal(rows("SELECT count(*) FROM {s}.raw_flights"), [(5,)])

    def one(model, query, expected, again=None):
        dbt("run", "--select", model, "--vars", "{round: 1}")
        equal(rows(query), expected)
        dbt("run", "--select", model, "--vars", "{round: 2}")
        equal(rows(query), again or expected)
        dbt("run", "--select", model, "--vars", "{round: 1}", "--full-refresh")
        equal(rows(query), expected)

    @named
    def dbt_makes_a_table():
        one("carriers", "SELECT * FROM {s}.carriers ORDER BY carrier",
            [("AA", 2, Decimal("30.75"), DAYS[1]), ("D,L", 1, Decimal("5.75"), DAYS[2]), ("UA", 2, Decimal("30.00"), DAYS[2])])

    @named
    def dbt_makes_a_view():
        one("dear", "SELECT id, carrier, price, flights FROM {s}.dear ORDER BY id",
            [(1, "AA", Decimal("10.50"), 2), (2, "AA", Decimal("20.25"), 2), (3, "UA", Decimal("30.00"), 2)])
        # The table below the view is made again, and the view still reads it.
        dbt("run", "--select", "carriers+")
        equal(rows("SELECT count(*) FROM {s}.dear"), [(3,)])

    @named
    def dbt_puts_a_model_into_another():
        one("cheap", "SELECT id FROM {s}.cheap ORDER BY id", [(4,), (5,)])

    @named
    def dbt_deletes_and_inserts():
        one("by_day", "SELECT day, flights, round FROM {s}.by_day ORDER BY day", [(DAYS[0], 1, 1), (DAYS[1], 2, 1), (DAYS[2], 2, 1)],
            [(DAYS[0], 1, 1), (DAYS[1], 2, 1), (DAYS[2], 2, 2)])

    @named
    def dbt_appends():
        one("log", "SELECT id, round FROM {s}.log ORDER BY round, id", [(n, 1) for n in range(1, 6)], [(n, 1) for n in range(1, 6)] + [(4, 2), (5, 2)])

    @named
    def dbt_merges():
        one("merged", "SELECT id, round FROM {s}.merged ORDER BY id", [(n, 1) for n in range(1, 6)], [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)])

    @named
    def dbt_keeps_history():
        dbt("snapshot")
        with psycopg.connect(CONNINFO, autocommit=True) as conn:
            conn.execute(f"UPDATE {schema}.raw_flights SET price = 99 WHERE id = 1")
        dbt("snapshot")
        equal(rows("SELECT id, price, dbt_valid_to IS NULL FROM {s}.prices WHERE id <= 2 ORDER BY id, dbt_valid_from"),
              [(1, Decimal("10.50"), False), (1, Decimal("99.00"), True), (2, Decimal("20.25"), True)])
        dbt("snapshot")
        equal(rows("SELECT count(*) FROM {s}.prices"), [(6,)])

    @named
    def dbt_tests_pass_and_fail():
        dbt("seed", "--full-refresh")
        dbt("run", "--select", "carriers", "dear", "by_day")
        told = dbt("test")
        assert "PASS=7 WARN=1 ERROR=0" in told, told
        with psycopg.connect(CONNINFO, autocommit=True) as conn:
            conn.execute(f"INSERT INTO {schema}.by_day (day, flights, round) SELECT day, flights, round FROM {schema}.by_day")
        told = dbt("test", "--select", "by_day", expect=1)
        assert "Got 3 results, configured to fail if != 0" in told, told

    @named
    def dbt_builds_all():
        told = dbt("build", "--full-refresh")
        assert "ERROR=0 SKIP=0" in told, told

    @named
    def dbt_documents():
        dbt("docs", "generate")
        catalog = json.loads((project / "target" / "catalog.json").read_text())
        equal(catalog["errors"], None)
        found = catalog["nodes"]["model.flights.carriers"]
        # dbt-redshift seeds a text column as wide as its widest value.
        equal([(c["name"], c["index"], c["type"]) for c in sorted(found["columns"].values(), key=lambda c: c["index"])],
              [("carrier", 1, "text" if adapter == "postgres" else "character varying(3)"), ("flights", 2, "bigint"), ("total", 3, found["columns"]["total"]["type"]), ("last_day", 4, "date")])
        assert found["columns"]["total"]["type"].startswith("numeric"), found
        equal((found["metadata"]["type"].upper().replace("LATE BINDING ", ""), found["metadata"]["schema"], found["metadata"]["owner"]), ("BASE TABLE", schema, "admin"))
        equal(catalog["nodes"]["model.flights.dear"]["metadata"]["type"].upper().replace("LATE BINDING ", ""), "VIEW")

    @named
    def dbt_shows_a_query():
        assert '"total": 30.75' in dbt("show", "--output", "json", "--inline", "select total from {{ ref('carriers') }} where carrier = 'AA'")


for kind in os.environ.get("TIDEGATE_DBT", "postgres,redshift").split(","):
    through(kind)
finish()
