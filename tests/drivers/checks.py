"""Named checks of a driver script: each prints PASS or FAIL, and the script's exit code says whether all passed."""

import os
import sys
import time
import traceback

FAILED = []
SQL_PORT = int(os.environ.get("TIDEGATE_SQL_PORT", "5439"))
HTTP_PORT = int(os.environ.get("TIDEGATE_HTTP_PORT", "4566"))
CONNINFO = f"host=127.0.0.1 port={SQL_PORT} user=admin dbname=dev connect_timeout=10"


def check(function):
    """Runs the function at once, and prints what came of it."""
    started = time.monotonic()
    try:
        function()
    except Exception:  # noqa: BLE001: a check reports whatever went wrong and lets the next one run
        FAILED.append(function.__name__)
        print(f"FAIL {function.__name__}")
        traceback.print_exc(file=sys.stdout)
    else:
        print(f"PASS {function.__name__}", flush=True)
        print(f"  {time.monotonic() - started:.2f} s")
    return function


def equal(found, expected):
    assert found == expected, f"\n  expected: {expected!r}\n  found:    {found!r}"


def finish():
    # At once: threads that a library left behind abort an orderly exit now and then.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if FAILED else 0)


def server_memory_kib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))
