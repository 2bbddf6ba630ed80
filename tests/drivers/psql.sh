#!/usr/bin/env bash
# psql against a server: its \d family, COPY both ways, scripts, cancel. Prints PASS or FAIL for each check.
set -uo pipefail

port="${TIDEGATE_SQL_PORT:?}" scratch="${TIDEGATE_SCRATCH:?}" failed=0
export PGHOST=127.0.0.1 PGPORT="$port" PGUSER=admin PGDATABASE=dev PGCONNECT_TIMEOUT=10 PGOPTIONS="" PSQLRC=/dev/null
cd "$scratch" || exit 1

run() { timeout 60 psql -X -A -t -v ON_ERROR_STOP=1 "$@" 2>&1; }

# check NAME EXPECTED ACTUAL: the expected text is a bash pattern.
check() {
  # shellcheck disable=SC2053
  if [[ "$3" == $2 ]]; then echo "PASS $1"; else
    echo "FAIL $1"; printf '  expected: %s\n  got: %s\n' "$2" "$3"; failed=1
  fi
}

# Set-up. A stream is only to be had from Tidegate, so that this script also runs on Postgres itself.
check set_up "*INSERT 0 2" "$(run -c "
  CREATE TABLE planes (tailnum varchar(10) NOT NULL, seats int, price numeric(10,2), at timestamptz DEFAULT now());
  CREATE VIEW big AS SELECT tailnum, seats FROM planes WHERE seats > 100;
  INSERT INTO planes VALUES ('N1', 55, 1.5, '2013-01-01 05:00:00+00'), ('N2', 182, NULL, NULL)")"

check version "*PostgreSQL 1[5-9].*" "$(run -c 'SELECT version()')"
check list_databases "*dev|admin|UTF8|*" "$(run -c '\l')"
check list_schemas "*public|*" "$(run -c '\dn')"
check list_tables "*public|planes|table|admin*" "$(run -c '\dt')"
check list_relations "*public|big|view|admin*public|planes|table|admin*" "$(run -c '\d')"
check list_views "*public|big|view|admin*" "$(run -c '\dv')"
check list_functions "*" "$(run -c '\df' && echo ok)"
check list_functions_named "*pg_catalog|lower|*" "$(run -c '\df pg_catalog.lower')"
check list_users "*admin|*Superuser*" "$(run -c '\du')"
described="$(run -c '\d planes')"
check describe_varchar "*tailnum|character varying(10)|*not null|*" "$described"
check describe_numeric "*price|numeric(10,2)|*" "$described"
check describe_timestamptz "*at|timestamp with time zone|*" "$described"
check describe_more "*seats|integer|*plain|*" "$(run -c '\d+ planes')"
check describe_view "*View definition*SELECT*tailnum*seats*100*" "$(timeout 60 psql -X -c '\d+ big' 2>&1)"
# Acceptance point 1: a table with keys, identity and encodings.
check create_sales "*CREATE TABLE*" "$(run -c "
  CREATE TABLE sales (id bigint IDENTITY(1, 1), listing int NOT NULL DISTKEY, region varchar(20) DEFAULT 'none' ENCODE lzo,
    sold timestamp) DISTSTYLE KEY SORTKEY (sold)")"
sales="$(run -c '\d sales')"
check describe_identity "*id|bigint|*not null|generated always as identity*" "$sales"
check describe_default "*region|character varying(20)|*'none'*" "$sales"
check describe_timestamp "*sold|timestamp without time zone|*" "$sales"
check show_table "*CREATE TABLE public.sales*DISTKEY (listing)*SORTKEY (sold);*" "$(run -c 'SHOW TABLE sales')"
check describe_missing "*Did not find any relation named \"nothing\"*" "$(run -c '\d nothing')"

check values $'N1|55|1.50|2013-01-01 05:00:00+00\nN2|182||' "$(run -c "SET timezone = 'UTC'" -c 'SELECT * FROM planes ORDER BY 1' | tail -2)"
check empty_query "" "$(run -c '')"
check several_statements $'1\n2' "$(run -c 'SELECT 1; SELECT 2')"
check gdesc "n|integer*t|text*" "$(printf "SELECT 1 AS n, 'x'::text AS t \\\\gdesc\n" | run)"
check fetch_count "1000" "$(printf '\\set FETCH_COUNT 10\nSELECT * FROM generate_series(1, 1000);\n' | run | wc -l)"
check tag_insert "INSERT 0 1" "$(run -c "INSERT INTO planes VALUES ('N3', 1)")"
check tag_update "UPDATE 1" "$(run -c "UPDATE planes SET seats = 2 WHERE tailnum = 'N3'")"
check tag_delete "DELETE 1" "$(run -c "DELETE FROM planes WHERE tailnum = 'N3'")"
check tag_select "(1 row)" "$(timeout 60 psql -X -c 'SELECT 1' | tail -2 | head -1)"

# COPY both ways, as text and as CSV.
check copy_stdin_text "COPY 3" "$(printf 'T1\t10\t\\N\t\\N\nT2\t20\t2.25\t2013-01-01 05:00:00+00\nT\\t3\t30\t3\t\\N\n' | run -c 'COPY planes FROM STDIN')"
check copy_text_escape "1" "$(run -c "SELECT count(*) FROM planes WHERE tailnum = E'T\\t3'")"
check copy_stdin_csv "COPY 2" "$(printf 'tailnum,seats\n"C,1",1\n"C""2",2\n' | run -c "COPY planes (tailnum, seats) FROM STDIN WITH (FORMAT csv, HEADER true)")"
check copy_csv_quotes $'C"2\nC,1' "$(run -c "SELECT tailnum FROM planes WHERE tailnum LIKE 'C%' ORDER BY 1")"
check copy_stdin_csv_old_form "COPY 1" "$(printf 'O1;7\n' | run -c "COPY planes (tailnum, seats) FROM STDIN DELIMITER ';' CSV")"
check copy_stdout_text $'N1\t55\t1.50' "$(run -c "COPY (SELECT tailnum, seats, price FROM planes WHERE tailnum = 'N1') TO STDOUT")"
check copy_stdout_null $'N2\t\\\\N' "$(run -c "COPY (SELECT tailnum, price FROM planes WHERE tailnum = 'N2') TO STDOUT")"
check copy_stdout_csv $'tailnum,price\n"C,1",' "$(run -c "COPY (SELECT tailnum, price FROM planes WHERE tailnum = 'C,1') TO STDOUT WITH (FORMAT csv, HEADER)")"
check copy_table_stdout "8" "$(run -c 'COPY planes TO STDOUT' | wc -l)"
seq 1 100000 | sed 's/.*/B&,&/' > big.csv
check backslash_copy_in "COPY 100000" "$(run -c "\\copy planes (tailnum, seats) FROM 'big.csv' CSV")"
check backslash_copy_out "COPY 100000" "$(run -c "\\copy (SELECT tailnum, seats FROM planes WHERE tailnum LIKE 'B%' ORDER BY seats) TO 'out.csv' CSV")"
check copy_round_trip "same" "$(cmp big.csv out.csv && echo same)"

# A bad line in the middle: named, and nothing of the file is there.
before="$(run -c 'SELECT count(*) FROM planes')"
seq 1 6000 | sed -e 's/.*/X&,&/' -e '5000s/,.*/,many/' > bad.csv
check copy_bad_line "*line 5000*" "$(run -c "\\copy planes (tailnum, seats) FROM 'bad.csv' CSV")"
check copy_bad_line_column "*seats*" "$(run -c "\\copy planes (tailnum, seats) FROM 'bad.csv' CSV")"
check copy_bad_line_leaves_nothing "$before" "$(run -c 'SELECT count(*) FROM planes')"
check copy_in_block "BEGIN*COPY 1*ROLLBACK*$before" "$(printf 'BEGIN;\nCOPY planes (tailnum) FROM STDIN;\nR1\n\\.\nROLLBACK;\nSELECT count(*) FROM planes;\n' | run)"

# Errors: SQLSTATE and the place, under the right character.
verbose() { timeout 60 psql -X -v VERBOSITY=verbose -c "$1" 2>&1; }
check error_place '*ERROR:  42601: syntax error at or near "t"*LINE 1: SELECT 1 FRM t*^*' "$(verbose 'SELECT 1 FRM t')"
check error_column $'*42703*\nLINE 1: SELECT seats, nothing FROM planes\n                      ^*' "$(verbose 'SELECT seats, nothing FROM planes')"
check error_table "*42P01*nowhere*" "$(verbose 'SELECT * FROM nowhere')"

# A script with a syntax error in the middle: what came before stays, what comes after is not run.
printf 'CREATE TABLE scripted (a int);\nINSERT INTO scripted VALUES (1);\nINSRT INTO scripted VALUES (2);\nINSERT INTO scripted VALUES (3);\n' > script.sql
check script_stops "*script.sql:3: ERROR:*INSRT*" "$(run -f script.sql)"
check script_kept "1" "$(run -c 'SELECT count(*) FROM scripted')"
check script_goes_on "*ERROR*INSERT 0 1*" "$(timeout 60 psql -X -f <(tail -2 script.sql) 2>&1)"
check script_single_transaction "*ERROR*" "$(run -1 -f <(sed 's/CREATE TABLE scripted (a int);//' script.sql))"
check script_single_transaction_rolled_back "2" "$(run -c 'SELECT count(*) FROM scripted')"

# Ctrl-C, and a statement's time limit; the session goes on after it.
cat > slow.sql <<'SQL'
SELECT count(*) FROM generate_series(1, 10000000) a(n), generate_series(1, 10000000) b(m) WHERE a.n * 31 % 7 = b.m % 11;
SELECT 'went on';
SQL
psql -X -A -t -f slow.sql > cancel.out 2>&1 & pid=$!
sleep 1.5; kill -INT "$pid"; wait "$pid"
# psql gives up a file at Ctrl-C; what counts is that the server answered with 57014.
check cancel "*canceling statement due to user request*" "$(cat cancel.out)"
check statement_timeout "*canceling statement due to statement timeout*" "$(PGOPTIONS='-c statement_timeout=300' run -f slow.sql)"
check unknown_database "*database \"nowhere\" does not exist*" "$(PGDATABASE=nowhere run -c 'SELECT 1')"

exit "$failed"
