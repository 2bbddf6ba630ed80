//! Files as they come damaged: real ones, of every format that COPY reads, with bytes changed, lost and repeated.

use tidegate_core::Rng;

/// Changes of one file.
const CHANGES_MAX: u64 = 6;
/// Longest piece that is lost or repeated, in bytes.
const PIECE_BYTES_MAX: u64 = 300;

/// Rows of the files that are made here, and the table of those that are not.
pub const ROWS: &str = "INSERT INTO t SELECT value, 'name ' || value, value * 1.25, now(), value % 2 = 0, 'bytes', value / 7.0 FROM generate_series(1, 500) AS g(value); \
    CREATE TABLE planes (tailnum text, year int, type text, manufacturer text, model text, engines int, seats int, speed int, engine text)";

/// Files of real planes are larger than those that are made here.
pub const PLANES_BYTES_MIN: usize = 100_000;

/// How a file is made and loaded: UNLOAD's options, the ending that they give its name, COPY's options.
pub const MADE: &[(&str, &str, &str)] = &[
    ("CSV", "", "CSV"),
    ("ESCAPE NULL AS '\\N'", "", "ESCAPE NULL AS '\\N'"),
    ("ADDQUOTES ESCAPE", "", "REMOVEQUOTES ESCAPE MAXERROR 1000"),
    ("FIXEDWIDTH 'a:5,b:10,c:12,d:30,e:2,f:12,g:25'", "", "FIXEDWIDTH 'a:5,b:10,c:12,d:30,e:2,f:12,g:25'"),
    ("JSON", "", "FORMAT JSON 'auto'"),
    ("JSON", "", "FORMAT JSON 'auto' MAXERROR 1000"),
    ("PARQUET", ".parquet", "FORMAT PARQUET"),
    ("PARQUET", ".parquet", "FORMAT PARQUET"),
    ("CSV GZIP", ".gz", "CSV GZIP"),
    ("CSV BZIP2", ".bz2", "CSV BZIP2"),
    ("JSON ZSTD", ".zst", "JSON 'auto' ZSTD"),
];

/// Files that are written here, and COPY's options for them; `$URL` is the place of the others.
pub const WRITTEN: &[(&str, &str)] = &[
    (
        "{\"entries\":[{\"url\":\"$URLgood0000_part_00\",\"mandatory\":true,\"meta\":{\"content_length\":10}},{\"url\":\"$URLno\"}]}",
        "MANIFEST CSV",
    ),
    (
        "{\"jsonpaths\":[\"$.id\",\"$['name']\",\"$.a[0].b\",\"$.at\",\"$.ok\",\"$.bytes\",\"$.real\"]}",
        "JSON '$URLfile'",
    ),
    (
        "{\"id\":1,\"name\":\"\\ud83d\\ude00\",\"amount\":1e400,\"ok\":[[[[{\"a\":{}}]]]]}\n{\"id\":\"2\"}",
        "JSON 'auto ignorecase'",
    ),
];

/// Bytes that mean something in one format or another.
const ODD: &[u8] = b"\0\xff\n\r\"\\|,{}[]:-9e";

/// A file with some of its bytes changed.
pub fn damaged(rng: &Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(CHANGES_MAX) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        let end = (at + rng.below(PIECE_BYTES_MAX) as usize).min(bytes.len());
        match rng.below(8) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next_u64() as u8,
            2 => bytes[at] = ODD[rng.below(ODD.len() as u64) as usize],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            5 => bytes.truncate(at),
            6 => bytes[at..end].fill(rng.next_u64() as u8),
            _ => {
                let piece: Vec<u8> = (0..rng.below(9)).map(|_| rng.next_u64() as u8).collect();
                drop(bytes.splice(at..at, piece));
            }
        }
    }
    bytes
}
