"""Makes the files that the tests read, out of the real flights beside the demo. Quick when they are there.

    tests/data/make.py OUT

Every format holds the same rows as the source, so that one query has one answer whatever it reads.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.orc as orc
import pyarrow.parquet as pq

DEMO = pathlib.Path(os.environ.get("TIDEGATE_DEMO_DATA") or pathlib.Path(__file__).parents[2] / "sql" / "demo")
NULLS = pacsv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)


def source(name):
    """The file of that name, whatever its format."""
    found = sorted(p for p in DEMO.iterdir() if p.name.split(".")[0] == name and p.suffix not in (".py", ".sql"))
    if not found:
        sys.exit(f"tests/data/make.py: no {name}.* in {DEMO}")
    return found[0]


def read(name):
    path = source(name)
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".orc":
        return orc.read_table(path)
    if path.suffix in (".json", ".jsonl", ".ndjson"):
        return pajson.read_json(path)
    return pacsv.read_csv(path, convert_options=NULLS)


def csv_bytes(table):
    out = io.BytesIO()
    pacsv.write_csv(table, out, pacsv.WriteOptions(quoting_style="needed"))
    return out.getvalue()


def json_lines(table):
    rows = ({k: v for k, v in row.items() if v is not None} for row in table.to_pylist())
    return "".join(json.dumps(row, default=str) + "\n" for row in rows)


def dimensions(out):
    for name in ("airlines", "airports", "planes", "weather"):
        table = read(name)
        plain = csv_bytes(table)
        (out / f"{name}.csv").write_bytes(plain)
        (out / f"{name}.csv.gz").write_bytes(gzip.compress(plain, mtime=0))
        (out / f"{name}.jsonl").write_text(json_lines(table))
        orc.write_table(table, out / f"{name}.orc", compression="zlib")
        pq.write_table(table, out / f"{name}.parquet", compression="zstd")


def flights(out):
    table = read("flights")
    pq.write_table(table, out / "flights.parquet", compression="zstd")
    for month in (1, 2, 3):
        part = table.filter(pc.equal(table["month"], month)).drop_columns(["month"])
        folder = out / "flights_by_month" / f"month={month}"
        folder.mkdir(parents=True)
        pq.write_table(part, folder / "part-0.parquet", compression="zstd")


def loads(out):
    """Files for COPY: good ones, one with a bad line 5000, a manifest with the bucket still to be filled in."""
    folder = out / "load"
    folder.mkdir()
    for number in (1, 2):
        rows = [(i, f"name {i}", f"{i / 4:.2f}", "2013-01-01 05:00:00") for i in range(number * 1000, number * 1000 + 1000)]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("id", "name", "amount", "at"), *rows])
        (folder / f"good-{number}.csv").write_text(text.getvalue())
        (folder / f"good-{number}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        keys = ("id", "name", "amount", "at")
        (folder / f"good-{number}.jsonl").write_text("".join(json.dumps(dict(zip(keys, r))) + "\n" for r in rows))
        pq.write_table(pa.table({"id": pa.array([r[0] for r in rows], pa.int64()), "name": [r[1] for r in rows],
                                 "amount": pa.array([r[0] / 4 for r in rows], pa.float64())}), folder / f"good-{number}.parquet")
    bad = [f"{i},name {i},{i / 4:.2f}" if i != 5000 else "5000,name 5000,twelve" for i in range(1, 6001)]
    (folder / "bad.csv").write_text("\n".join(bad) + "\n")
    (folder / "short.csv").write_text("1,one,1.00\n2,two\n")
    entries = [{"url": f"s3://$BUCKET/data/load/good-{n}.csv", "mandatory": True} for n in (1, 2)]
    (folder / "both.manifest").write_text(json.dumps({"entries": entries}))
    entries.append({"url": "s3://$BUCKET/data/load/no-such.csv", "mandatory": True})
    (folder / "missing.manifest").write_text(json.dumps({"entries": entries}))


def main():
    out = pathlib.Path(sys.argv[1])
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for name in ("airlines", "airports", "flights", "planes", "weather"):
        digest.update(source(name).read_bytes())
    stamp = out / ".stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    fresh = out.with_name(f"{out.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    dimensions(fresh)
    flights(fresh)
    loads(fresh)
    (fresh / ".stamp").write_text(digest.hexdigest())
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)


if __name__ == "__main__":
    main()
