"""Makes the two files of the tour that are not published as such: planes as JSON lines, weather as ORC.

Run once, with pyarrow: `python sql/demo/make.py`. Its results are kept beside it.
"""

import gzip
import io
import json
import pathlib

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.orc as orc

HERE = pathlib.Path(__file__).parent


def read(text):
    """A table of a CSV file in which NA means NULL."""
    options = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(text), convert_options=options)


def planes():
    rows = read((HERE / "planes.csv").read_bytes()).to_pylist()
    lines = (json.dumps(row, separators=(",", ":")) for row in rows)
    (HERE / "planes.jsonl").write_text("\n".join(lines) + "\n")


def weather():
    table = read(gzip.decompress((HERE / "weather.csv.gz").read_bytes()))
    at = table.schema.get_field_index("time_hour")
    hours = table.column(at).cast(pa.timestamp("us", tz="UTC"))
    table = table.set_column(at, "time_hour", hours)
    orc.write_table(table, HERE / "weather.orc", compression="zstd")


if __name__ == "__main__":
    planes()
    weather()
