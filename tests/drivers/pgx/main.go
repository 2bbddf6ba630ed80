// pgx against a server: both protocols, values as text and binary, pipelines, COPY, cancel, notifications, errors, pools.
//
// Everything here holds for Postgres 15; TIDEGATE_SQL_PORT says which server is asked.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	"github.com/jackc/pgx/v4/stdlib"
)

// A query without an end, for what is to be cancelled.
const slow = "SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 % 7 = b.m % 11"

var (
	background = context.Background()
	failed     = false
)

// wrong is what a check panics with.
type wrong struct{ text string }

func fail(format string, args ...interface{}) { panic(wrong{fmt.Sprintf(format, args...)}) }

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func equal(found, expected interface{}) {
	if !reflect.DeepEqual(found, expected) {
		fail("expected: %#v\n  found:    %#v", expected, found)
	}
}

// state is the SQLSTATE of an error, or what it is if it has none.
func state(err error) string {
	var told *pgconn.PgError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &told):
		return told.Code
	default:
		return err.Error()
	}
}

// check runs a function, and prints what came of it. A check that hangs would keep the others from running.
func check(name string, body func()) {
	started := time.Now()
	done := make(chan interface{}, 1)
	go func() {
		defer func() { done <- recover() }()
		body()
	}()
	var problem interface{}
	select {
	case problem = <-done:
	case <-time.After(60 * time.Second):
		problem = "no end within a minute"
	}
	if problem == nil {
		fmt.Printf("PASS %s\n  %.2f s\n", name, time.Since(started).Seconds())
		return
	}
	failed = true
	if told, ok := problem.(wrong); ok {
		problem = told.text
	}
	fmt.Printf("FAIL %s\n  %v\n", name, problem)
}

func url() string {
	return fmt.Sprintf("postgres://admin@127.0.0.1:%s/dev?sslmode=disable&connect_timeout=10&timezone=UTC", os.Getenv("TIDEGATE_SQL_PORT"))
}

func connectWith(change func(*pgx.ConnConfig)) *pgx.Conn {
	config, err := pgx.ParseConfig(url())
	must(err)
	if change != nil {
		change(config)
	}
	conn, err := pgx.ConnectConfig(background, config)
	must(err)
	return conn
}

// with opens a connection for the time of a function.
func with(body func(conn *pgx.Conn)) {
	conn := connectWith(nil)
	defer conn.Close(background)
	body(conn)
}

func run(conn *pgx.Conn, text string, args ...interface{}) pgconn.CommandTag {
	tag, err := conn.Exec(background, text, args...)
	if err != nil {
		fail("%s: %v", text, err)
	}
	return tag
}

type querier interface {
	QueryRow(ctx context.Context, text string, args ...interface{}) pgx.Row
}

func number(conn querier, text string, args ...interface{}) (n int64) {
	if err := conn.QueryRow(background, text, args...).Scan(&n); err != nil {
		fail("%s: %v", text, err)
	}
	return n
}

func word(conn querier, text string, args ...interface{}) (s string) {
	if err := conn.QueryRow(background, text, args...).Scan(&s); err != nil {
		fail("%s: %v", text, err)
	}
	return s
}

// -- Values --

// A value of a type: each goes out as a parameter and comes back as a column.
type value struct {
	kind string
	sent interface{}
	// What the server makes of it when asked for text.
	text string
}

func numeric(text string) pgtype.Numeric {
	var n pgtype.Numeric
	must(n.Set(text))
	return n
}

func uuidOf(text string) pgtype.UUID {
	var u pgtype.UUID
	must(u.Set(text))
	return u
}

func day(year int, month time.Month, date int) time.Time {
	return time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
}

var moment = time.Date(2013, 1, 1, 5, 0, 0, 123456000, time.UTC)

// What every warehouse holds.
var plainValues = []value{
	{"bool", true, "t"}, {"bool", false, "f"},
	{"int2", int16(-32768), "-32768"}, {"int4", int32(2147483647), "2147483647"},
	{"int8", int64(-9223372036854775808), "-9223372036854775808"},
	{"float4", float32(1.5), "1.5"}, {"float8", 0.1, "0.1"}, {"float8", 1e-300, "1e-300"},
	{"text", "läuft 🚀", "läuft 🚀"}, {"text", "", ""}, {"varchar(20)", "tab\tnew\nline\\", "tab\tnew\nline\\"},
	{"bpchar(5)", "ab   ", "ab   "}, {"name", "pg_class", "pg_class"},
	{"bytea", []byte{0, 1, 255}, `\x0001ff`}, {"bytea", []byte{}, `\x`},
	{"date", day(2013, 1, 1), "2013-01-01"}, {"date", day(1969, 12, 31), "1969-12-31"},
	{"timestamp", moment, "2013-01-01 05:00:00.123456"}, {"timestamptz", moment, "2013-01-01 05:00:00.123456+00"},
	{"timestamp", day(1900, 1, 1), "1900-01-01 00:00:00"},
	{"time", pgtype.Time{Microseconds: 3723000004, Status: pgtype.Present}, "01:02:03.000004"},
	{"interval", pgtype.Interval{Microseconds: 3723000000, Days: 1, Months: 14, Status: pgtype.Present}, "1 year 2 mons 1 day 01:02:03"},
	{"uuid", uuidOf("12345678-9abc-def0-1234-56789abcdef0"), "12345678-9abc-def0-1234-56789abcdef0"},
	{"oid", pgtype.OIDValue{Uint: 4000000000, Status: pgtype.Present}, "4000000000"},
}

var numericValues = []value{
	{"numeric(10,2)", numeric("12.34"), "12.34"}, {"numeric(10,2)", numeric("-0.05"), "-0.05"},
	{"numeric(38,10)", numeric("-1234567890123456789012345678.0123456789"), "-1234567890123456789012345678.0123456789"},
	{"numeric(38,0)", numeric("99999999999999999999999999999999999999"), "99999999999999999999999999999999999999"},
	{"numeric(6,3)", numeric("0"), "0.000"}, {"numeric(20,8)", numeric("10000.00010000"), "10000.00010000"},
}

var numericWithoutScale = []value{{"numeric", numeric("7.6"), "7.6"}, {"numeric", numeric("100000000000000000000"), "100000000000000000000"}}

var jsonValues = []value{
	{"json", map[string]interface{}{"a": []interface{}{1.0, nil}}, `{"a":[1,null]}`},
	{"jsonb", map[string]interface{}{"b": "x", "a": 1.5}, `{"a": 1.5, "b": "x"}`},
}

var arrayValues = []value{
	{"int4[]", []int32{1, -2, 3}, "{1,-2,3}"}, {"int8[]", []int64{}, "{}"}, {"int2[]", []int16{7}, "{7}"},
	{"text[]", []string{"a", `b"c`, "", "d,e", "NULL"}, `{a,"b\"c","","d,e","NULL"}`}, {"varchar[]", []string{"x"}, "{x}"},
	{"bool[]", []bool{true, false}, "{t,f}"}, {"float8[]", []float64{0.5, 1.5}, "{0.5,1.5}"}, {"float4[]", []float32{0.25}, "{0.25}"},
	{"timestamptz[]", []time.Time{moment}, `{"2013-01-01 05:00:00.123456+00"}`}, {"date[]", []time.Time{day(2013, 1, 1)}, "{2013-01-01}"},
	{"bytea[]", [][]byte{{0, 255}}, `{"\\x00ff"}`},
}

var twoDimensions = []value{{"int4[]", [][]int32{{1, 2}, {3, 4}}, "{{1,2},{3,4}}"}, {"uuid[]", [][16]byte{{1}}, "{01000000-0000-0000-0000-000000000000}"}}

var farDates = []value{
	{"date", pgtype.Date{InfinityModifier: pgtype.Infinity, Status: pgtype.Present}, "infinity"},
	{"timestamptz", pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Status: pgtype.Present}, "-infinity"},
	{"date", day(9999, 12, 31), "9999-12-31"}, {"date", day(1, 1, 1), "0001-01-01"},
}

// amount is a number whatever its scale.
func amount(n pgtype.Numeric) *big.Rat {
	if n.Int == nil {
		fail("no number: %v", n)
	}
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n.Exp, -n.Exp))), nil))
	if n.Exp < 0 {
		power.Inv(power)
	}
	return power.Mul(power, new(big.Rat).SetInt(n.Int))
}

func max(a, b int32) int32 {
	if a > b {
		return a
	}
	return b
}

// same compares what was read with what was sent: times by their moment, numbers by their amount.
func same(found, sent interface{}) bool {
	switch sent := sent.(type) {
	case time.Time:
		return found.(time.Time).Equal(sent)
	case []time.Time:
		other := found.([]time.Time)
		for i := range other {
			if !other[i].Equal(sent[i]) {
				return false
			}
		}
		return len(other) == len(sent)
	case pgtype.Numeric:
		other := found.(pgtype.Numeric)
		return amount(other).Cmp(amount(sent)) == 0
	default:
		return reflect.DeepEqual(found, sent)
	}
}

// bothWays tells which values did not come back as they were sent. Formats: of the result, by pgx's codes.
func bothWays(conn *pgx.Conn, values []value, options ...interface{}) {
	var problems []string
	for _, v := range values {
		target := reflect.New(reflect.TypeOf(v.sent))
		err := conn.QueryRow(background, fmt.Sprintf("SELECT ($1)::%s AS v", v.kind), append(options, v.sent)...).Scan(target.Interface())
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s %.60v: %v", v.kind, v.text, err))
		} else if found := target.Elem().Interface(); !same(found, v.sent) {
			problems = append(problems, fmt.Sprintf("%s %.60v: %.80v", v.kind, v.text, found))
		}
	}
	if len(problems) > 0 {
		fail("%s", strings.Join(problems, "\n  "))
	}
}

// asText sends each value as text, reads it as text, reads it as binary, and sends that back to be read as text.
func asText(conn *pgx.Conn, values []value) {
	var problems []string
	ask := func(v value, sent []byte, sentAs, readAs int16) []byte {
		text := fmt.Sprintf("SELECT $1::%s AS v", v.kind)
		result := conn.PgConn().ExecParams(background, text, [][]byte{sent}, nil, []int16{sentAs}, []int16{readAs}).Read()
		if result.Err != nil {
			problems = append(problems, fmt.Sprintf("%s %.60v (sent as %d, read as %d): %v", v.kind, v.text, sentAs, readAs, result.Err))
			return nil
		}
		return result.Rows[0][0]
	}
	for _, v := range values {
		if found := ask(v, []byte(v.text), 0, 0); found != nil && string(found) != v.text {
			problems = append(problems, fmt.Sprintf("%s %.60v: %.80s", v.kind, v.text, found))
		}
		binary := ask(v, []byte(v.text), 0, 1)
		if binary == nil {
			continue
		}
		if found := ask(v, binary, 1, 0); found != nil && string(found) != v.text {
			problems = append(problems, fmt.Sprintf("%s %.60v by way of binary: %.80s", v.kind, v.text, found))
		}
	}
	if len(problems) > 0 {
		fail("%s", strings.Join(problems, "\n  "))
	}
}

func simply(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true }

// checksOfValues makes checks of a list: each format, and a table.
func checksOfValues(name string, values []value) {
	check(name+"_binary", func() {
		with(func(conn *pgx.Conn) { bothWays(conn, values, pgx.QueryResultFormats{pgx.BinaryFormatCode}) })
	})
	check(name+"_read_as_text", func() {
		with(func(conn *pgx.Conn) { bothWays(conn, values, pgx.QueryResultFormats{pgx.TextFormatCode}) })
	})
	check(name+"_texts", func() { with(func(conn *pgx.Conn) { asText(conn, values) }) })
	check(name+"_through_a_table", func() { with(func(conn *pgx.Conn) { throughTable(conn, values) }) })
}

// inSimpleQueries makes a check of a list whose values pgx can write as literals.
func inSimpleQueries(name string, values []value) {
	check(name+"_simple_protocol", func() {
		conn := connectWith(simply)
		defer conn.Close(background)
		bothWays(conn, values)
	})
}

func throughTable(conn *pgx.Conn, values []value) {
	var columns, marks []string
	var sent, targets []interface{}
	for n, v := range values {
		columns = append(columns, fmt.Sprintf("c%d %s", n, v.kind))
		marks = append(marks, fmt.Sprintf("$%d", n+1))
		sent = append(sent, v.sent)
		targets = append(targets, reflect.New(reflect.TypeOf(v.sent)).Interface())
	}
	run(conn, "DROP TABLE IF EXISTS through")
	run(conn, "CREATE TABLE through ("+strings.Join(columns, ", ")+")")
	equal(run(conn, "INSERT INTO through VALUES ("+strings.Join(marks, ", ")+")", sent...).RowsAffected(), int64(1))
	must(conn.QueryRow(background, "SELECT * FROM through").Scan(targets...))
	for n, v := range values {
		if found := reflect.ValueOf(targets[n]).Elem().Interface(); !same(found, v.sent) {
			fail("%s %v: %v", v.kind, v.text, found)
		}
	}
}

func nulls() {
	with(func(conn *pgx.Conn) {
		for _, kind := range []string{"bool", "int2", "int4", "int8", "float8", "numeric", "text", "bytea", "date", "timestamptz", "interval", "uuid", "json", "int4[]"} {
			for _, format := range []int16{pgx.TextFormatCode, pgx.BinaryFormatCode} {
				rows, err := conn.Query(background, fmt.Sprintf("SELECT $1::%s", kind), pgx.QueryResultFormats{format}, nil)
				must(err)
				if !rows.Next() {
					fail("%s: %v", kind, rows.Err())
				}
				found, err := rows.Values()
				must(err)
				equal(found, []interface{}{nil})
				rows.Close()
			}
		}
		var holes pgtype.TextArray
		must(conn.QueryRow(background, "SELECT ARRAY['a', NULL, 'c']").Scan(&holes))
		equal(holes.Elements[1].Status, pgtype.Null)
	})
}

func natives() {
	with(func(conn *pgx.Conn) {
		rows, err := conn.Query(background, `SELECT 1::int2, 2, 3::int8, 0.5::float4, 1.5::float8, 'x'::text, true, '2013-01-01'::date,
			ARRAY[1, 2], NULL::int`)
		must(err)
		rows.Next()
		found, err := rows.Values()
		must(err)
		rows.Close()
		equal(found[:8], []interface{}{int16(1), int32(2), int64(3), float32(0.5), 1.5, "x", true, day(2013, 1, 1)})
		equal(found[8].(pgtype.Int4Array).Elements[1].Int, int32(2))
		equal(found[9], nil)
	})
}

func described() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS described")
		run(conn, "CREATE TABLE described (a int, b varchar(10), c numeric(10,2), d timestamptz)")
		rows, err := conn.Query(background, "SELECT a, b, c, d, a + 1 AS e FROM described")
		must(err)
		var found []string
		for _, f := range rows.FieldDescriptions() {
			found = append(found, fmt.Sprintf("%s %d %d %d %v %d", f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, f.TableOID != 0, f.TableAttributeNumber))
		}
		rows.Close()
		equal(found, []string{"a 23 4 -1 true 1", "b 1043 -1 14 true 2", "c 1700 -1 655366 true 3", "d 1184 8 -1 true 4", "e 23 4 -1 false 0"})
		equal(number(conn, "SELECT count(*) FROM pg_class WHERE oid = $1 AND relname = 'described'", tableOf(conn, "described")), int64(1))
	})
}

func tableOf(conn *pgx.Conn, name string) uint32 {
	rows, err := conn.Query(background, "SELECT a FROM "+name)
	must(err)
	defer rows.Close()
	return rows.FieldDescriptions()[0].TableOID
}

func ofRecords() {
	with(func(conn *pgx.Conn) {
		var a int32
		var b string
		must(conn.QueryRow(background, "SELECT ROW(1, 'x'::text)", pgx.QueryResultFormats{pgx.BinaryFormatCode}).Scan(pgtype.CompositeFields{&a, &b}))
		equal([]interface{}{a, b}, []interface{}{int32(1), "x"})
	})
}

// -- Protocols --

func parameters() {
	with(func(conn *pgx.Conn) {
		for name, expected := range map[string]string{"server_encoding": "UTF8", "client_encoding": "UTF8", "integer_datetimes": "on",
			"standard_conforming_strings": "on", "TimeZone": "UTC", "DateStyle": "ISO, MDY", "is_superuser": "on", "session_authorization": "admin"} {
			if found := conn.PgConn().ParameterStatus(name); found != expected {
				fail("%s: %q", name, found)
			}
		}
		equal(conn.PgConn().PID() > 0, true)
		equal(number(conn, "SELECT pg_backend_pid()"), int64(conn.PgConn().PID()))
		run(conn, "SET application_name = 'renamed'")
		equal(conn.PgConn().ParameterStatus("application_name"), "renamed")
	})
}

func settingsOfTheConnection() {
	conn := connectWith(func(config *pgx.ConnConfig) {
		config.RuntimeParams["application_name"] = "gophers"
		config.RuntimeParams["search_path"] = "information_schema"
		config.RuntimeParams["options"] = "-c statement_timeout=4321"
	})
	defer conn.Close(background)
	equal(word(conn, "SELECT current_setting('application_name')"), "gophers")
	equal(word(conn, "SHOW search_path"), "information_schema")
	equal(word(conn, "SHOW statement_timeout"), "4321ms")
}

func connectionsThatAreRefused() {
	config, err := pgx.ParseConfig(url())
	must(err)
	config.Database = "nowhere"
	_, err = pgx.ConnectConfig(background, config)
	equal(state(err), "3D000")
	config.Database, config.User = "dev", "nobody_at_all"
	_, err = pgx.ConnectConfig(background, config)
	equal(strings.HasPrefix(state(err), "28"), true)
}

func severalStatements() {
	with(func(conn *pgx.Conn) {
		results, err := conn.PgConn().Exec(background, "SELECT 1 AS a; SELECT 'x', NULL; CREATE TEMP TABLE several (a int); INSERT INTO several VALUES (1), (2); SELECT count(*) FROM several").ReadAll()
		must(err)
		var tags []string
		for _, r := range results {
			tags = append(tags, r.CommandTag.String())
		}
		equal(tags, []string{"SELECT 1", "SELECT 1", "CREATE TABLE", "INSERT 0 2", "SELECT 1"})
		equal(string(results[4].Rows[0][0]), "2")
		equal(results[1].Rows[0][1] == nil, true)
		results, err = conn.PgConn().Exec(background, "INSERT INTO several VALUES (3); SELECT 1 / 0; INSERT INTO several VALUES (4)").ReadAll()
		equal(state(err), "22012")
		equal(number(conn, "SELECT count(*) FROM several"), int64(2)) // they are one transaction
	})
}

func emptyQueries() {
	with(func(conn *pgx.Conn) {
		for _, text := range []string{"", ";", "-- nothing", "/* nothing */"} {
			results, err := conn.PgConn().Exec(background, text).ReadAll()
			must(err)
			equal(len(results), 0)
			equal(run(conn, text).String(), "")
		}
	})
}

func tags() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS tagged")
		for _, c := range [][2]string{
			{"CREATE TABLE tagged (a int)", "CREATE TABLE"}, {"INSERT INTO tagged SELECT generate_series(1, 10)", "INSERT 0 10"},
			{"UPDATE tagged SET a = a + 1 WHERE a > 5", "UPDATE 5"}, {"DELETE FROM tagged WHERE a = 1", "DELETE 1"}, {"SELECT * FROM tagged", "SELECT 9"},
			{"TABLE tagged", "SELECT 9"}, {"VALUES (1), (2)", "SELECT 2"}, {"CREATE TABLE tagged_again AS SELECT * FROM tagged", "SELECT 9"},
			{"BEGIN", "BEGIN"}, {"SAVEPOINT s", "SAVEPOINT"}, {"RELEASE s", "RELEASE"}, {"ROLLBACK", "ROLLBACK"}, {"SET timezone = 'UTC'", "SET"},
			{"SHOW timezone", "SHOW"}, {"CREATE VIEW tagged_view AS SELECT 1 AS a", "CREATE VIEW"}, {"DROP VIEW tagged_view", "DROP VIEW"},
			{"TRUNCATE tagged", "TRUNCATE TABLE"}, {"COMMENT ON TABLE tagged IS 'x'", "COMMENT"}, {"GRANT SELECT ON tagged TO public", "GRANT"},
			{"DROP TABLE tagged, tagged_again", "DROP TABLE"}, {"DISCARD ALL", "DISCARD ALL"},
		} {
			equal(run(conn, c[0], pgx.QuerySimpleProtocol(true)).String(), c[1])
		}
	})
}

func parametersOfManyKinds() {
	with(func(conn *pgx.Conn) {
		equal(number(conn, "SELECT count(*) FROM generate_series(1, 10) AS g(n) WHERE n = ANY($1)", []int64{2, 4, 40}), int64(2))
		equal(number(conn, "SELECT n FROM generate_series(1, 10) AS g(n) ORDER BY n LIMIT $1 OFFSET $2", 1, 3), int64(4))
		equal(word(conn, "SELECT $1 || 'x'", "a"), "ax")
		equal(word(conn, "SELECT CASE WHEN $1 THEN $2 ELSE 'no' END", true, "yes"), "yes")
		equal(number(conn, "SELECT coalesce($1, 7)", nil), int64(7))
		equal(word(conn, "SELECT ($1::timestamptz + $2::interval)::text", moment, time.Hour), "2013-01-01 06:00:00.123456+00")
		equal(number(conn, "SELECT length($1)", strings.Repeat("ä", 500000)), int64(500000))
		equal(number(conn, "SELECT $1::int + $1::int", 21), int64(42))
		equal(number(conn, "SELECT count(*) WHERE $1::text IN ('a', 'b') AND $2 BETWEEN 1 AND 3", "b", 2), int64(1))
	})
}

func manyParameters() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS many")
		run(conn, "CREATE TABLE many (a int, b text)")
		var marks []string
		var args []interface{}
		for n := 0; n < 2000; n++ {
			marks = append(marks, fmt.Sprintf("($%d, $%d)", 2*n+1, 2*n+2))
			args = append(args, n, fmt.Sprint(n))
		}
		equal(run(conn, "INSERT INTO many VALUES "+strings.Join(marks, ", "), args...).RowsAffected(), int64(2000))
		equal(number(conn, "SELECT sum(a) FROM many WHERE a::text = b"), int64(1999000))
	})
}

func preparedStatements() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS prepared")
		run(conn, "CREATE TABLE prepared (a int, b text, c numeric(10,2))")
		told, err := conn.Prepare(background, "put", "INSERT INTO prepared VALUES ($1, $2, $3)")
		must(err)
		equal(told.ParamOIDs, []uint32{23, 25, 1700})
		equal(len(told.Fields), 0)
		for n := 0; n < 20; n++ {
			equal(run(conn, "put", n, fmt.Sprint(n), numeric("1.25")).RowsAffected(), int64(1))
		}
		told, err = conn.Prepare(background, "get", "SELECT b, c, a + $2::int8 AS more FROM prepared WHERE a = $1")
		must(err)
		equal(told.ParamOIDs, []uint32{23, 20})
		equal([]interface{}{string(told.Fields[2].Name), told.Fields[0].DataTypeOID, told.Fields[1].DataTypeOID, told.Fields[2].DataTypeOID}, []interface{}{"more", uint32(25), uint32(1700), uint32(20)})
		var b string
		var c float64
		var more int64
		must(conn.QueryRow(background, "get", 7, 100).Scan(&b, &c, &more))
		equal([]interface{}{b, c, more}, []interface{}{"7", 1.25, int64(107)})
		must(conn.Deallocate(background, "get"))
		equal(state(conn.QueryRow(background, "EXECUTE get(1, 2)").Scan(&b)), "26000")
		_, err = conn.Prepare(background, "broken", "SELECT nothing FROM prepared")
		equal(state(err), "42703")
		equal(number(conn, "SELECT count(*) FROM prepared"), int64(20))
	})
}

func preparedStatementsAreListed() {
	with(func(conn *pgx.Conn) {
		_, err := conn.Prepare(background, "listed", "SELECT $1::int + 1")
		must(err)
		equal(word(conn, "SELECT statement || ' ' || parameter_types::text || ' ' || from_sql FROM pg_prepared_statements WHERE name = 'listed'"), "SELECT $1::int + 1 {integer} false")
	})
}

func preparedTwice() {
	with(func(conn *pgx.Conn) {
		_, err := conn.PgConn().Prepare(background, "twice", "SELECT 1", nil)
		must(err)
		_, err = conn.PgConn().Prepare(background, "twice", "SELECT 2", nil)
		equal(state(err), "42P05")
	})
}

func cacheOfDescriptions() {
	conn := connectWith(func(config *pgx.ConnConfig) {
		config.BuildStatementCache = nil // every query is parsed, described and bound anew
	})
	defer conn.Close(background)
	for n := 0; n < 10; n++ {
		equal(number(conn, "SELECT $1::int + 1", n), int64(n+1))
	}
}

func preparedAndThenChanged() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS changed")
		run(conn, "CREATE TABLE changed (a int)")
		_, err := conn.Prepare(background, "all", "SELECT * FROM changed")
		must(err)
		run(conn, "all")
		run(conn, "ALTER TABLE changed ADD COLUMN b text")
		_, err = conn.Exec(background, "all")
		equal(state(err), "0A000")
		run(conn, "DROP TABLE changed")
		_, err = conn.Exec(background, "all")
		equal(state(err), "42P01")
	})
}

func bigResults() {
	with(func(conn *pgx.Conn) {
		rows, err := conn.Query(background, "SELECT n, repeat('x', 10) FROM generate_series(1, 200000) AS g(n)")
		must(err)
		var count, total int64
		for rows.Next() {
			var n int64
			var s string
			must(rows.Scan(&n, &s))
			count, total = count+int64(len(s)/10), total+n
		}
		must(rows.Err())
		equal([]int64{count, total}, []int64{200000, 200000 * 200001 / 2})
		equal(rows.CommandTag().String(), "SELECT 200000")
	})
}

func resultsClosedEarly() {
	with(func(conn *pgx.Conn) {
		rows, err := conn.Query(background, "SELECT n FROM generate_series(1, 100000) AS g(n)")
		must(err)
		equal(rows.Next(), true)
		rows.Close()
		equal(number(conn, "SELECT 7"), int64(7))
	})
}

func limitedRows() {
	with(func(conn *pgx.Conn) {
		tx, err := conn.Begin(background)
		must(err)
		_, err = tx.Exec(background, "DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 10) AS g(n)")
		must(err)
		rows, err := tx.Query(background, "FETCH 3 FROM c")
		must(err)
		var found []int32
		for rows.Next() {
			var n int32
			must(rows.Scan(&n))
			found = append(found, n)
		}
		must(rows.Err())
		equal(found, []int32{1, 2, 3})
		equal(number(tx, "FETCH NEXT FROM c"), int64(4))
		must(tx.Commit(background))
		_, err = conn.Exec(background, "FETCH c")
		equal(state(err), "34000")
	})
}

// -- Pipelines --

func batches() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS batched")
		run(conn, "CREATE TABLE batched (a int)")
		batch := &pgx.Batch{}
		for n := 0; n < 100; n++ {
			batch.Queue("INSERT INTO batched VALUES ($1)", n)
			batch.Queue("SELECT $1::int * 2", n)
		}
		batch.Queue("SELECT count(*) FROM batched")
		results := conn.SendBatch(background, batch)
		for n := 0; n < 100; n++ {
			tag, err := results.Exec()
			must(err)
			equal(tag.String(), "INSERT 0 1")
			var twice int
			must(results.QueryRow().Scan(&twice))
			equal(twice, 2*n)
		}
		var count int
		must(results.QueryRow().Scan(&count)) // what came before in the batch is seen
		equal(count, 100)
		must(results.Close())
	})
}

func batchesThatFail() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS undone")
		run(conn, "CREATE TABLE undone (a int)")
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO undone VALUES (1)")
		batch.Queue("SELECT 1 / $1::int", 0)
		batch.Queue("INSERT INTO undone VALUES (2)")
		results := conn.SendBatch(background, batch)
		_, err := results.Exec()
		must(err)
		_, err = results.Exec()
		equal(state(err), "22012")
		_, err = results.Exec()
		equal(err != nil, true)
		results.Close()
		equal(number(conn, "SELECT count(*) FROM undone"), int64(0)) // a pipeline is a transaction
	})
}

func batchesInABlock() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS blocked")
		run(conn, "CREATE TABLE blocked (a int)")
		tx, err := conn.Begin(background)
		must(err)
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO blocked VALUES ($1)", 1)
		batch.Queue("INSERT INTO blocked VALUES ($1)", 2)
		must(tx.SendBatch(background, batch).Close())
		equal(number(tx, "SELECT count(*) FROM blocked"), int64(2))
		must(tx.Rollback(background))
		equal(number(conn, "SELECT count(*) FROM blocked"), int64(0))
	})
}

func batchesOfTheSimpleProtocol() {
	conn := connectWith(simply)
	defer conn.Close(background)
	batch := &pgx.Batch{}
	batch.Queue("SELECT $1::int", 1)
	batch.Queue("SELECT $1::text", "it's")
	results := conn.SendBatch(background, batch)
	var n int
	var s string
	must(results.QueryRow().Scan(&n))
	must(results.QueryRow().Scan(&s))
	must(results.Close())
	equal([]interface{}{n, s}, []interface{}{1, "it's"})
}

// -- COPY --

const copiedRows = 20000

func copyFrom() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS copied")
		run(conn, `CREATE TABLE copied (a int, b int8, c float8, d numeric(12,3), e text, f bool, g date, h timestamp, i timestamptz,
			j bytea, k uuid, l varchar(10), m int2, n float4)`)
		full := []interface{}{nil, int64(1) << 62, 1e-300, numeric("-123456.789"), "é\t\n\\N", true, day(2024, 2, 29), moment, moment,
			[]byte{0, 255}, uuidOf("12345678-9abc-def0-1234-56789abcdef0"), "ten chars!", int16(-5), float32(0.25)}
		source := pgx.CopyFromSlice(copiedRows, func(n int) ([]interface{}, error) {
			row := append([]interface{}{}, full...)
			if n%2 == 1 {
				row = make([]interface{}, len(full))
			}
			row[0] = n
			return row, nil
		})
		count, err := conn.CopyFrom(background, pgx.Identifier{"copied"}, strings.Split("abcdefghijklmn", ""), source)
		must(err)
		equal(count, int64(copiedRows))
		equal(number(conn, `SELECT count(*) FROM copied WHERE b = 4611686018427387904 AND c = 1e-300::float8 AND d = -123456.789
			AND e = E'é\t\n\\N' AND f AND g = '2024-02-29' AND h = '2013-01-01 05:00:00.123456' AND i = '2013-01-01 05:00:00.123456+00'
			AND j = '\x00ff' AND k = '12345678-9abc-def0-1234-56789abcdef0' AND l = 'ten chars!' AND m = -5 AND n = 0.25`), int64(copiedRows/2))
		equal(number(conn, "SELECT sum(a) FROM copied WHERE b IS NULL AND e IS NULL AND k IS NULL"), int64(copiedRows/2*copiedRows/2))
	})
}

func copyFromThatFails() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS halted")
		run(conn, "CREATE TABLE halted (a int NOT NULL)")
		halt := errors.New("halt")
		source := pgx.CopyFromSlice(1000, func(n int) ([]interface{}, error) {
			if n == 900 {
				return nil, halt
			}
			return []interface{}{n}, nil
		})
		_, err := conn.CopyFrom(background, pgx.Identifier{"halted"}, []string{"a"}, source)
		equal(err != nil, true)
		_, err = conn.CopyFrom(background, pgx.Identifier{"halted"}, []string{"a"}, pgx.CopyFromRows([][]interface{}{{1}, {nil}}))
		equal(state(err), "23502")
		_, err = conn.CopyFrom(background, pgx.Identifier{"halted"}, []string{"nothing"}, pgx.CopyFromRows([][]interface{}{{1}}))
		equal(state(err), "42703")
		_, err = conn.CopyFrom(background, pgx.Identifier{"nowhere"}, []string{"a"}, pgx.CopyFromRows([][]interface{}{{1}}))
		equal(state(err), "42P01")
		equal(number(conn, "SELECT count(*) FROM halted"), int64(0))
	})
}

func copyFromInABlock() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS copied_back")
		run(conn, `CREATE TABLE copied_back ("Odd Name" int, b text[])`)
		tx, err := conn.Begin(background)
		must(err)
		count, err := tx.CopyFrom(background, pgx.Identifier{"public", "copied_back"}, []string{"Odd Name", "b"}, pgx.CopyFromRows([][]interface{}{{1, []string{"x", "y"}}}))
		must(err)
		equal(count, int64(1))
		equal(word(tx, `SELECT b[2] FROM copied_back WHERE "Odd Name" = 1`), "y")
		must(tx.Rollback(background))
		equal(number(conn, "SELECT count(*) FROM copied_back"), int64(0))
	})
}

func copiesAsText() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS texts")
		run(conn, "CREATE TABLE texts (a int, b text)")
		raw := conn.PgConn()
		tag, err := raw.CopyFrom(background, strings.NewReader("a,b\n1,\"x,y\"\n2,\n"), "COPY texts FROM STDIN (FORMAT csv, HEADER)")
		must(err)
		equal(tag.String(), "COPY 2")
		var out bytes.Buffer
		tag, err = raw.CopyTo(background, &out, "COPY (SELECT * FROM texts ORDER BY a) TO STDOUT")
		must(err)
		equal([]string{tag.String(), out.String()}, []string{"COPY 2", "1\tx,y\n2\t\\N\n"})
		out.Reset()
		_, err = raw.CopyTo(background, &out, "COPY (SELECT 1::int AS a) TO STDOUT (FORMAT binary)")
		must(err)
		equal(out.Bytes(), append([]byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 255, 255))
		_, err = raw.CopyFrom(background, strings.NewReader("x\ty\n"), "COPY texts FROM STDIN")
		equal(state(err), "22P02")
		_, err = raw.CopyFrom(background, strings.NewReader("1\n"), "COPY texts FROM STDIN")
		equal(state(err), "22P04")
	})
}

// -- Transactions --

func transactions() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS moved")
		run(conn, "CREATE TABLE moved (a int)")
		equal(conn.PgConn().TxStatus(), byte('I'))
		must(conn.BeginFunc(background, func(tx pgx.Tx) error {
			equal(conn.PgConn().TxStatus(), byte('T'))
			_, err := tx.Exec(background, "INSERT INTO moved VALUES (1)")
			return err
		}))
		given := errors.New("given up")
		err := conn.BeginFunc(background, func(tx pgx.Tx) error {
			_, err := tx.Exec(background, "INSERT INTO moved VALUES (2)")
			must(err)
			return given
		})
		equal(err, given)
		equal(number(conn, "SELECT sum(a) FROM moved"), int64(1))
	})
}

func savepoints() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS nested")
		run(conn, "CREATE TABLE nested (a int)")
		put := func(tx pgx.Tx, n int) {
			_, err := tx.Exec(background, "INSERT INTO nested VALUES ($1)", n)
			must(err)
		}
		outer, err := conn.Begin(background)
		must(err)
		put(outer, 1)
		inner, err := outer.Begin(background) // a savepoint
		must(err)
		put(inner, 2)
		innermost, err := inner.Begin(background)
		must(err)
		put(innermost, 4)
		_, err = innermost.Exec(background, "SELECT 1 / 0")
		equal(state(err), "22012")
		equal(conn.PgConn().TxStatus(), byte('E'))
		must(innermost.Rollback(background))
		must(inner.Commit(background))
		another, err := outer.Begin(background)
		must(err)
		put(another, 8)
		must(another.Rollback(background))
		put(outer, 16)
		must(outer.Commit(background))
		equal(number(conn, "SELECT sum(a) FROM nested"), int64(19))
	})
}

func transactionsThatFailed() {
	with(func(conn *pgx.Conn) {
		tx, err := conn.Begin(background)
		must(err)
		_, err = tx.Exec(background, "SELECT * FROM nowhere")
		equal(state(err), "42P01")
		_, err = tx.Exec(background, "SELECT 1")
		equal(state(err), "25P02")
		equal(tx.Commit(background), pgx.ErrTxCommitRollback)
		equal(conn.PgConn().TxStatus(), byte('I'))
	})
}

func kindsOfTransactions() {
	with(func(conn *pgx.Conn) {
		tx, err := conn.BeginTx(background, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead})
		must(err)
		equal(word(tx, "SHOW transaction_read_only"), "on")
		equal(word(tx, "SHOW transaction_isolation"), "repeatable read")
		_, err = tx.Exec(background, "CREATE TABLE only_read (a int)")
		equal(state(err), "25006")
		must(tx.Rollback(background))
		tx, err = conn.BeginTx(background, pgx.TxOptions{AccessMode: pgx.ReadWrite, DeferrableMode: pgx.NotDeferrable})
		must(err)
		equal(word(tx, "SHOW transaction_read_only"), "off")
		must(tx.Rollback(background))
	})
}

func serializable() {
	with(func(conn *pgx.Conn) {
		tx, err := conn.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable})
		must(err)
		equal(word(tx, "SHOW transaction_isolation"), "serializable")
		must(tx.Rollback(background))
	})
}

func snapshots() {
	with(func(reader *pgx.Conn) {
		run(reader, "DROP TABLE IF EXISTS watched")
		run(reader, "CREATE TABLE watched (a int)")
		tx, err := reader.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		must(err)
		equal(number(tx, "SELECT count(*) FROM watched"), int64(0))
		with(func(writer *pgx.Conn) { run(writer, "INSERT INTO watched VALUES (1)") })
		equal(number(tx, "SELECT count(*) FROM watched"), int64(0))
		must(tx.Commit(background))
		equal(number(reader, "SELECT count(*) FROM watched"), int64(1))
	})
}

// -- Cancel, time limits, notifications --

func cancelRequests() {
	with(func(conn *pgx.Conn) {
		time.AfterFunc(500*time.Millisecond, func() { _ = conn.PgConn().CancelRequest(background) })
		started := time.Now()
		_, err := conn.Exec(background, slow)
		equal(state(err), "57014")
		equal(time.Since(started) < 10*time.Second, true)
		equal(number(conn, "SELECT 1"), int64(1))
	})
}

// running counts the sessions of a name that are at work.
func running(conn *pgx.Conn, name string) int64 {
	return number(conn, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'", name)
}

func contextsThatEnd() {
	with(func(watcher *pgx.Conn) {
		conn := connectWith(func(config *pgx.ConnConfig) { config.RuntimeParams["application_name"] = "hurried" })
		limited, cancel := context.WithTimeout(background, 500*time.Millisecond)
		defer cancel()
		_, err := conn.Exec(limited, slow)
		equal(errors.Is(err, context.DeadlineExceeded), true)
		equal(conn.IsClosed(), true) // pgx gives up the connection, and asks the server to end the query
		for n := 0; running(watcher, "hurried") > 0; n++ {
			if n > 50 {
				fail("the query still runs")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func sessionsAreSeen() {
	with(func(watcher *pgx.Conn) {
		conn := connectWith(func(config *pgx.ConnConfig) { config.RuntimeParams["application_name"] = "seen" })
		defer conn.Close(background)
		done := make(chan error)
		go func() {
			_, err := conn.Exec(background, slow)
			done <- err
		}()
		for n := 0; running(watcher, "seen") == 0 && n < 50; n++ {
			time.Sleep(100 * time.Millisecond)
		}
		equal(running(watcher, "seen"), int64(1))
		var ended bool
		must(watcher.QueryRow(background, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'seen'").Scan(&ended))
		equal(ended, true)
		equal(state(<-done), "57014")
	})
}

func statementTimeout() {
	with(func(conn *pgx.Conn) {
		run(conn, "SET statement_timeout = '300ms'")
		_, err := conn.Exec(background, slow)
		equal(state(err), "57014")
		run(conn, "RESET statement_timeout")
		equal(number(conn, "SELECT 1"), int64(1))
	})
}

func terminated() {
	with(func(watcher *pgx.Conn) {
		conn := connectWith(nil)
		run(watcher, "SELECT pg_terminate_backend($1)", int32(conn.PgConn().PID()))
		time.Sleep(200 * time.Millisecond)
		_, err := conn.Exec(background, "SELECT 1")
		equal(state(err), "57P01")
		equal(conn.IsClosed(), true)
	})
}

func notifications() {
	with(func(listener *pgx.Conn) {
		with(func(sender *pgx.Conn) {
			run(listener, "LISTEN news")
			run(sender, "NOTIFY news, 'one'")
			run(sender, "SELECT pg_notify($1, $2)", "news", "it's two")
			for _, expected := range []string{"one", "it's two"} {
				limited, cancel := context.WithTimeout(background, 5*time.Second)
				told, err := listener.WaitForNotification(limited)
				cancel()
				must(err)
				equal(*told, pgconn.Notification{PID: sender.PgConn().PID(), Channel: "news", Payload: expected})
			}
			limited, cancel := context.WithTimeout(background, 300*time.Millisecond)
			defer cancel()
			_, err := listener.WaitForNotification(limited)
			equal(errors.Is(err, context.DeadlineExceeded), true)
		})
	})
}

func notificationsBetweenQueries() {
	heard := make(chan string, 10)
	listener := connectWith(func(config *pgx.ConnConfig) {
		config.OnNotification = func(_ *pgconn.PgConn, told *pgconn.Notification) { heard <- told.Payload }
	})
	defer listener.Close(background)
	run(listener, `LISTEN "Mixed Case"`)
	equal(word(listener, "SELECT pg_listening_channels()"), "Mixed Case")
	with(func(sender *pgx.Conn) {
		tx, err := sender.Begin(background)
		must(err)
		_, err = tx.Exec(background, `NOTIFY "Mixed Case", 'committed'`)
		must(err)
		run(listener, "SELECT 1")
		equal(len(heard), 0)
		must(tx.Commit(background))
	})
	for n := 0; len(heard) == 0 && n < 50; n++ {
		time.Sleep(20 * time.Millisecond)
		run(listener, "SELECT 1")
	}
	equal(<-heard, "committed")
	run(listener, "UNLISTEN *")
}

// -- Errors --

func errorsHaveTheirState() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS erring")
		run(conn, "CREATE TABLE erring (a int NOT NULL, b varchar(3), c numeric(4,2))")
		var problems []string
		for _, c := range [][2]string{
			{"SELEKT 1", "42601"}, {"SELECT * FROM nowhere", "42P01"}, {"SELECT nothing FROM erring", "42703"}, {"SELECT nothing(1)", "42883"},
			{"SELECT 1 / 0", "22012"}, {"SELECT 'x'::int", "22P02"}, {"SELECT 40000::int2", "22003"}, {"SELECT 2147483647 + 1", "22003"},
			{"SELECT 9223372036854775807 + 1", "22003"}, {"CREATE TABLE erring (a int)", "42P07"}, {"SELECT 'x'::date", "22007"},
			{"SELECT '2013-02-30'::date", "22008"}, {"INSERT INTO erring (b) VALUES ('x')", "23502"}, {"INSERT INTO erring VALUES (1, 'long')", "22001"},
			{"INSERT INTO erring (a, c) VALUES (1, 100)", "22003"}, {"SELECT a FROM erring GROUP BY b", "42803"}, {"SELECT count(*) FROM erring WHERE count(*) > 1", "42803"},
			{"SELECT (SELECT n FROM generate_series(1, 2) AS g(n))", "21000"}, {"INSERT INTO erring VALUES (1, 'x', 1, 1)", "42601"},
			{"SELECT a FROM erring, erring AS e", "42702"}, {"SELECT 1 UNION SELECT 'x'", "22P02"}, {"SELECT 1 UNION SELECT 1, 2", "42601"},
			{"DROP TABLE nowhere", "42P01"}, {"DROP SCHEMA nowhere", "3F000"}, {"SET nothing_at_all = 1", "42704"}, {"SET timezone = 'Nowhere/None'", "22023"},
			{"SELECT true + 1", "42883"}, {"SELECT 'x'::nothing", "42704"}, {"SELECT sqrt(-1)", "2201F"}, {"SELECT ln(0)", "2201E"},
			{"FETCH c", "34000"}, {"EXECUTE nothing", "26000"}, {"ROLLBACK TO s", "25P01"}, {"SAVEPOINT s", "25P01"}, {"SELECT substring('x', 1, -1)", "22011"},
			{"SELECT 'bx' LIKE 'b\\'", "22025"}, {"SELECT 'a' ~ '('", "2201B"}, {"SELECT to_number('x', '9')", "22P02"}, {"SELECT '{'::json", "22P02"},
			{"SELECT E'\\xff'", "22021"}, {"CREATE SCHEMA pg_mine", "42939"}, {"SELECT $1", "42P02"}, {"LOCK TABLE erring", "25P01"},
			{"SELECT 1 LIMIT -1", "2201W"}, {"SELECT 1 OFFSET -1", "2201X"}, {"VALUES (1), (1, 2)", "42601"}, {"CREATE USER admin", "42710"},
			{"ALTER TABLE erring DROP COLUMN nothing", "42703"}, {"ALTER TABLE erring ADD COLUMN a int", "42701"}, {"CREATE TABLE twice (a int, a int)", "42701"},
		} {
			_, err := conn.Exec(background, c[0], pgx.QuerySimpleProtocol(true))
			if found := state(err); found != c[1] {
				problems = append(problems, fmt.Sprintf("%s: expected %s, found %s (%v)", c[0], c[1], found, err))
			}
		}
		if len(problems) > 0 {
			fail("%s", strings.Join(problems, "\n  "))
		}
	})
}

func told(conn *pgx.Conn, text string) pgconn.PgError {
	_, err := conn.Exec(background, text)
	var found *pgconn.PgError
	if !errors.As(err, &found) {
		fail("%s: %v", text, err)
	}
	return *found
}

func errorsTellWhere() {
	with(func(conn *pgx.Conn) {
		e := told(conn, "SELECT ä, nothing FROM (SELECT 1 AS ä) AS t")
		equal([]interface{}{e.Severity, e.Code, e.Message, e.Position}, []interface{}{"ERROR", "42703", `column "nothing" does not exist`, int32(11)})
		e = told(conn, "SELECT 1 FRM t")
		equal([]interface{}{e.Message, e.Position}, []interface{}{`syntax error at or near "t"`, int32(14)})
		e = told(conn, "SELECT * FROM nowhere")
		equal([]interface{}{e.Message, e.Position}, []interface{}{`relation "nowhere" does not exist`, int32(15)})
		e = told(conn, "SELECT nothing('x', 1)")
		equal([]interface{}{e.Message, e.Position}, []interface{}{"function nothing(unknown, integer) does not exist", int32(8)})
		equal(strings.HasPrefix(e.Hint, "No function matches the given name and argument types."), true)
		e = told(conn, "SELECT 'abc'::int")
		equal([]interface{}{e.Message, e.Position}, []interface{}{`invalid input syntax for type integer: "abc"`, int32(8)})
	})
}

func errorsTellTheirColumn() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS filled")
		run(conn, "CREATE TABLE filled (a int NOT NULL, b text)")
		e := told(conn, "INSERT INTO filled (b) VALUES ('x')")
		equal([]string{e.Code, e.Message, e.Detail, e.SchemaName, e.TableName, e.ColumnName}, []string{"23502",
			`null value in column "a" of relation "filled" violates not-null constraint`, "Failing row contains (null, x).", "public", "filled", "a"})
	})
}

func errorsInCopyTellWhere() {
	with(func(conn *pgx.Conn) {
		run(conn, "DROP TABLE IF EXISTS contexts")
		run(conn, "CREATE TABLE contexts (a int, b int)")
		_, err := conn.PgConn().CopyFrom(background, strings.NewReader("1\t2\n3\tx\n"), "COPY contexts FROM STDIN")
		var e *pgconn.PgError
		equal(errors.As(err, &e), true)
		equal([]string{e.Code, e.Message, e.Where}, []string{"22P02", `invalid input syntax for type integer: "x"`, `COPY contexts, line 2, column b: "x"`})
	})
}

func notices() {
	var heard []string
	conn := connectWith(func(config *pgx.ConnConfig) {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			heard = append(heard, n.Severity+" "+n.Code+" "+n.Message)
		}
	})
	defer conn.Close(background)
	run(conn, "DROP TABLE IF EXISTS never_was")
	run(conn, "COMMIT")
	run(conn, "CREATE SCHEMA IF NOT EXISTS public")
	equal(heard, []string{`NOTICE 00000 table "never_was" does not exist, skipping`, "WARNING 25P01 there is no transaction in progress",
		`NOTICE 42P06 schema "public" already exists, skipping`})
	run(conn, "SET client_min_messages = error")
	run(conn, "DROP TABLE IF EXISTS never_was")
	equal(len(heard), 3)
}

// -- Pools, database/sql, logins --

func pools() {
	config, err := pgxpool.ParseConfig(url() + "&pool_max_conns=4")
	must(err)
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET application_name = 'pooled'")
		return err
	}
	pool, err := pgxpool.ConnectConfig(background, config)
	must(err)
	defer pool.Close()
	_, err = pool.Exec(background, "DROP TABLE IF EXISTS pooled")
	must(err)
	_, err = pool.Exec(background, "CREATE TABLE pooled (a int)")
	must(err)
	var group sync.WaitGroup
	problems := make(chan error, 100)
	for n := 0; n < 100; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			problems <- pool.BeginFunc(background, func(tx pgx.Tx) error {
				_, err := tx.Exec(background, "INSERT INTO pooled VALUES ($1)", n)
				return err
			})
		}(n)
	}
	group.Wait()
	for n := 0; n < 100; n++ {
		must(<-problems)
	}
	equal(number(pool, "SELECT sum(a) FROM pooled"), int64(4950))
	equal(word(pool, "SHOW application_name"), "pooled")
	equal(pool.Stat().TotalConns() <= 4, true)
	equal(pool.Stat().AcquiredConns(), int32(0))
	must(pool.Ping(background))
}

func standardLibrary() {
	config, err := pgx.ParseConfig(url())
	must(err)
	db := stdlib.OpenDB(*config)
	defer db.Close()
	_, err = db.Exec("DROP TABLE IF EXISTS standard")
	must(err)
	_, err = db.Exec("CREATE TABLE standard (a int, b text, c timestamptz, d numeric(10,2))")
	must(err)
	put, err := db.Prepare("INSERT INTO standard VALUES ($1, $2, $3, $4)")
	must(err)
	_, err = put.Exec(1, "x", moment, "1.50")
	must(err)
	result, err := put.Exec(2, nil, nil, nil)
	must(err)
	affected, err := result.RowsAffected()
	must(err)
	equal(affected, int64(1))
	must(put.Close())
	rows, err := db.Query("SELECT * FROM standard ORDER BY a")
	must(err)
	defer rows.Close()
	kinds, err := rows.ColumnTypes()
	must(err)
	equal([]string{kinds[0].DatabaseTypeName(), kinds[1].DatabaseTypeName(), kinds[2].DatabaseTypeName(), kinds[3].DatabaseTypeName()}, []string{"INT4", "TEXT", "TIMESTAMPTZ", "NUMERIC"})
	precision, scale, _ := kinds[3].DecimalSize()
	equal([]int64{precision, scale}, []int64{10, 2})
	var a int
	var b sql.NullString
	var c sql.NullTime
	var d sql.NullFloat64
	equal(rows.Next(), true)
	must(rows.Scan(&a, &b, &c, &d))
	equal([]interface{}{a, b, c.Time.Equal(moment), d.Float64}, []interface{}{1, sql.NullString{String: "x", Valid: true}, true, 1.5})
	equal(rows.Next(), true)
	must(rows.Scan(&a, &b, &c, &d))
	equal([]bool{b.Valid, c.Valid, d.Valid}, []bool{false, false, false})
	must(rows.Close())
	tx, err := db.BeginTx(background, &sql.TxOptions{ReadOnly: true})
	must(err)
	_, err = tx.Exec("INSERT INTO standard VALUES (3)")
	equal(state(err), "25006")
	must(tx.Rollback())
}

func passwords() {
	with(func(conn *pgx.Conn) {
		_, _ = conn.Exec(background, "DROP USER IF EXISTS gopher")
		run(conn, "CREATE USER gopher PASSWORD 'Gopher-1234'")
		config, err := pgx.ParseConfig(url())
		must(err)
		config.User, config.Password = "gopher", "Gopher-1234"
		other, err := pgx.ConnectConfig(background, config)
		must(err)
		equal(word(other, "SELECT current_user::text"), "gopher")
		_, err = other.Exec(background, "CREATE USER another")
		equal(state(err), "42501")
		must(other.Close(background))
		run(conn, "DROP USER gopher")
	})
}

func largeObjects() {
	with(func(conn *pgx.Conn) {
		tx, err := conn.Begin(background)
		must(err)
		large := tx.LargeObjects()
		id, err := large.Create(background, 0)
		must(err)
		object, err := large.Open(background, id, pgx.LargeObjectModeWrite)
		must(err)
		_, err = object.Write([]byte("large"))
		must(err)
		must(tx.Rollback(background))
	})
}

func main() {
	check("the_server_tells_its_parameters", parameters)
	check("settings_of_a_connection", settingsOfTheConnection)
	check("connections_that_are_refused", connectionsThatAreRefused)
	checksOfValues("values", plainValues)
	checksOfValues("numerics", numericValues)
	checksOfValues("numerics_without_a_scale", numericWithoutScale)
	checksOfValues("json", jsonValues)
	checksOfValues("arrays", arrayValues)
	checksOfValues("more_arrays", twoDimensions)
	checksOfValues("far_dates", farDates)
	inSimpleQueries("values", plainValues)
	inSimpleQueries("numerics", numericValues)
	inSimpleQueries("arrays", arrayValues)
	inSimpleQueries("far_dates", farDates)
	check("nulls_both_ways", nulls)
	check("values_have_their_own_types", natives)
	check("columns_are_described", described)
	check("a_record_is_read", ofRecords)
	check("several_statements_at_once", severalStatements)
	check("empty_queries", emptyQueries)
	check("statements_have_their_tags", tags)
	check("parameters_of_many_kinds", parametersOfManyKinds)
	check("thousands_of_parameters", manyParameters)
	check("prepared_statements", preparedStatements)
	check("prepared_statements_are_listed", preparedStatementsAreListed)
	check("a_name_is_prepared_once", preparedTwice)
	check("statements_without_a_cache", cacheOfDescriptions)
	check("a_prepared_statement_of_a_changed_table", preparedAndThenChanged)
	check("a_big_result", bigResults)
	check("a_result_closed_early", resultsClosedEarly)
	check("cursors", limitedRows)
	check("a_batch", batches)
	check("a_batch_that_fails", batchesThatFail)
	check("a_batch_in_a_block", batchesInABlock)
	check("a_batch_of_the_simple_protocol", batchesOfTheSimpleProtocol)
	check("copy_from", copyFrom)
	check("copy_from_that_fails", copyFromThatFails)
	check("copy_from_in_a_block", copyFromInABlock)
	check("copy_as_text", copiesAsText)
	check("transactions", transactions)
	check("savepoints", savepoints)
	check("transactions_that_failed", transactionsThatFailed)
	check("kinds_of_transactions", kindsOfTransactions)
	check("serializable_transactions", serializable)
	check("a_snapshot_stays", snapshots)
	check("a_cancel_request", cancelRequests)
	check("a_context_that_ends_ends_its_query", contextsThatEnd)
	check("a_session_is_seen_and_cancelled_by_another", sessionsAreSeen)
	check("a_statement_has_a_time_limit", statementTimeout)
	check("a_session_is_terminated", terminated)
	check("notifications", notifications)
	check("notifications_between_queries", notificationsBetweenQueries)
	check("errors_have_their_state", errorsHaveTheirState)
	check("errors_tell_where", errorsTellWhere)
	check("errors_tell_their_column", errorsTellTheirColumn)
	check("errors_in_copy_tell_where", errorsInCopyTellWhere)
	check("notices", notices)
	check("a_pool", pools)
	check("the_standard_library", standardLibrary)
	check("a_password", passwords)
	check("large_objects", largeObjects)
	if failed {
		os.Exit(1)
	}
}
