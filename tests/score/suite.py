"""PostgreSQL's own regression suite: its files from Debian's source package, and their statements as psql would send them."""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile

SOURCE = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n"
PACKAGE = "postgresql-15"
INSIDE = "/src/test/regress/"

# A statement of a file: its line, its text, the rows that follow a COPY, and why it cannot be compared ("" when it can).
Statement = collections.namedtuple("Statement", "line text data skip")

TOKEN = re.compile(r"""
    (?P<line_comment>--[^\n]*) | (?P<comment>/\*)
  | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*') | (?P<string>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")*")
  | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$) | (?P<cast>::)
  | (?P<variable>:(?:'\w+'|"\w+"|[^\W\d]\w*)) | (?P<command>\\[^\n]*) | (?P<word>[^\W\d][\w$]*) | (?P<number>\d[\w.]*)
  | (?P<blank>\s+) | (?P<other>.)""", re.VERBOSE | re.DOTALL)
LOOSE_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
COPY_STDIN = re.compile(r"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
COPY_FILE = re.compile(r"(\s*copy\b[^()]*(?:\([^()]*\))?\s*from\s+)'([^']*)'", re.IGNORECASE | re.DOTALL)
STRINGS_SETTING = re.compile(r"\s*(?:reset|set)\s+standard_conforming_strings(?:\s*(?:=|to)\s*'?(\w+))?", re.IGNORECASE)


def cache():
    """The folder of what tests have fetched."""
    return pathlib.Path(os.environ.get("TIDEGATE_TEST_CACHE") or pathlib.Path.home() / ".cache" / "tidegate")


def folder():
    """The suite's folder; fetched once."""
    home = cache() / "pg_regress"
    if not (home / "sql").is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pg_regress-", dir=home.parent) as work:
            unpack(archive(pathlib.Path(work)), pathlib.Path(work) / "regress")
            shutil.rmtree(home, ignore_errors=True)
            (pathlib.Path(work) / "regress").rename(home)
    return home


def archive(work):
    """Path of the source package's tarball, fetched with a list of sources of its own: the system's lists stay as they are."""
    (work / "sources.list").write_text(SOURCE)
    (work / "lists" / "partial").mkdir(parents=True)
    options = {"Dir::Etc::sourcelist": work / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": work / "lists", "Dir::Cache": work}
    apt = ["apt-get", "-qq", *[part for name, value in options.items() for part in ("-o", f"{name}={value}")]]
    subprocess.run([*apt, "update"], check=True, cwd=work)
    subprocess.run([*apt, "source", "--download-only", PACKAGE], check=True, cwd=work, stderr=subprocess.DEVNULL)
    (found,) = work.glob("*.orig.tar.*")
    return found


def unpack(tarball, target):
    """Writes the suite's queries and data below `target`."""
    with tarfile.open(tarball) as tar:
        for member in tar:
            below = member.name.partition(INSIDE)[2]
            if member.isfile() and below.startswith(("sql/", "data/")):
                path = target / below
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())


def comment_end(text, at):
    """Where the comment ends that begins at `at`; comments nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


class Script:
    """Splits a file as psql does: strings, dollar quotes, comments, parentheses, variables, data of COPY, commands."""

    def __init__(self, home, name):
        self.home, self.text = home, (home / "sql" / f"{name}.sql").read_text()
        self.variables = {"abs_srcdir": str(home)}
        self.at, self.conforming, self.branch = 0, True, 0
        self.clear()

    def clear(self):
        """Forgets the statement so far."""
        self.parts, self.begun, self.depth, self.why = [], None, 0, ""

    def statements(self):
        """Every statement, and every command of psql as one that cannot be compared."""
        while self.at < len(self.text):
            token = TOKEN.match(self.text, self.at)
            if not self.conforming and token.lastgroup == "string":
                token = LOOSE_STRING.match(self.text, self.at) or token
            # The group of the tag stands inside that of the dollar quote.
            kind, start = token.lastgroup or "string", self.at
            self.at = comment_end(self.text, start) if kind == "comment" else token.end()
            if kind in ("line_comment", "comment", "blank") and self.begun is None:
                continue
            if kind == "command":
                yield from self.command(token.group(), start)
            elif kind == "other" and token.group() == ";" and self.depth <= 0:
                yield from self.finish()
            else:
                self.add(kind, self.text[start:self.at], start)

    def add(self, kind, text, start):
        """Takes one more piece into the statement."""
        if self.begun is None:
            self.begun = start
        lower = text.lower()
        if lower in "()" and kind == "other":
            self.depth += 1 if text == "(" else -1
        elif kind == "word" and lower in ("begin", "case", "end") and re.match(r"\s*create\b.*\b(function|procedure)\b", "".join(self.parts), re.I | re.S):
            # The body of a function in SQL: BEGIN ATOMIC … END.
            self.depth += -1 if lower == "end" else 1
        self.parts.append(self.value(text) if kind == "variable" else text)

    def value(self, text):
        """What stands for `:name`, `:'name'` or `:"name"`."""
        quote = text[1] if text[1] in "'\"" else ""
        known = self.variables.get(text[1:].strip("'\""))
        if known is None:
            self.why = self.why or ("variable" if quote else "")
            return text
        return quote + known + quote

    def command(self, text, start):
        """A backslash command; one of the \\g family ends the statement before it."""
        word, _, rest = text[1:].partition(" ")
        if word.startswith(";"):
            self.why, self.at = "several statements at once", start + 2
            self.parts.append(";")
        elif self.begun is not None and re.match(r"g|crosstabview|watch", word):
            self.why = "\\" + word
            yield from self.finish()
        elif self.begun is None:
            if word == "set":
                name, *values = re.findall(r"'[^']*'|\S+", rest)
                self.variables[name] = "".join(self.variables.get(part[1:], "") if part[0] == ":" else part.strip("'") for part in values)
            self.branch += {"if": 1, "endif": -1}.get(word, 0)
            yield Statement(self.text.count("\n", 0, start) + 1, text, None, "command")

    def finish(self):
        """Hands out the statement, with its data if it is a COPY."""
        if self.begun is None:
            return
        text, why, line, data = "".join(self.parts), self.why, self.text.count("\n", 0, self.begun) + 1, None
        why = why or ("\\if" if self.branch else "") or ("" if self.conforming else "standard_conforming_strings = off")
        self.clear()
        setting = STRINGS_SETTING.match(text)
        if setting:
            self.conforming = (setting.group(1) or "on").lower() == "on"
        file = COPY_FILE.match(text)
        if COPY_STDIN.match(text):
            begin = self.text.index("\n", self.at) + 1
            end = re.compile(r"^\\\.$", re.MULTILINE).search(self.text, begin)
            data, self.at = self.text[begin:end.start()].encode(), end.end()
        elif file and pathlib.Path(file.group(2)).is_file():
            text, data = COPY_FILE.sub(r"\1STDIN", text, count=1), pathlib.Path(file.group(2)).read_bytes()
        elif re.match(r"\s*copy\b(?!.*\bstdout\b)", text, re.IGNORECASE | re.DOTALL):
            why = why or "file of the server"
        yield Statement(line, text.strip(), data, why)
