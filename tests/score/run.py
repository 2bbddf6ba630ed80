"""How much of PostgreSQL's own regression suite Tidegate answers as PostgreSQL does.

Each statement of the files below runs on both servers, in sessions that last for the file, and agrees if rows, the command's
tag, names of columns or the SQLSTATE are the same. Rows may come in any order where no ORDER BY stands at the top. Not
compared: psql's own commands, EXPLAIN, settings of one value or of Postgres's planner, and what two databases of Postgres
answer differently. A change of rows that only one server takes is undone on the other, and an error of only one does not end
a block: so what follows is judged by itself. A difference is
  missing   Tidegate says that it does not have the thing, or the statement needs what could not be made for such a reason
  wrong     other rows, another tag, no error where Postgres has one, an error where it has none, a crash
  names     the same rows under other names of columns
  error     both refuse it, with another SQLSTATE
  intended  listed in intended.txt, with the reason; does not count
"""

import argparse
import collections
import pathlib
import re
import sys

import servers
import suite
import wire

FILES = """boolean char name varchar text int2 int4 int8 float4 float8 numeric uuid strings numerology date time timetz
    timestamp timestamptz interval horology regex comments expressions copyselect copydml insert select_into select
    select_distinct select_distinct_on select_implicit select_having subselect union case join aggregates transactions random
    portals arrays update delete groupingsets create_view merge misc_functions tsrf window json jsonb limit temp rangefuncs
    prepare returning truncate with""".split()
# Feature not supported; syntax error; no such function, object, table.
MISSING = {"0A000", "42601", "42883", "42704", "42P01"}
UNSUPPORTED = re.compile(r"not (yet )?(supported|implemented)|error during planning|coerc(e|ion)", re.IGNORECASE)
NOT_SENT = re.compile(r"""\s*(explain\b|(set|reset)\s+(session\s+|local\s+)?(datestyle|intervalstyle|extra_float_digits|enable_\w+|jit\w*
    |work_mem|hash_mem\w*|max_stack_depth|plan_cache_mode|\w*parallel\w*|\w*_limit|\w*_cost|standard_conforming_strings|escape_string_warning)\b)""",
    re.IGNORECASE | re.VERBOSE)
# Words before the name of something that a statement makes or changes.
CHANGED = re.compile(r"""\b(?:into|update|delete\s+from|table|view|function|procedure|aggregate|type|domain|copy|prepare|declare|sequence|operator|schema
    |rule|trigger|truncate|role|user|savepoint)\s+(?:(?:only|if\s+not\s+exists|if\s+exists|temp|temporary)\s+)*("[^"]+"|[\w.]+)""", re.IGNORECASE | re.VERBOSE)
MAKES = re.compile(r"\s*(create|declare|prepare)\b", re.IGNORECASE)
CHANGES_ROWS = re.compile(r"\s*(insert|update|delete|merge|copy|truncate|with\b.*\b(insert\s+into|update|delete\s+from|merge\s+into))\b", re.IGNORECASE | re.DOTALL)
# What may not stand between a savepoint and its release.
OF_BLOCKS = re.compile(r"\s*(begin|start|commit|rollback|abort|end|savepoint|release|set|reset|discard|vacuum)\b", re.IGNORECASE)
# Words that a table, a function or the like is used by.
USED = re.compile(r"""(?:\b(?:from|join|into|update|table|view|only|using|on|execute|exists|copy|truncate|like|in|close|schema|type|function|prepare|deallocate|to
    |of|references|savepoint|role|authorization)\s+|,\s*|::\s*)("[^"]+"|[\w.]+)|("[^"]+"|[\w.]+)\s*\(""", re.IGNORECASE | re.VERBOSE)
QUERY = re.compile(r"\s*(select|values|table|with|fetch|show|execute)\b(?!.*\b(into|insert|update|delete|merge)\b)", re.IGNORECASE | re.DOTALL)
SHOWN_LINES_MAX = 30
KINDS = ("wrong", "names", "error", "missing", "intended")

Difference = collections.namedtuple("Difference", "kind file line text what expected found")


def bare(text):
    """A statement without strings, comments and what stands in parentheses."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", " ", text, flags=re.DOTALL)
    while True:
        text, count = re.subn(r"\([^()]*\)", " ", text)
        if not count:
            return text


def is_ordered(text):
    return re.search(r"\border\s+by\b", bare(text), re.IGNORECASE) is not None


def changed(text):
    """Names of what a statement makes or changes."""
    found = [name.strip('"').lower().removeprefix("public.") for name in CHANGED.findall(text)]
    return found[:1] if MAKES.match(text) else found


def differs(expected, found, ordered):
    """How two outcomes differ; "" if they do not."""
    if expected.state or found.state:
        if expected.state == found.state:
            return ""
        return "another error" if expected.state and found.state else "error" if found.state else "no error"
    if sorted(expected.rows) != sorted(found.rows):
        return "rows"
    if ordered and expected.rows != found.rows:
        return "order of rows"
    if expected.tag != found.tag:
        return "tag"
    return "" if expected.columns == found.columns else "names"


def kind_of(what, found):
    """The kind of a difference, by itself."""
    if found.state in MISSING or (what == "error" and UNSUPPORTED.search(found.message)):
        return "missing"
    if what == "names":
        return "names"
    return "error" if what == "another error" and found.state != "XX000" and len(found.state) == 5 else "wrong"


class Intended:
    """The committed list: a file, a text that the statement contains, and the reason, with ` | ` between."""

    def __init__(self):
        lines = (pathlib.Path(__file__).parent / "intended.txt").read_text().splitlines()
        self.entries = [[part.strip() for part in line.split(" | ", 2)] for line in lines if line and not line.startswith("#")]

    def reason(self, file, text):
        found = [why for name, part, why in self.entries if name in (file, "*") and part.lower() in " ".join(text.lower().split())]
        return found[0] if found else None


class File:
    """One file of the suite, on Postgres twice and on Tidegate."""

    def __init__(self, name, home, postgres, tidegate, intended, blamed):
        self.name, self.tidegate, self.intended = name, tidegate, intended
        self.script = suite.Script(home, name)
        self.sessions = [postgres.session("dev"), postgres.session("again"), tidegate.session()]
        # What only Postgres could make, here or in a file before: the kind of that difference, and where.
        self.blamed = blamed
        self.compared, self.skipped, self.crashes, self.differences = 0, 0, 0, []

    def run(self):
        for statement in self.script.statements():
            if statement.skip or NOT_SENT.match(statement.text):
                self.skipped += 1
            else:
                self.compare(statement)
        for session in self.sessions:
            session.close()
        return self

    def compare(self, statement):
        """Runs a statement everywhere, and notes how the answers differ."""
        ordered = is_ordered(statement.text)
        inside = {session.status for session in self.sessions} == {"T"} and not OF_BLOCKS.match(statement.text)
        alone = {session.status for session in self.sessions} == {"I"} and CHANGES_ROWS.match(statement.text)
        if inside or alone:
            self.everywhere("SAVEPOINT score" if inside else "BEGIN")
        expected, again = (session.run(statement.text, statement.data) for session in self.sessions[:2])
        found = self.ask(statement.text, statement.data)
        what = differs(expected, found, ordered)
        undone = what not in ("", "names", "another error") and CHANGES_ROWS.match(statement.text)
        if inside:
            self.end_savepoint(undone, (expected, again, found))
        elif alone:
            self.everywhere("ROLLBACK" if undone else "COMMIT")
        if differs(expected, again, ordered):
            self.skipped += 1
            return
        self.compared += 1
        if what:
            self.note(statement, what, expected, found)
        elif not found.state and MAKES.match(statement.text):
            for name in changed(statement.text):
                self.blamed.pop(name, None)

    def everywhere(self, text):
        """Runs on all what only the score needs."""
        for session in self.sessions[:2]:
            session.run(text)
        self.ask(text)

    def end_savepoint(self, undone, outcomes):
        """Goes on in a block: an error of both servers ends it, as it would; an error of one does not."""
        if undone:
            self.everywhere("ROLLBACK TO SAVEPOINT score")
        elif outcomes[0].state and outcomes[-1].state:
            return
        for session, outcome in zip(self.sessions, outcomes):
            if outcome.state and not undone:
                session.run("ROLLBACK TO SAVEPOINT score")
            session.run("RELEASE SAVEPOINT score")

    def ask(self, text, data=None):
        """Tidegate's outcome; one that it does not survive is an outcome, too."""
        try:
            return self.sessions[2].run(text, data)
        except wire.Lost as error:
            self.crashes += 1
            self.sessions[2].close()
            self.tidegate.restart()
            self.sessions[2] = self.tidegate.session()
            return wire.Outcome([], [], [], "", "crash/hang", str(error))

    def note(self, statement, what, expected, found):
        """Classifies a difference; one that follows from what could not be made has the kind of that one."""
        kind, reason = kind_of(what, found), self.intended.reason(self.name, statement.text)
        used = [(one or other).strip('"').lower().removeprefix("public.") for one, other in USED.findall(statement.text)]
        cause = next((self.blamed[name] for name in used if name in self.blamed), None)
        if reason:
            kind, what = "intended", f"{what}: {reason}"
        elif cause and what != "names" and found.state not in (MISSING - {"42P01", "42883"}) | {"crash/hang", "XX000"}:
            kind, what = cause[0], f"{what}, follows from {cause[1]}"
        if not expected.state and found.state and not CHANGES_ROWS.match(statement.text) and not QUERY.match(statement.text):
            for name in changed(statement.text):
                self.blamed.setdefault(name, cause or (kind, f"{self.name}:{statement.line}"))
        self.differences.append(Difference(kind, self.name, statement.line, statement.text, what, expected, found))


def shown(outcome):
    """An outcome, for the report."""
    if outcome.state:
        return f"    {outcome.state}: {outcome.message}"
    lines = (["\t".join(outcome.columns)] if outcome.columns else []) + outcome.rows
    more = [f"… {len(lines) - SHOWN_LINES_MAX} lines more"] if len(lines) > SHOWN_LINES_MAX else []
    return "\n".join("    " + line for line in [*lines[:SHOWN_LINES_MAX], *more, outcome.tag])


def write_report(path, differences):
    with open(path, "w", encoding="utf-8") as file:
        for one in sorted(differences, key=lambda one: KINDS.index(one.kind)):
            file.write(f"== {one.kind} {one.file}:{one.line} ({one.what})\n{one.text};\n-- Postgres\n{shown(one.expected)}\n-- Tidegate\n{shown(one.found)}\n\n")


def table(files):
    """Prints the score of each file and of all. The share of agreement in percent: of all but what differs by intent."""
    print(f"{'file':20}{'statements':>11}{'agree':>7}{'%':>7}" + "".join(f"{kind:>9}" for kind in KINDS) + f"{'not compared':>14}{'crashes':>9}")
    total = collections.Counter()
    for name, counts in [(file.name, counts_of(file)) for file in files] + [("all", total)]:
        share = 100 * counts["agree"] / max(counts["compared"] - counts["intended"], 1)
        print(f"{name:20}{counts['compared']:11}{counts['agree']:7}{share:7.1f}" + "".join(f"{counts[kind]:9}" for kind in KINDS) + f"{counts['skipped']:14}{counts['crashes']:9}")
        total.update(counts if name != "all" else {})
    return share


def counts_of(file):
    kinds = collections.Counter(one.kind for one in file.differences)
    return collections.Counter({**kinds, "compared": file.compared, "agree": file.compared - len(file.differences), "skipped": file.skipped, "crashes": file.crashes})


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = arguments.add_mutually_exclusive_group(required=True)
    which.add_argument("--server", help="binary of Tidegate")
    which.add_argument("--port", type=int, help="port of a Tidegate that runs, fresh")
    arguments.add_argument("--files", default=",".join(FILES), help="files of the suite, with commas")
    arguments.add_argument("--report", help="file that every difference is written to")
    arguments.add_argument("--check", type=float, metavar="N", help="fail if the share is below N percent, or a statement crashed the server")
    chosen = arguments.parse_args()
    home, intended, blamed, files = suite.folder(), Intended(), {}, []
    postgres = servers.Postgres()
    tidegate = servers.Running(chosen.port) if chosen.port else servers.Tidegate(chosen.server)
    try:
        # Makes the tables that other files read; not counted.
        File("test_setup", home, postgres, tidegate, intended, blamed).run()
        for name in chosen.files.split(","):
            files.append(File(name, home, postgres, tidegate, intended, blamed).run())
            print(f"{name} …", file=sys.stderr, flush=True)
    finally:
        postgres.stop()
        tidegate.stop()
    share = table(files)
    if chosen.report:
        write_report(chosen.report, [one for file in files for one in file.differences])
    crashes = sum(file.crashes for file in files)
    if chosen.check is not None and (share < chosen.check or crashes):
        sys.exit(f"{share:.1f} % agree, {chosen.check} expected; {crashes} crashes")


if __name__ == "__main__":
    main()
