//! Statements as users get them wrong: real ones with words taken out, doubled, swapped and cut, and with values that
//! are too long, too large, of another kind, or not closed.

use tidegate_core::Rng;

/// Changes of one statement.
const CHANGES_MAX: u64 = 4;
/// How deep the deep ones are.
const DEPTHS: [usize; 3] = [50, 500, 20_000];

/// What is changed; `$URL` is a place that may be read and written.
const SEEDS: &[&str] = &[
    "COPY t (id, name, amount) FROM '$URLgood' IAM_ROLE 'c' CSV IGNOREHEADER 1 NULL AS '\\N' DATEFORMAT 'auto' TIMEFORMAT AS 'epochmillisecs' MAXERROR 10",
    "COPY t FROM '$URLgood' CREDENTIALS 'c' DELIMITER '|' ESCAPE REMOVEQUOTES FILLRECORD EMPTYASNULL BLANKSASNULL TRIMBLANKS TRUNCATECOLUMNS GZIP",
    "COPY t FROM '$URL' FORMAT AS JSON 'auto ignorecase' REGION 'us-east-1' ACCEPTINVCHARS AS '?' COMPUPDATE OFF STATUPDATE ON",
    "COPY t FROM '$URLmanifest' MANIFEST FORMAT PARQUET FILLRECORD NOLOAD",
    "COPY t FROM '$URL' FIXEDWIDTH 'id:5,name:10,amount:8' ENCODING UTF16LE ROUNDEC EXPLICIT_IDS",
    "COPY t FROM '$URL' IAM_ROLE default CSV QUOTE AS '''' ESCAPE AS '\\\\' JOB CREATE j AUTO ON",
    "COPY (SELECT * FROM t WHERE id > 1) TO STDOUT WITH (FORMAT csv, HEADER true, FORCE_QUOTE (id, name))",
    "COPY JOB LIST",
    "UNLOAD ('SELECT * FROM t WHERE name = ''x'' ORDER BY id LIMIT 10') TO '$URLout/a_' IAM_ROLE 'c' CSV HEADER GZIP ALLOWOVERWRITE MANIFEST VERBOSE MAXFILESIZE AS 5 MB",
    "UNLOAD (SELECT id, name FROM t) TO '$URLout/b_' FORMAT AS PARQUET PARTITION BY (id, name) INCLUDE CLEANPATH ROWGROUPSIZE 32 MB PARALLEL OFF",
    "UNLOAD ($$SELECT 1 AS a, 'b' AS b$$) TO '$URLout/c_' DELIMITER AS '\\t' ADDQUOTES ESCAPE NULL AS '\\N' EXTENSION 'txt.gz' BZIP2 ALLOWOVERWRITE",
    "UNLOAD ('SELECT 1 AS a') TO '$URLout/d_' FIXEDWIDTH AS 'a:3' KMS_KEY_ID 'k' ENCRYPTED AUTO REGION AS 'eu-west-1' ALLOWOVERWRITE",
    "UNLOAD ('SELECT name, jsonb ''{\"a\": 1}'' AS j FROM t') TO '$URLout/e_' JSON ZSTD CLEANPATH",
    "CREATE TABLE IF NOT EXISTS u (id bigint IDENTITY(1,1) ENCODE az64 NOT NULL, name varchar(20) DEFAULT 'x' ENCODE lzo, amount numeric(38,10), PRIMARY KEY (id)) DISTSTYLE KEY DISTKEY (id) COMPOUND SORTKEY (id, name)",
    "CREATE TEMP TABLE v (LIKE t INCLUDING DEFAULTS)",
    "CREATE TABLE w DISTSTYLE EVEN SORTKEY (id) AS SELECT id, name FROM t",
    "CREATE OR REPLACE VIEW public.x (a, b) AS SELECT id, name FROM public.t WITH NO SCHEMA BINDING",
    "CREATE MATERIALIZED VIEW y BACKUP NO DISTSTYLE EVEN SORTKEY (id) AUTO REFRESH NO AS SELECT id, count(*) AS n FROM t GROUP BY id",
    "CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION fuzz QUOTA 1 GB",
    "CREATE FUNCTION f (numeric(10,2), int) RETURNS numeric STABLE AS $$ SELECT $1 * $2 $$ LANGUAGE sql",
    "CREATE EXTERNAL TABLE e (id int, name text) PARTITIONED BY (day date) ROW FORMAT DELIMITED FIELDS TERMINATED BY '|' STORED AS TEXTFILE LOCATION '$URLlake/' TBLPROPERTIES ('skip.header.line.count'='1')",
    "ALTER TABLE t ADD COLUMN extra varchar(10) DEFAULT 'a' NOT NULL",
    "ALTER TABLE t DROP COLUMN extra CASCADE",
    "ALTER TABLE t RENAME COLUMN name TO other",
    "ALTER TABLE t ALTER COLUMN name TYPE varchar(200)",
    "ALTER TABLE t ALTER SORTKEY (id), ALTER DISTSTYLE ALL, ALTER COLUMN name ENCODE zstd",
    "ALTER TABLE t APPEND FROM u FILLTARGET",
    "ALTER TABLE t OWNER TO fuzz",
    "ALTER TABLE e ADD IF NOT EXISTS PARTITION (day = '2024-01-01') LOCATION '$URLlake/day=2024-01-01/'",
    "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET name = u.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (u.id, u.name)",
    "MERGE INTO t USING u ON t.id = u.id REMOVE DUPLICATES",
    "UPDATE t SET name = u.name FROM u WHERE t.id = u.id RETURNING t.*",
    "DELETE FROM t USING u WHERE t.id = u.id",
    "INSERT INTO t (id, name) VALUES (1, 'a'), (2, DEFAULT), (3, NULL)",
    "TRUNCATE TABLE t",
    "LOCK TABLE t, u",
    "VACUUM FULL t TO 99 PERCENT BOOST",
    "VACUUM REINDEX t",
    "ANALYZE VERBOSE t (id, name) PREDICATE COLUMNS",
    "REFRESH MATERIALIZED VIEW y",
    "DROP TABLE IF EXISTS u, v CASCADE",
    "DROP VIEW IF EXISTS x RESTRICT",
    "SHOW TABLE t",
    "COMMENT ON COLUMN t.name IS 'what it is called'",
    "GRANT SELECT ON TABLE t TO fuzz",
];

/// Words that are put in where they may not belong.
const WORDS: &[&str] = &[
    "AS",
    "ON",
    "OFF",
    "AUTO",
    "NULL",
    "NOT",
    "DEFAULT",
    "(",
    ")",
    "()",
    ",",
    ";",
    ".",
    "*",
    "=",
    "-",
    "-1",
    "0",
    "1e999",
    "99999999999999999999",
    "4.9",
    "''",
    "'",
    "\"",
    "\"\"",
    "$$",
    "$1",
    "'\\'",
    "E'\\x'",
    "'é'",
    "'\u{1F600}'",
    "'|'",
    "'\\t'",
    "'\\001'",
    "'\\xZZ'",
    "'a:1,b'",
    "'a:99999999999'",
    "'auto'",
    "'YYYY-MM-DD'",
    "'s3://'",
    "'s3:///x'",
    "'s3://b'",
    "'file:///nowhere'",
    "'http://x'",
    "'c'",
    "'aws_iam_role=arn:aws:iam::1:role/x'",
    "PARTITION BY",
    "PARTITION BY ()",
    "FORMAT",
    "FORMAT AS",
    "PARQUET",
    "ORC",
    "AVRO",
    "JSON",
    "CSV",
    "DELIMITER",
    "MANIFEST",
    "VERBOSE",
    "MAXFILESIZE",
    "5 MB",
    "6.3 GB",
    "ROWGROUPSIZE",
    "FIXEDWIDTH",
    "ENCODING",
    "IDENTITY",
    "IDENTITY(0,0)",
    "ENCODE",
    "SORTKEY",
    "INTERLEAVED SORTKEY",
    "DISTKEY",
    "LIKE",
    "SELECT",
    "FROM",
    "WITH",
    "VALUES",
    "varchar(0)",
    "varchar(99999999)",
    "numeric(39,0)",
    "numeric(10,20)",
    "super",
    "char",
    "timestamptz",
    "int[]",
    "MAX",
    "/*",
    "*/",
    "--",
    "\u{0}x",
    "\u{FEFF}",
];

/// Makes statements.
pub struct Statements {
    rng: Rng,
    place: String,
}

impl Statements {
    /// Of this seed; URLs begin with `place`.
    pub fn new(rng: Rng, place: &str) -> Self {
        Statements { rng, place: place.to_string() }
    }

    /// The next one.
    pub fn next(&self) -> String {
        let mut tokens = self.seed();
        if self.rng.below(4) == 0 {
            let other = self.seed();
            let (cut, from) = (self.index(&tokens), self.index(&other));
            tokens.truncate(cut);
            tokens.extend_from_slice(&other[from..]);
        }
        for _ in 0..self.rng.below(CHANGES_MAX) {
            self.change(&mut tokens);
        }
        let mut text = tokens.concat();
        if self.rng.below(8) == 0 {
            text = text.chars().take(self.rng.below(text.len() as u64 + 1) as usize).collect();
        }
        // The protocol ends a statement there.
        text.replace('\0', " ")
    }

    fn seed(&self) -> Vec<String> {
        tokens(&self.pick(SEEDS).replace("$URL", &self.place))
    }

    fn pick<'a>(&self, from: &[&'a str]) -> &'a str {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn index<T>(&self, of: &[T]) -> usize {
        self.rng.below(of.len() as u64 + 1) as usize
    }

    fn change(&self, tokens: &mut Vec<String>) {
        if tokens.is_empty() {
            return;
        }
        let (at, other) = (self.rng.below(tokens.len() as u64) as usize, self.rng.below(tokens.len() as u64) as usize);
        match self.rng.below(7) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            2 => tokens.swap(at, other),
            3 => tokens[at] = format!(" {} ", self.pick(WORDS)),
            4 => tokens.insert(at, format!(" {} ", self.pick(WORDS))),
            5 => tokens[at] = "x".repeat(self.rng.below(70_000) as usize),
            _ => tokens[at] = tokens[at].chars().rev().collect(),
        }
    }
}

/// A statement as words, strings, symbols and the blanks between them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let (mut in_string, mut last) = (false, ' ');
    for c in text.chars() {
        let joins = in_string || (c.is_alphanumeric() && last.is_alphanumeric()) || (c == '\'' && last == '\'');
        match tokens.last_mut() {
            Some(token) if joins => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        if c == '\'' {
            in_string = !in_string;
        }
        last = c;
    }
    tokens
}

/// What the other statements are about.
pub fn tables(place: &str) -> Vec<String> {
    [
        "ROLLBACK",
        "DROP TABLE IF EXISTS t CASCADE",
        "DROP TABLE IF EXISTS u CASCADE",
        "CREATE TABLE t (id int, name varchar(20), amount numeric(10,2), at timestamp, ok boolean, bytes bytea, real float8)",
        "CREATE TABLE u (id int, name varchar(20), amount numeric(10,2))",
        "INSERT INTO t (id, name) VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO u VALUES (2, 'zwei', 2), (3, 'drei', 3)",
        "UNLOAD ('SELECT * FROM u') TO '$URLgood' CSV ALLOWOVERWRITE",
    ]
    .map(|text| text.replace("$URL", place))
    .to_vec()
}

/// Statements nested deeper than anybody writes them.
pub fn deep() -> Vec<String> {
    let nests: [(&str, &str, &str, &str); 12] = [
        ("SELECT ", "(", "1", ")"),
        ("SELECT ", "NOT ", "true", ""),
        ("SELECT ", "- ", "1", ""),
        ("SELECT ", "CASE WHEN true THEN ", "1", " END"),
        ("SELECT ", "abs(", "1", ")"),
        ("SELECT ", "1 + ", "1", ""),
        ("", "SELECT * FROM (", "SELECT 1", ") AS q"),
        ("SELECT ", "ARRAY[", "1", "]"),
        ("", "SELECT 1 UNION ALL ", "SELECT 1", ""),
        ("UNLOAD (SELECT ", "(", "1", ")) TO 's3://b/x'"),
        ("CREATE TABLE deep (a int DEFAULT ", "(", "1", "))"),
        ("CREATE VIEW deep AS ", "SELECT * FROM (", "SELECT 1", ") AS q"),
    ];
    let nested = |depth: usize| {
        nests.map(|(head, open, middle, close)| {
            // The end of a statement stands once.
            let (close, tail) = match head.is_empty() || close.len() < 2 || head.starts_with("SELECT") {
                true => (close, ""),
                false => (")", close.get(1..).unwrap_or_default()),
            };
            format!("{head}{}{middle}{}{tail}", open.repeat(depth), close.repeat(depth))
        })
    };
    let mut all: Vec<String> = DEPTHS.into_iter().flat_map(nested).collect();
    all.push(format!("COPY t ({}) FROM STDIN", vec!["id"; 20_000].join(",")));
    all.push(format!("CREATE TABLE wide ({})", (0..2_000).map(|n| format!("c{n} int")).collect::<Vec<_>>().join(",")));
    all.push("(".repeat(100_000));
    all.push("/*".repeat(100_000));
    all.push(format!("COPY t FROM '{}'", "s3://b/".repeat(10_000)));
    all
}
