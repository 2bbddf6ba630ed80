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
import zlib

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


def avro_bytes(schema, records, codec="null"):
    """An Avro file of one block: records are lists of encoded values, in the schema's order."""
    def text(value):
        raw = value.encode() if isinstance(value, str) else value
        return long(len(raw)) + raw

    count, block = len(records), b"".join(b"".join(record) for record in records)
    if codec == "deflate":
        packer = zlib.compressobj(wbits=-15)
        block = packer.compress(block) + packer.flush()
    sync = bytes(range(16))
    meta = long(2) + text("avro.schema") + text(json.dumps(schema)) + text("avro.codec") + text(codec) + long(0)
    return b"Obj\x01" + meta + sync + long(count) + text(block) + sync


def long(value):
    """Avro's variable-length zigzag."""
    value, out = (value << 1) ^ (value >> 63), b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def avro(folder):
    """Records with an enum, a nested record and an array."""
    def text(value):
        return long(len(value)) + value.encode()

    schema = {"type": "record", "name": "r", "fields": [
        {"name": "id", "type": "long"},
        {"name": "Name", "type": ["null", "string"]},
        {"name": "kind", "type": {"type": "enum", "name": "k", "symbols": ["RED", "BLUE"]}},
        {"name": "more", "type": {"type": "record", "name": "m", "fields": [
            {"name": "tags", "type": {"type": "array", "items": "string"}}]}},
    ]}
    records = [
        [long(1), long(1) + text("a"), long(0), long(2) + text("x") + text("y") + long(0)],
        [long(2), long(0), long(1), long(0)],
    ]
    for codec in ("null", "deflate"):
        (folder / f"records-{codec}.avro").write_bytes(avro_bytes(schema, records, codec))


def options(out):
    """Small files for the options of COPY, one or two rows for each; named in tests/slt/warehouse/copy_*.slt."""
    folder = out / "load"
    texts = {
        "pipe.txt": "1|a|2.345\n\\N||3\n",
        "codes.txt": "1|ok|1.5|2013-01-01|2013-01-01 00:00:00|t|1.5\n"
                     "x|bad integer|1|2013-01-01|2013-01-01 00:00:00|t|1\n"
                     "99999999999|too large|1|2013-01-01|2013-01-01 00:00:00|t|1\n"
                     "3|a text that is too long for it|1|2013-01-01|2013-01-01 00:00:00|t|1\n"
                     "4|bad decimal|1.x|2013-01-01|2013-01-01 00:00:00|t|1\n"
                     "5|bad date|1|2013-13-01|2013-01-01 00:00:00|t|1\n"
                     "6|short date|1|2013|2013-01-01 00:00:00|t|1\n"
                     "7|bad time|1|2013-01-01|noon|t|1\n"
                     "8|bad bool|1|2013-01-01|2013-01-01 00:00:00|maybe|1\n"
                     "9|bad float|1|2013-01-01|2013-01-01 00:00:00|t|1e\n"
                     "\\N|null|1|2013-01-01|2013-01-01 00:00:00|t|1\n"
                     "10|few\n"
                     "no delimiter\n"
                     "\n"
                     "11|many|1|2013-01-01|2013-01-01 00:00:00|t|1|x|y\n",
        "char.txt": "1|ab\n2|\u00e9\n3|abcd\n",
        "quotes.csv": '1,"a"\n2,"b" x\n3,"c"\n',
        "blanks.csv": '1,  ,3\n\n2,"",  \n3,x  ,\n',
        "loose.csv": '1, "a, b" ,2\n2,"say ""x""",3\n3,"two\nlines",4\n',
        "escape.txt": "1|a\\|b|x\n2|two\\\nlines|y\n3|back\\\\slash|\\N\n",
        "remove.txt": "1|'The delimiter is a pipe (|) character'\n2|'Black'\n3|\"White\"\n4|Blue'\n5|'Blue\n6|' ' 'Black' ' '\n",
        "fixed.txt": "1  New York  AB\n22 Chicago   C \n",
        "dates.txt": "01/02/2013|02.01.2013 03:04:05\nnever|02.01.2013 03:04:05\n",
        "epoch.txt": "1|1357095845\n2|1357095845.25\n",
        "ragged.txt": "1|a|2\n2|b\n3\n",
        "ragged.csv": "h,i,j\n1,a,2\n2,b\n",
        "nul.txt": "1|\0\n2|a\0b\n3|x\n",
        "objects.json": '{"id": 1, "name": "a"} {"id": 2,\n "name": {"k": [1, "}"]}}\n\n{"ID": 3, "Name": "c"}\n{"id": "x"}\n{"id": 5}',
        "arrays.json": '[1, "a", {"b": [10, 20]}]\n[2, "c", {"b": []}]\n',
        "paths.json": '{"a": {"b": [{"c": 7}]}, "d": "x"}\n{"a": {"b": []}, "d": "y"}\n{"d": "z"}\n',
        "arrays.jsonpaths": '{"jsonpaths": ["$[0]", "$[1]"]}',
        "paths.jsonpaths": '{"jsonpaths": ["$.a.b", "$[\'d\']"]}',
        "deep.jsonpaths": '{"jsonpaths": ["$.a.b[0].c", "$.d"]}',
        "other.jsonpaths": '{"JSONPaths": ["$.nothing", "$.nowhere"]}',
        "broken.jsonpaths": '{"jsonpaths": ["$.a[*]", "$.d"]}',
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    (folder / "invalid.txt").write_bytes(b"1|caf\xe9 au lait\n2|fine\n3|\xff\xfe\n")
    (folder / "utf16.txt").write_bytes("1|caf\u00e9\n2|\U0001f600\n".encode("utf-16"))
    (folder / "latin1.txt").write_bytes(b"1|caf\xe9\n")
    (folder / "unflagged").write_bytes(gzip.compress(b"1|a\n2|b\n", mtime=0))
    avro(folder)
    parts = folder / "parts"
    parts.mkdir()
    for part in range(4):
        lines = [f"{n}|{n}\n" if n % 50 else f"{n}|x\n" for n in range(part * 100 + 1, part * 100 + 101)]
        (parts / f"part-{part}.txt").write_text("h|h\n" + "".join(lines))
    manifests = {
        "twice": [{"url": f"file://{parts}/part-0.txt", "mandatory": True}] * 2,
        "optional": [{"url": f"file://{parts}/part-0.txt"}, {"url": f"file://{parts}/no-such.txt"}],
        "none": [{"url": f"file://{parts}/no-such.txt", "mandatory": False}],
        "prefix": [{"url": f"file://{parts}/"}],
        "length": [{"url": f"file://{folder}/good-1.parquet",
                    "meta": {"content_length": (folder / "good-1.parquet").stat().st_size}}],
        "lengthless": [{"url": f"file://{folder}/good-1.parquet"}],
        "wrong-length": [{"url": f"file://{folder}/good-1.parquet", "meta": {"content_length": 7}}],
    }
    # The folder is renamed when it is whole.
    for name, entries in manifests.items():
        text = json.dumps({"entries": entries}).replace(str(out), str(out).rsplit(".", 1)[0])
        (folder / f"{name}.manifest").write_text(text)


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
    options(fresh)
    (fresh / ".stamp").write_text(digest.hexdigest())
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)


if __name__ == "__main__":
    main()
