// node-postgres against a server: parameters as text, named statements, cursors, streams, COPY, a pool, errors with their fields.
"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { createRequire } = require("node:module");
const { Readable, Writable } = require("node:stream");
const { pipeline } = require("node:stream/promises");

// The packages lie in the cache, where tests/run installs what tests/package-lock.json names.
const need = process.env.TIDEGATE_TEST_CACHE ? createRequire(path.join(process.env.TIDEGATE_TEST_CACHE, "node", "package.json")) : require;
const pg = need("pg");
const Cursor = need("pg-cursor");
const QueryStream = need("pg-query-stream");
const copyStreams = need("pg-copy-streams");

const HOW = { host: "127.0.0.1", port: Number(process.env.TIDEGATE_SQL_PORT || 5439), user: "admin", database: "dev", connectionTimeoutMillis: 10_000 };
const CHECK_SECONDS_MAX = 60;
const STREAMED_ROWS = 50_000;
const SLOW = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 % 7 = b.m % 11";

let failed = 0;
let conn;
const opened = [];

async function connect(more) {
  const client = new pg.Client({ ...HOW, ...more });
  client.on("error", () => {});
  await client.connect();
  opened.push(client);
  return client;
}

/** Runs one check, and prints what came of it. */
async function check(name, body) {
  const started = process.hrtime.bigint();
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no end after ${CHECK_SECONDS_MAX} s`)), CHECK_SECONDS_MAX * 1000); });
  try {
    await Promise.race([body(), late]);
    console.log(`PASS ${name}\n  ${(Number(process.hrtime.bigint() - started) / 1e9).toFixed(2)} s`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  } finally {
    clearTimeout(timer);
  }
}

const equal = assert.deepEqual;

async function fails(promise, fields) {
  let error;
  try { await promise; } catch (e) { error = e; }
  assert.ok(error, "no error");
  const found = Object.fromEntries(Object.keys(fields).map((key) => [key, error[key]]));
  assert.deepEqual(found, fields, `${error.message}\n  found ${JSON.stringify(found)}, expected ${JSON.stringify(fields)}`);
  return error;
}

/** Runs each of them, and fails with all that went wrong. */
async function all(steps) {
  const wrong = [];
  for (const [name, step] of steps) {
    try { await step(); } catch (error) { wrong.push(`${name}: ${error.message.replaceAll("\n", " ")}`); }
  }
  assert.ok(wrong.length === 0, `\n  ${wrong.join("\n  ")}`);
}

const answers = (client, cases) => all(cases.map(([text, values, rows]) => [text, async () => equal((await client.query(text, values)).rows, rows)]));
const refuses = (client, cases) => all(cases.map(([text, values, fields]) => [text, () => fails(client.query(text, values), fields)]));

/** One value of each kind: how SQL names it, what goes in, what comes out. */
const VALUES = [
  ["boolean", true, true], ["boolean", false, false],
  ["smallint", -32768, -32768], ["int", 2147483647, 2147483647], ["int", "42", 42],
  ["bigint", "-9223372036854775808", "-9223372036854775808"], ["bigint", 9007199254740993n, "9007199254740993"],
  ["real", 1.5, 1.5], ["double precision", 0.1, 0.1], ["double precision", Infinity, Infinity], ["double precision", 1e-300, 1e-300],
  ["double precision", NaN, NaN],
  ["numeric(10,2)", "12.34", "12.34"], ["numeric(38,0)", "9".repeat(38), "9".repeat(38)], ["numeric(6,3)", 0, "0.000"],
  ["numeric(38,10)", "-1234567890123456789012345678.0123456789", "-1234567890123456789012345678.0123456789"],
  ["text", "läuft 🚀", "läuft 🚀"], ["text", "", ""], ["varchar(5)", "abc", "abc"], ["char(5)", "ab", "ab   "],
  ["bytea", Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])], ["bytea", Buffer.alloc(0), Buffer.alloc(0)],
  ["date", "2013-01-01", new Date(2013, 0, 1)], ["date", "1969-12-31", new Date(1969, 11, 31)],
  ["timestamp", "2013-01-01 05:00:00.123", new Date(2013, 0, 1, 5, 0, 0, 123)],
  ["timestamptz", new Date(Date.UTC(2013, 0, 1, 5, 0, 0, 123)), new Date(Date.UTC(2013, 0, 1, 5, 0, 0, 123))],
  ["time", "01:02:03.000004", "01:02:03.000004"],
  ["int[]", [1, null, 3], [1, null, 3]], ["text[]", ["a", 'b"c', null, "", "d,e", "\\"], ["a", 'b"c', null, "", "d,e", "\\"]],
  ["double precision[]", [0.5, 1.5], [0.5, 1.5]], ["boolean[]", [true, false, null], [true, false, null]],
  ["bigint[]", ["1", "9007199254740993"], ["1", "9007199254740993"]], ["int[]", [], []], ["int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]],
  ["json", { a: [1, { b: null }], c: "d" }, { a: [1, { b: null }], c: "d" }],
  ["jsonb", { a: [1, { b: null }], c: "d" }, { a: [1, { b: null }], c: "d" }], ["json", "[1, 2]", [1, 2]],
  ["uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
];

async function wrongValues(query) {
  const wrong = [];
  for (const [kind, sent, expected] of VALUES) {
    for (const [value, back] of [[sent, expected], [null, null]]) {
      try {
        const found = await query(kind, value);
        assert.deepStrictEqual(found, back);
      } catch (error) {
        wrong.push(`${kind} ${typeof value === "bigint" ? value : JSON.stringify(value)}: ${error.message.replaceAll("\n", " ")}`);
      }
    }
  }
  assert.ok(wrong.length === 0, `\n  ${wrong.join("\n  ")}`);
}

async function main() {
  conn = await connect();
  await conn.query("SET timezone = 'UTC'");

  await check("values_both_ways", () => wrongValues(async (kind, value) => (await conn.query(`SELECT $1::${kind} AS v`, [value])).rows[0].v));

  await check("values_both_ways_through_a_table", async () => {
    await conn.query("CREATE TABLE node_kinds (id int)");
    const kinds = [...new Set(VALUES.map(([kind]) => kind))];
    const refused = [];
    for (const [n, kind] of kinds.entries()) {
      try { await conn.query(`ALTER TABLE node_kinds ADD COLUMN c${n} ${kind}`); } catch (error) { refused.push(`${kind}: ${error.message}`); }
    }
    assert.ok(refused.length === 0, `\n  ${refused.join("\n  ")}`);
    let id = 0;
    await wrongValues(async (kind, value) => {
      const column = `c${kinds.indexOf(kind)}`;
      id += 1;
      const written = await conn.query(`INSERT INTO node_kinds (id, ${column}) VALUES ($1, $2)`, [id, value]);
      equal(written.rowCount, 1);
      return (await conn.query(`SELECT ${column} AS v FROM node_kinds WHERE id = $1`, [id])).rows[0].v;
    });
  });

  await check("an_interval_comes_as_its_parts", async () => {
    const { rows } = await conn.query("SELECT $1::interval AS v, $2::interval AS w", ["1 day 01:02:03", "1 year 2 mons"]);
    equal({ ...rows[0].v }, { days: 1, hours: 1, minutes: 2, seconds: 3 });
    equal({ ...rows[0].w }, { years: 1, months: 2 });
  });

  // pg reads what is binary as UTF-8 before it decodes it, so these are values whose bytes are UTF-8.
  await check("results_in_binary", async () => {
    const client = await connect({ binary: true });
    const { rows } = await client.query("SELECT $1::int AS a, $2::bigint AS b, $3::double precision AS c, $4::text AS d, $5::boolean AS e, $6::numeric(10,2) AS f, $7::smallint AS g, $8::real AS h, NULL::int AS i",
      [7, "8", 2, "läuft", true, "12.34", 3, 2]);
    equal({ ...rows[0], b: String(rows[0].b), f: Number(rows[0].f) }, { a: 7, b: "8", c: 2, d: "läuft", e: true, f: 12.34, g: 3, h: 2, i: null });
    equal((await client.query("SELECT ARRAY[1,2,3]::int[] AS a, ARRAY['x','y']::text[] AS b")).rows, [{ a: [1, 2, 3], b: ["x", "y"] }]);
  });

  await check("columns_and_counts_are_told", async () => {
    await conn.query("CREATE TABLE node_told (id bigint NOT NULL, name varchar(10), price numeric(10,2), at timestamptz)");
    const written = await conn.query("INSERT INTO node_told VALUES ($1, $2, $3, now()), (2, 'two', 2.5, now())", [1, "one", "1.5"]);
    equal([written.command, written.rowCount], ["INSERT", 2]);
    const found = await conn.query("SELECT id, name, price, at, id + 1 AS more FROM node_told ORDER BY id");
    equal(found.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier]),
      [["id", 20, 8, -1], ["name", 1043, -1, 14], ["price", 1700, -1, 655366], ["at", 1184, 8, -1], ["more", 20, 8, -1]]);
    equal([found.command, found.rowCount], ["SELECT", 2]);
    equal((await conn.query("UPDATE node_told SET name = 'x' WHERE id = ANY($1)", [[1, 2, 3]])).rowCount, 2);
    equal((await conn.query("DELETE FROM node_told WHERE id = $1", [1])).rowCount, 1);
    equal((await conn.query("DELETE FROM node_told WHERE id = $1", [1])).rowCount, 0);
  });

  await check("columns_tell_their_table", async () => {
    const found = await conn.query("SELECT id, name, price, at, id + 1 AS more FROM node_told ORDER BY id");
    const oid = Number((await conn.query("SELECT 'node_told'::regclass::oid AS o")).rows[0].o);
    equal(found.fields.map((f) => [f.tableID, f.columnID]), [[oid, 1], [oid, 2], [oid, 3], [oid, 4], [0, 0]]);
  });

  await check("rows_are_returned_by_what_writes_them", async () => {
    await conn.query("CREATE TABLE node_returned (id int, name text)");
    equal((await conn.query("INSERT INTO node_returned VALUES ($1, $2), ($3, $4) RETURNING id, upper(name) AS name", [1, "a", 2, "b"])).rows,
      [{ id: 1, name: "A" }, { id: 2, name: "B" }]);
    equal((await conn.query("UPDATE node_returned SET id = id + 10 WHERE id = $1 RETURNING *", [2])).rows, [{ id: 12, name: "b" }]);
    equal((await conn.query("DELETE FROM node_returned WHERE id = $1 RETURNING name", [1])).rows, [{ name: "a" }]);
  });

  await check("many_statements_at_once", async () => {
    const results = await conn.query("SELECT 1 AS a; SELECT 2 AS b, 3 AS c; CREATE TEMP TABLE node_many (n int); INSERT INTO node_many VALUES (1), (2)");
    equal(results.map((r) => [r.command, r.rowCount, r.rows]),
      [["SELECT", 1, [{ a: 1 }]], ["SELECT", 1, [{ b: 2, c: 3 }]], ["CREATE", null, []], ["INSERT", 2, []]]);
    equal((await conn.query({ text: "SELECT 1 AS a, 2 AS a", rowMode: "array" })).rows, [[1, 2]]);
    const empty = await conn.query("");
    equal([empty.rows, empty.rowCount], [[], null]);
  });

  await check("named_statements_are_used_again", async () => {
    const query = { name: "node-plus", text: "SELECT $1::int + $2::int AS sum" };
    for (let n = 0; n < 20; n += 1) equal((await conn.query({ ...query, values: [n, 1] })).rows, [{ sum: n + 1 }]);
    await conn.query("CREATE TABLE node_again (a int)");
    const insert = { name: "node-again", text: "INSERT INTO node_again VALUES ($1)" };
    for (let n = 0; n < 5; n += 1) await conn.query({ ...insert, values: [n] });
    equal((await conn.query("SELECT count(*) AS n, sum(a) AS s FROM node_again")).rows, [{ n: "5", s: "10" }]);
    await fails(conn.query({ ...query, values: ["x", 1] }), { code: "22P02" });
    equal((await conn.query({ ...query, values: [1, 1] })).rows, [{ sum: 2 }]);
  });

  await check("named_statements_are_listed", async () => {
    equal((await conn.query("SELECT name, statement, parameter_types::text AS types FROM pg_prepared_statements WHERE name = 'node-plus'")).rows,
      [{ name: "node-plus", statement: "SELECT $1::int + $2::int AS sum", types: "{integer,integer}" }]);
  });

  await check("parameter_types_are_inferred", async () => {
    await conn.query("CREATE TABLE node_people (id bigint, name text, born date, score numeric(8,2))");
    await conn.query("INSERT INTO node_people SELECT n, 'name ' || n, DATE '1980-01-01' + n::int, n / 4.0 FROM generate_series(0, 199) AS g(n)");
    await answers(conn, [
      ["SELECT id FROM node_people WHERE born = $1", [new Date(1980, 0, 3)], [{ id: "2" }]],
      ["SELECT id FROM node_people WHERE id = ANY($1) AND name <> $2 ORDER BY id", [[1, 2, 3], "name 2"], [{ id: "1" }, { id: "3" }]],
      ["SELECT id FROM node_people ORDER BY id LIMIT $1 OFFSET $2", [2, 3], [{ id: "3" }, { id: "4" }]],
      ["SELECT $1 || 'x' AS v", ["a"], [{ v: "ax" }]],
      ["SELECT $1 AS v", ["a"], [{ v: "a" }]],
      ["SELECT count(*) AS n FROM node_people WHERE score > $1 AND born BETWEEN $2 AND $3", ["10.5", "1980-01-01", "1980-12-31"], [{ n: "157" }]],
      ["SELECT * FROM unnest($1::int[], $2::text[]) AS t(a, b)", [[1, 2], ["x", "y"]], [{ a: 1, b: "x" }, { a: 2, b: "y" }]],
      ["SELECT count(*) AS n FROM node_people WHERE ($1::text IS NULL OR name = $1)", [null], [{ n: "200" }]],
      ["SELECT COALESCE($1, 5) AS v, CASE WHEN $2 THEN 1 ELSE 0 END AS w", [null, true], [{ v: 5, w: 1 }]],
    ]);
  });

  await check("rows_are_inserted_from_arrays", async () => {
    await conn.query("CREATE TABLE node_unnested (id int, name text)");
    const ids = Array.from({ length: 1000 }, (_, n) => n);
    equal((await conn.query("INSERT INTO node_unnested (id, name) SELECT * FROM unnest($1::int[], $2::text[])", [ids, ids.map((n) => `n${n}`)])).rowCount, 1000);
    equal((await conn.query("SELECT count(*) AS n, sum(id) AS s, max(name) AS m FROM node_unnested")).rows, [{ n: "1000", s: "499500", m: "n999" }]);
  });

  await check("json_is_read_and_written", async () => {
    await conn.query("CREATE TABLE node_docs (id int, doc jsonb)");
    await conn.query("INSERT INTO node_docs VALUES ($1, $2), ($3, $4)", [1, { a: { b: [10, 20] }, s: "ü" }, 2, JSON.stringify([1, 2])]);
    await answers(conn, [
      ["SELECT doc FROM node_docs ORDER BY id", [], [{ doc: { a: { b: [10, 20] }, s: "ü" } }, { doc: [1, 2] }]],
      ["SELECT doc->'a'->'b'->>1 AS v, doc->>'s' AS s, doc#>>'{a,b,0}' AS p FROM node_docs WHERE id = $1", [1], [{ v: "20", s: "ü", p: "10" }]],
      ["SELECT json_build_object('k', 1, 'l', json_agg(id ORDER BY id)) AS j FROM node_docs", [], [{ j: { k: 1, l: [1, 2] } }]],
      ["SELECT id FROM node_docs WHERE doc @> $1", [{ s: "ü" }], [{ id: 1 }]],
    ]);
  });

  await check("a_series_has_the_type_of_its_bounds", () => answers(conn, [
    ["SELECT n FROM generate_series(1, 2) AS g(n)", [], [{ n: 1 }, { n: 2 }]],
    ["SELECT n FROM generate_series(1::bigint, 2) AS g(n)", [], [{ n: "1" }, { n: "2" }]],
    ["SELECT generate_series(1, 2) AS n", [], [{ n: 1 }, { n: 2 }]],
  ]));

  await check("a_series_is_bounded_by_a_parameter", () => answers(conn, [
    ["SELECT count(*) AS n FROM generate_series(1, $1) AS g(n)", [3], [{ n: "3" }]],
    ["SELECT count(*) AS n FROM generate_series(1, $1::int) AS g(n)", [3], [{ n: "3" }]],
    ["SELECT count(*) AS n FROM generate_series($1::date, $2::date, '1 day') AS g(n)", ["2013-01-01", "2013-01-31"], [{ n: "31" }]],
  ]));

  await check("a_cursor_reads_piece_by_piece", async () => {
    await conn.query("CREATE TABLE node_series (n int)");
    await conn.query(`INSERT INTO node_series SELECT n FROM generate_series(1, ${STREAMED_ROWS}) AS g(n)`);
    const client = await connect();
    const cursor = client.query(new Cursor("SELECT n FROM node_series WHERE n <= $1 ORDER BY n", [1000]));
    equal(await cursor.read(3), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    equal((await cursor.read(500)).length, 500);
    equal((await cursor.read(1000)).at(-1), { n: 1000 });
    equal(await cursor.read(10), []);
    await cursor.close();
    const unread = client.query(new Cursor("SELECT n::int AS n FROM generate_series(1, 1000000) AS g(n)"));
    equal((await unread.read(1)).length, 1);
    await unread.close();
    equal((await client.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
    const wrong = client.query(new Cursor("SELECT 10 / (3 - n) AS v FROM generate_series(1, 5) AS g(n)"));
    await fails((async () => { for (;;) if ((await wrong.read(1)).length === 0) return; })(), { code: "22012" });
    equal((await client.query("SELECT 2 AS a")).rows, [{ a: 2 }]);
  });

  await check("a_stream_of_fifty_thousand_rows", async () => {
    const client = await connect();
    let count = 0;
    let total = 0;
    const stream = client.query(new QueryStream("SELECT n, 'row ' || n AS name FROM node_series WHERE n <= $1 ORDER BY n", [STREAMED_ROWS], { batchSize: 500 }));
    for await (const row of stream) {
      count += 1;
      total += row.n;
      assert.ok(row.name === `row ${row.n}`, row.name);
    }
    equal([count, total], [STREAMED_ROWS, STREAMED_ROWS * (STREAMED_ROWS + 1) / 2]);
  });

  await check("a_stream_given_up_leaves_the_connection_usable", async () => {
    const client = await connect();
    const stream = client.query(new QueryStream("SELECT n::int AS n FROM generate_series(1, 1000000) AS g(n)", [], { batchSize: 10 }));
    for await (const row of stream) if (row.n === 25) break;
    equal((await client.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
  });

  await check("a_cursor_of_sql", async () => {
    const client = await connect();
    await client.query("BEGIN");
    await client.query("DECLARE node_c SCROLL CURSOR FOR SELECT n::int AS n FROM generate_series(1, 10) AS g(n)");
    equal((await client.query("FETCH 2 FROM node_c")).rows, [{ n: 1 }, { n: 2 }]);
    const fetched = await client.query("FETCH FORWARD 3 IN node_c");
    equal([fetched.command, fetched.rowCount], ["FETCH", 3]);
    equal((await client.query("FETCH LAST FROM node_c")).rows, [{ n: 10 }]);
    equal((await client.query("FETCH PRIOR FROM node_c")).rows, [{ n: 9 }]);
    equal((await client.query("FETCH ABSOLUTE 1 FROM node_c")).rows, [{ n: 1 }]);
    await client.query("CLOSE node_c");
    await fails(client.query("FETCH 1 FROM node_c"), { code: "34000" });
    await client.query("ROLLBACK");
  });

  await check("copy_in_and_out", async () => {
    await conn.query("CREATE TABLE node_copied (id int, name text, price numeric(10,2))");
    const lines = Array.from({ length: 20_000 }, (_, n) => `${n}\t${n % 7 === 0 ? "\\N" : `line\\t${n}`}\t${n}.50\n`);
    const into = conn.query(copyStreams.from("COPY node_copied FROM STDIN"));
    await pipeline(Readable.from(lines), into);
    equal(into.rowCount, 20_000);
    equal((await conn.query("SELECT count(*) AS n, count(name) AS names, sum(price) AS s, min(name) AS m FROM node_copied")).rows,
      [{ n: "20000", names: "17142", s: "200000000.00", m: "line\t1" }]);
    const pieces = [];
    const out = conn.query(copyStreams.to("COPY (SELECT * FROM node_copied ORDER BY id) TO STDOUT"));
    await pipeline(out, new Writable({ write(chunk, _, done) { pieces.push(chunk); done(); } }));
    equal(out.rowCount, 20_000);
    assert.ok(Buffer.concat(pieces).toString() === lines.join(""), "what came out is not what went in");
  });

  await check("copy_as_csv_with_a_header", async () => {
    await conn.query("CREATE TABLE node_csv (id int, name text)");
    const into = conn.query(copyStreams.from("COPY node_csv (id, name) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'nil')"));
    await pipeline(Readable.from(["id;name\n1;\"a;", "\"\"b\"\"\"\n2;nil\n", "3;\"two\nlines\"\n"]), into);
    const pieces = [];
    await pipeline(conn.query(copyStreams.to("COPY node_csv TO STDOUT WITH (FORMAT csv, HEADER)")), new Writable({ write(chunk, _, done) { pieces.push(chunk); done(); } }));
    const text = Buffer.concat(pieces).toString();
    equal(text.split("\n")[0], "id,name");
    equal((await conn.query("SELECT * FROM node_csv ORDER BY id")).rows, [{ id: 1, name: 'a;"b"' }, { id: 2, name: null }, { id: 3, name: "two\nlines" }]);
  });

  await check("an_error_in_copy_leaves_nothing", async () => {
    await fails(pipeline(Readable.from(["1\tone\n", "x\ttwo\n"]), conn.query(copyStreams.from("COPY node_csv FROM STDIN"))), { code: "22P02" });
    await fails(pipeline(Readable.from(["1\tone\textra\n"]), conn.query(copyStreams.from("COPY node_csv FROM STDIN"))), { code: "22P04" });
    await fails(pipeline(conn.query(copyStreams.to("COPY nowhere TO STDOUT")), new Writable({ write(_, __, done) { done(); } })), { code: "42P01" });
    equal((await conn.query("SELECT count(*) AS n FROM node_csv")).rows, [{ n: "3" }]);
    const given = conn.query(copyStreams.from("COPY node_csv FROM STDIN"));
    given.write("9\tnine\n");
    await fails(new Promise((resolve, reject) => { given.on("error", reject); given.on("close", resolve); given.destroy(new Error("given up")); }), {});
    equal((await conn.query("SELECT count(*) AS n FROM node_csv")).rows, [{ n: "3" }]);
  });

  await check("an_error_in_copy_tells_where", async () => {
    await fails(pipeline(Readable.from(["1\tone\n", "x\ttwo\n"]), conn.query(copyStreams.from("COPY node_csv FROM STDIN"))),
      { code: "22P02", message: 'invalid input syntax for type integer: "x"', where: 'COPY node_csv, line 2, column id: "x"' });
  });

  await check("errors_have_their_fields", async () => {
    await conn.query("CREATE TABLE node_strict (id int PRIMARY KEY, name varchar(3) NOT NULL)");
    await refuses(conn, [
      ["SELECT id, nothing FROM node_strict", [], { code: "42703", severity: "ERROR", position: "12", message: 'column "nothing" does not exist' }],
      ["SELECT id, nothing FROM node_strict WHERE id = $1", [1], { code: "42703", position: "12" }],
      ["SELECT * FROM nowhere", [], { code: "42P01", position: "15", message: 'relation "nowhere" does not exist' }],
      ["SELEKT 1", [], { code: "42601", position: "1", message: 'syntax error at or near "SELEKT"' }],
      ["SELECT nothing(1)", [], { code: "42883", position: "8", message: "function nothing(integer) does not exist" }],
      ["SELECT 1 / 0", [], { code: "22012", message: "division by zero" }],
      ["SELECT $1::int", ["x"], { code: "22P02", message: 'invalid input syntax for type integer: "x"' }],
      ["CREATE TABLE node_strict (a int)", [], { code: "42P07", message: 'relation "node_strict" already exists' }],
      ["INSERT INTO node_strict VALUES (1, NULL)", [], { code: "23502", table: "node_strict", column: "name", schema: "public", detail: "Failing row contains (1, null)." }],
      ["INSERT INTO node_strict VALUES (1, 'long')", [], { code: "22001", message: "value too long for type character varying(3)" }],
      ["INSERT INTO node_strict VALUES (1, 'a', 3)", [], { code: "42601", message: "INSERT has more expressions than target columns" }],
      ["SELECT $1::int", [1, 2], { code: "08P01" }],
      ["SELECT id FROM node_strict GROUP BY name", [], { code: "42803" }],
      ["SELECT 40000::smallint", [], { code: "22003", message: "smallint out of range" }],
      ["DROP SCHEMA nowhere", [], { code: "3F000", message: 'schema "nowhere" does not exist' }],
    ]);
    equal((await conn.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
  });

  await check("a_start_that_is_refused_tells_why", async () => {
    await fails(connect({ database: "nowhere" }), { code: "3D000", severity: "FATAL", message: 'database "nowhere" does not exist' });
  });

  await check("transactions", async () => {
    const other = await connect();
    await conn.query("CREATE TABLE node_moved (a int)");
    await other.query("BEGIN");
    await other.query("INSERT INTO node_moved VALUES ($1)", [1]);
    equal((await conn.query("SELECT count(*) AS n FROM node_moved")).rows, [{ n: "0" }]);
    await other.query("SAVEPOINT s");
    await fails(other.query("SELECT 1 / 0"), { code: "22012" });
    await fails(other.query("SELECT 1"), { code: "25P02", message: "current transaction is aborted, commands ignored until end of transaction block" });
    await other.query("ROLLBACK TO SAVEPOINT s");
    await other.query("INSERT INTO node_moved VALUES ($1)", [2]);
    equal((await other.query("COMMIT")).command, "COMMIT");
    equal((await conn.query("SELECT a FROM node_moved ORDER BY a")).rows, [{ a: 1 }, { a: 2 }]);
    await other.query("BEGIN");
    await other.query("DELETE FROM node_moved");
    await fails(other.query("SELECT 1 / 0"), { code: "22012" });
    equal((await other.query("COMMIT")).command, "ROLLBACK");
    equal((await conn.query("SELECT count(*) AS n FROM node_moved")).rows, [{ n: "2" }]);
  });

  await check("a_transaction_that_only_reads", async () => {
    const other = await connect();
    await other.query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
    await fails(other.query("DELETE FROM node_moved"), { code: "25006", message: "cannot execute DELETE in a read-only transaction" });
    await other.query("ROLLBACK");
    equal((await conn.query("SELECT count(*) AS n FROM node_moved")).rows, [{ n: "2" }]);
    await other.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
    await fails(other.query("INSERT INTO node_moved VALUES (9)"), { code: "25006" });
  });

  await check("many_statements_at_once_are_one_transaction", async () => {
    await fails(conn.query("INSERT INTO node_moved VALUES (3); SELECT 1 / 0"), { code: "22012" });
    equal((await conn.query("SELECT count(*) AS n FROM node_moved")).rows, [{ n: "2" }]);
  });

  await check("notices_are_told", async () => {
    const client = await connect();
    const notices = [];
    client.on("notice", (notice) => notices.push([notice.severity, notice.code, notice.message]));
    await client.query("DROP TABLE IF EXISTS nowhere");
    await client.query("COMMIT");
    equal(notices, [["NOTICE", "00000", 'table "nowhere" does not exist, skipping'], ["WARNING", "25P01", "there is no transaction in progress"]]);
  });

  await check("a_pool_serves_many", async () => {
    const pool = new pg.Pool({ ...HOW, max: 8, application_name: "node-pool" });
    try {
      const results = await Promise.all(Array.from({ length: 100 }, (_, n) => pool.query("SELECT $1::int AS n, pg_backend_pid() AS pid", [n])));
      equal(results.map((r) => r.rows[0].n), Array.from({ length: 100 }, (_, n) => n));
      const pids = new Set(results.map((r) => r.rows[0].pid));
      assert.ok(pids.size >= 1 && pids.size <= 8, `${pids.size} backends`);
      const client = await pool.connect();
      try {
        await client.query("BEGIN");
        await client.query("SELECT 1");
        await client.query("COMMIT");
      } finally {
        client.release();
      }
      await assert.rejects(pool.query("SELECT 1 / 0"), { code: "22012" });
      equal((await pool.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
    } finally {
      await pool.end();
    }
  });

  await check("sessions_are_listed", async () => {
    const clients = [await connect({ application_name: "node-listed" }), await connect({ application_name: "node-listed" })];
    await clients[1].query("SELECT 1 AS last_one");
    equal((await conn.query("SELECT pid, usename, datname, state FROM pg_stat_activity WHERE application_name = 'node-listed' ORDER BY backend_start")).rows,
      clients.map((client) => ({ pid: client.processID, usename: "admin", datname: "dev", state: "idle" })));
    equal((await conn.query("SELECT query FROM pg_stat_activity WHERE pid = $1", [clients[1].processID])).rows, [{ query: "SELECT 1 AS last_one" }]);
  });

  await check("cancel_ends_a_query", async () => {
    const client = await connect();
    const pid = Number((await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
    equal(pid, client.processID);
    const started = Date.now();
    setTimeout(() => {
      const other = new pg.Client(HOW);
      other.on("error", () => {});
      other.connection.once("connect", () => other.connection.cancel(client.processID, client.secretKey));
      other.connection.connect(HOW.port, HOW.host);
    }, 700);
    await fails(client.query(SLOW), { code: "57014", message: "canceling statement due to user request" });
    assert.ok(Date.now() - started < 10_000);
    equal((await client.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
  });

  await check("cancel_by_another_session", async () => {
    const client = await connect();
    const slow = fails(client.query(SLOW), { code: "57014" });
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    equal((await conn.query("SELECT pg_cancel_backend($1) AS done", [client.processID])).rows, [{ done: true }]);
    await slow;
    const ended = new Promise((resolve) => { client.once("error", resolve); });
    equal((await conn.query("SELECT pg_terminate_backend($1) AS done", [client.processID])).rows, [{ done: true }]);
    equal((await ended).code, "57P01");
  });

  await check("timeouts_end_queries", async () => {
    const client = await connect({ statement_timeout: 300 });
    equal((await client.query("SHOW statement_timeout")).rows, [{ statement_timeout: "300ms" }]);
    await fails(client.query(SLOW), { code: "57014", message: "canceling statement due to statement timeout" });
    const idle = await connect({ idle_in_transaction_session_timeout: 300 });
    const ended = new Promise((resolve) => { idle.once("error", resolve); });
    await idle.query("BEGIN");
    equal((await ended).code, "25P03");
  });

  await check("what_the_start_asks_for_holds", async () => {
    const client = await connect({ application_name: "node-start", options: "-c search_path=pg_catalog -c extra_float_digits=0" });
    equal((await client.query("SELECT current_setting('application_name') AS a, current_setting('search_path') AS s, current_setting('extra_float_digits') AS e")).rows,
      [{ a: "node-start", s: "pg_catalog", e: "0" }]);
    equal((await client.query("SELECT current_database() AS d, current_user AS u, session_user AS v")).rows, [{ d: "dev", u: "admin", v: "admin" }]);
  });

  await check("settings_are_shown_with_their_unit", async () => {
    const client = await connect({ lock_timeout: 1000, statement_timeout: 60_000, idle_in_transaction_session_timeout: 1500 });
    await answers(client, [
      ["SHOW lock_timeout", [], [{ lock_timeout: "1s" }]],
      ["SELECT current_setting('lock_timeout') AS v", [], [{ v: "1s" }]],
      ["SELECT current_setting('statement_timeout') AS v", [], [{ v: "1min" }]],
      ["SELECT current_setting('idle_in_transaction_session_timeout') AS v", [], [{ v: "1500ms" }]],
      ["SELECT setting, unit FROM pg_settings WHERE name = 'statement_timeout'", [], [{ setting: "60000", unit: "ms" }]],
    ]);
  });

  await check("statements_are_sent_without_waiting", async () => {
    const client = await connect({ pipeline: true });
    const found = await Promise.all(Array.from({ length: 200 }, (_, n) => client.query("SELECT $1::int AS n", [n])));
    equal(found.map((r) => r.rows[0].n), Array.from({ length: 200 }, (_, n) => n));
    const settled = await Promise.allSettled([client.query("SELECT 1 AS a"), client.query("SELECT 1 / 0"), client.query("SELECT 3 AS a")]);
    equal(settled.map((a) => (a.status === "fulfilled" ? a.value.rows : a.reason.code)), [[{ a: 1 }], "22012", [{ a: 3 }]]);
  });

  await check("identifiers_and_literals_are_escaped", async () => {
    const name = 'odd "table';
    await conn.query(`CREATE TABLE ${conn.escapeIdentifier(name)} ("Mixed Case" text, "select" int)`);
    await conn.query(`INSERT INTO ${conn.escapeIdentifier(name)} VALUES (${conn.escapeLiteral("it's \\ a 'b'")}, 1)`);
    equal((await conn.query(`SELECT * FROM ${conn.escapeIdentifier(name)}`)).rows, [{ "Mixed Case": "it's \\ a 'b'", select: 1 }]);
  });

  await check("a_large_value_both_ways", async () => {
    const large = "läuft ".repeat(1_000_000);
    const { rows } = await conn.query("SELECT $1::text AS v, length($1) AS n", [large]);
    assert.ok(rows[0].v === large, "the text differs");
    equal(rows[0].n, 6_000_000);
  });

  await check("many_parameters", async () => {
    await conn.query("CREATE TABLE node_wide (a int, b text)");
    const values = Array.from({ length: 10_000 }, (_, n) => [n, `b${n}`]).flat();
    const text = `INSERT INTO node_wide VALUES ${Array.from({ length: 10_000 }, (_, n) => `($${2 * n + 1}, $${2 * n + 2})`).join(", ")}`;
    equal((await conn.query(text, values)).rowCount, 10_000);
    equal((await conn.query("SELECT sum(a) AS s, count(DISTINCT b) AS n FROM node_wide")).rows, [{ s: "49995000", n: "10000" }]);
  });

  await check("listen_and_notify", async () => {
    const listener = await connect();
    const told = new Promise((resolve) => { listener.once("notification", resolve); });
    await listener.query("LISTEN node_news");
    equal((await listener.query("SELECT * FROM pg_listening_channels() AS c")).rows, [{ c: "node_news" }]);
    await conn.query("NOTIFY node_news, 'hello'");
    const message = await Promise.race([told, new Promise((_, reject) => { setTimeout(() => reject(new Error("no notification came")), 5000).unref(); })]);
    equal([message.channel, message.payload], ["node_news", "hello"]);
    const again = new Promise((resolve) => { listener.once("notification", resolve); });
    await conn.query("SELECT pg_notify($1, $2)", ["node_news", "by function"]);
    equal((await again).payload, "by function");
    await listener.query("UNLISTEN *");
  });
}

main().catch((error) => { failed += 1; console.log(`FAIL node_postgres\n${error.stack}`); })
  // At once: a connection that a failed check left behind would hold the process.
  .finally(() => process.exit(failed ? 1 : 0));
