#!/usr/bin/env bash
# psql's backslash commands against what psql_meta.sql makes. psql_meta.txt lists them; psql_meta.expected holds what
# Postgres 15 answered to each, and is written anew by `psql_meta.sh --record` with the port of one in TIDEGATE_SQL_PORT.
set -uo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
port="${TIDEGATE_SQL_PORT:?}" scratch="${TIDEGATE_SCRATCH:?}" failed=0
export PGHOST=127.0.0.1 PGPORT="$port" PGUSER=admin PGDATABASE=dev PGCONNECT_TIMEOUT=10 PGOPTIONS="" PSQLRC=/dev/null PSQL_EDITOR=cat LC_ALL=C.UTF-8
cd "$scratch" || exit 1

case "$(psql --version)" in
  *" 15."*) ;;
  *) echo "SKIP psql_meta: it needs psql 15, this is $(psql --version)"; exit 0 ;;
esac

run() { PGOPTIONS="-c search_path=shop" timeout 60 psql -X -A -v ON_ERROR_STOP=1 "$@" 2>&1; }
script() { run -t -q; }
titled() { run -q -P footer=off; }

# Sizes and ports are the server's own.
same_everywhere() { sed -E -e 's/[0-9]+ (bytes|kB)/SIZE/g' -e "s/port \"?$port\"?/port PORT/g"; }

# answer COMMAND: what psql prints, and its exit code if that is not 0. An editor needs a query buffer, which -c has not.
answer() {
  local text code
  if [[ "$1" == \\e[fv]* ]]; then text="$(run <<< "$1")"; else text="$(run -c "$1" < /dev/null)"; fi
  code=$?
  same_everywhere <<< "$text"
  ((code == 0)) || echo "(exit $code)"
}

# The first lines of a list: its title and the names of its columns.
head_of() { head -2 <<< "$1"; }

pass() { echo "PASS $1"; }
fail() { echo "FAIL $1"; printf '  expected: %s\n  got: %s\n' "${2//$'\n'/$'\n'            }" "${3//$'\n'/$'\n'       }"; failed=1; }

# check NAME EXPECTED ACTUAL: the expected text is a bash pattern.
check() {
  # shellcheck disable=SC2053
  if [[ "$3" == $2 ]]; then pass "$1"; else fail "$1" "$2" "$3"; fi
}

equal() { if [[ "$3" == "$2" ]]; then pass "$1"; else fail "$1" "$2" "$3"; fi; }

list() { grep -v '^#' "$here/psql_meta.txt"; }

made="$(timeout 60 psql -X -q -f "$here/psql_meta.sql" 2>&1)"

# What might be refused without the rest being worth less: a name and a statement on each line.
more() {
  cat <<'SQL'
table_without_columns CREATE TABLE keyed.empty ()
comment_on_schema COMMENT ON SCHEMA shop IS 'what is sold'
comment_on_function COMMENT ON FUNCTION shop.twice(int) IS 'two times'
comment_on_role COMMENT ON ROLE meta_boss IS 'the boss'
comment_on_database COMMENT ON DATABASE dev IS 'for trying'
setting_of_a_role ALTER ROLE meta_boss SET statement_timeout = '1h'
setting_of_a_database ALTER DATABASE dev SET lock_timeout = '1h'
SQL
}

if [[ "${1:-}" == --record ]]; then
  [[ -z "$made" ]] || { echo "$made"; exit 1; }
  while read -r name statement; do run -q -c "$statement" || exit 1; done < <(more)
  while read -r how command; do
    found="$(answer "$command")"
    [[ "$how" == same ]] || found="$(head_of "$found")"
    printf '== %s\n%s\n' "$command" "$found"
  done < <(list) > "$here/psql_meta.expected"
  exit
fi

check set_up "" "$made"
while read -r name statement; do equal "$name" "" "$(run -q -c "$statement")"; done < <(more)

declare -A expected
name=""
while IFS= read -r line; do
  if [[ "$line" == "== "* ]]; then name="${line#== }" expected["$name"]=""
  else expected["$name"]+="${expected["$name"]:+$'\n'}$line"; fi
done < "$here/psql_meta.expected"

while read -r how command; do
  name="${command#\\}" name="${name// /_}"
  found="$(answer "$command")"
  if [[ "$how" == same ]]; then equal "$name" "${expected["$command"]}" "$found"
  elif [[ "$found" == *"(exit "* ]]; then fail "$name" "${expected["$command"]}" "$found"
  else equal "$name" "${expected["$command"]}" "$(head_of "$found")"; fi
done < <(list)

# What lists hold of the server's own.
check list_of_databases "*dev|admin|UTF8|*" "$(run -c '\l')"
check list_of_databases_from_the_shell "*dev|admin|UTF8|*" "$(run -l)"
check list_of_roles "*admin|Superuser*meta_boss|5 connections|*meta_clerk|Cannot login|{meta_staff}*" "$(run -c '\du')"
check list_of_schemas "*keyed|meta_boss*public|*shop|admin*" "$(run -c '\dn')"
check list_of_system_tables "*pg_catalog|pg_class|table|*" "$(run -c '\dtS')"
check list_of_types "*pg_catalog|bigint|*pg_catalog|integer|*" "$(run -c '\dTS')"
check list_of_casts "*integer|bigint|*" "$(run -c '\dC')"
check list_of_aggregates "*pg_catalog|count|bigint|*" "$(run -c '\daS')"
check list_of_functions "*pg_catalog|lower|text|text|func*" "$(run -c '\dfS')"
check list_of_operators "*pg_catalog|+|integer|integer|integer|*" "$(run -c '\doS')"

# The queries behind \d must be seen when they are asked for.
check hidden_queries '*QUERY*pg_catalog.pg_class*shop|goods|table|admin*' "$(run -E -c '\dt goods')"

# What is sent with the query in the buffer.
check gdesc $'a|integer\nb|character varying(3)\nc|numeric(10,2)\nd|timestamp with time zone' \
  "$(printf "SELECT 1 AS a, 'x'::varchar(3) AS b, 1::numeric(10,2) AS c, now() AS d \\\\gdesc\n" | script)"
check gdesc_of_a_table $'id|integer\nname|character varying(20)' "$(printf 'SELECT id, name FROM goods \\gdesc\n' | script)"
check gdesc_of_nothing "*no result*" "$(printf 'CREATE TABLE never (a int) \\gdesc\n' | script)"
check gdesc_makes_nothing "" "$(run -t -q -c "SELECT relname FROM pg_class WHERE relname = 'never'")"
check gexec $'1\n2' "$(printf "SELECT format('SELECT %%s', n) FROM generate_series(1, 2) AS g(n) \\\\gexec\n" | script)"
check gexec_of_statements "2" "$(printf "SELECT 'CREATE TABLE made (a int)', 'INSERT INTO made VALUES (1), (2)' \\\\gexec\nSELECT count(*) FROM made;\nDROP TABLE made;\n" | script)"
check gset "lamp 9.50" "$(printf "SELECT name, price FROM goods WHERE id = 1 \\\\gset row_\n\\\\echo :row_name :row_price\n" | script)"
check gset_quoted "it's" "$(printf "SELECT 'it''s' AS v \\\\gset\nSELECT :'v';\n" | script)"
check gset_of_no_rows "*no rows returned for*gset*" "$(printf 'SELECT 1 AS a WHERE false \\gset\n' | script)"
check gx $'a|1\nb|x' "$(printf "SELECT 1 AS a, 'x' AS b \\\\gx\n" | script)"
check g_with_options $'a,b\n1,"x,y"' "$(printf "SELECT 1 AS a, 'x,y' AS b \\\\g (format=csv tuples_only=off)\n" | script)"
check g_into_a_file "1" "$(printf 'SELECT 1 \\g answer.txt\n' | script && cat answer.txt)"
check g_into_a_pipe "HELLO" "$(printf "SELECT 'hello' \\\\g |tr a-z A-Z\n" | script)"
check crosstabview $'sold|lamp|sofa\nf||1\nt|1|' "$(printf 'SELECT sold, name, count(*) FROM goods GROUP BY 1, 2 ORDER BY 1, 2 \\crosstabview sold name count name\n' | titled)"
check crosstabview_sorted $'y|1|2\na||3\nb|4|' "$(printf "SELECT * FROM (VALUES ('a', 2, 3), ('b', 1, 4)) AS v(y, x, z) \\\\crosstabview y x z x\n" | titled)"
check watch $'1\n1\n1*' "$(printf 'SELECT 1 \\watch 0.2\n' | PGOPTIONS="" timeout 2 psql -X -A -t -q | grep -v 20)"
check expanded $'id|1\nname|lamp\n\nid|2\nname|sofa' "$(printf '\\x\nSELECT id, name FROM goods ORDER BY 1;\n' | script)"
check expanded_list '*Schema | shop*Name   | goods*Owner  | admin*' "$(PGOPTIONS="-c search_path=shop" psql -X -c '\x' -c '\dt goods' 2>&1)"
check timing "*1*Time: *ms*" "$(printf '\\timing on\nSELECT 1;\n' | script)"
check several_in_one_line $'1\n2' "$(printf 'SELECT 1\\; SELECT 2;\n' | script)"
check row_count "2 false 00000" "$(printf "SELECT * FROM goods \\\\g /dev/null\n\\\\echo :ROW_COUNT :ERROR :SQLSTATE\n" | script)"
check error_variables '*42P01*relation "nowhere" does not exist*' "$(printf "SELECT * FROM nowhere;\n\\\\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE\n" | run -q -v ON_ERROR_STOP=0)"
check errverbose '*ERROR:  42P01: relation "nowhere" does not exist*LINE 1: SELECT * FROM nowhere;*' "$(printf 'SELECT * FROM nowhere;\n\\errverbose\n' | run -q -v ON_ERROR_STOP=0)"
check server_version "15*" "$(printf '\\echo :SERVER_VERSION_NUM\n' | script)"
check fetch_count "2|3" "$(printf '\\set FETCH_COUNT 1\nSELECT count(*), sum(id) FROM goods;\n' | script)"
check conditions "yes" "$(printf "SELECT count(*) > 0 AS some FROM goods \\\\gset\n\\\\if :some\n\\\\echo yes\n\\\\else\n\\\\echo no\n\\\\endif\n" | script)"
printf 'SELECT :a + 1;\n' > included.sql
check include "42" "$(printf '\\set a 41\n\\i included.sql\n' | script)"
check output_file "1" "$(printf '\\o out.txt\nSELECT 1;\n\\o\n' | script && cat out.txt)"

# Blocks as psql makes them.
check autocommit_off "0" "$(printf "\\\\set AUTOCOMMIT off\nINSERT INTO goods VALUES (3, 'x');\nROLLBACK;\nSELECT count(*) FROM goods WHERE id = 3;\n" | script)"
check on_error_rollback "*division by zero*1" "$(printf "\\\\set ON_ERROR_ROLLBACK on\nBEGIN;\nCREATE TEMP TABLE kept (a int);\nINSERT INTO kept VALUES (1);\nSELECT 1 / 0;\nSELECT count(*) FROM kept;\nCOMMIT;\n" | run -q -t -v ON_ERROR_STOP=0)"
check single_transaction "*relation \"single\" does not exist*" "$(run -1 -c 'CREATE TABLE single (a int)' -c 'SELECT 1 / 0' > /dev/null; run -c 'SELECT * FROM single')"

# \copy both ways, with its options.
printf '5,five\n6,"s,ix"\n' > in.csv
check copy_in "COPY 2" "$(run -c "\\copy goods (id, name) FROM 'in.csv' WITH (FORMAT csv)")"
check copy_from_pstdin "COPY 1" "$(printf '7\tseven\n' | run -c '\copy goods (id, name) FROM pstdin')"
check copy_from_program "COPY 2" "$(run -c "\\copy goods (id, name) FROM PROGRAM 'printf \"8\\\\teight\\\\n9\\\\tnine\\\\n\"'")"
check copy_out $'COPY 5\n5,five\n6,"s,ix"\n7,seven\n8,eight\n9,nine' "$(run -c "\\copy (SELECT id, name FROM goods WHERE id >= 5 ORDER BY id) TO 'out.csv' CSV"; cat out.csv)"
check copy_to_stdout $'id\tname\n5\tfive' "$(run -c '\copy (SELECT id, name FROM goods WHERE id = 5) TO STDOUT (HEADER)')"
check copy_to_program $'COPY 1\nFIVE' "$(run -c "\\copy (SELECT name FROM goods WHERE id = 5) TO PROGRAM 'tr a-z A-Z > upper.txt'"; cat upper.txt)"
check copy_with_conditions "COPY 1" "$(printf '20\ttwenty\n21\tmore\n' | run -c '\copy goods (id, name) FROM pstdin WHERE id > 20')"
check copy_binary $'COPY 5\nCOPY 5\n10' "$(run -c "\\copy (SELECT id, name FROM goods WHERE id BETWEEN 5 AND 9) TO 'out.bin' (FORMAT binary)"
  run -c "\\copy goods (id, name) FROM 'out.bin' WITH (FORMAT binary)"; run -t -c 'SELECT count(*) FROM goods WHERE id BETWEEN 5 AND 9')"
check copy_of_nothing '*relation "nowhere" does not exist*' "$(run -c '\copy nowhere TO STDOUT')"

# The connection.
check conninfo "You are connected to database \"dev\" as user \"admin\" on host \"127.0.0.1\" at port \"$port\"." "$(run -c '\conninfo')"
check connect_as_another "*You are now connected to database \"dev\" as user \"meta_boss\".*meta_boss" "$(printf '\\c - meta_boss\nSELECT current_user;\n' | PGPASSWORD=Meta-1234 run -t)"
check connect_to_nothing '*database "nowhere" does not exist*' "$(printf '\\c nowhere\n' | run -q)"
check password "changed" "$(printf 'Meta-5678\nMeta-5678\n' | setsid -w psql -X -q -c '\password meta_boss' > password.txt 2>&1 && echo changed || cat password.txt)"
check password_is_used "meta_boss" "$(PGUSER=meta_boss PGPASSWORD=Meta-5678 run -t -c 'SELECT current_user')"
check encoding_is_set "LATIN1 1" "$(printf "\\\\encoding LATIN1\n\\\\echo :ENCODING\nSELECT length('\\344');\n" | script | paste -sd' ')"

# Large objects.
printf 'large' > large.txt
check large_object "large" "$(printf "\\\\lo_import large.txt 'a note'\n\\\\lo_export :LASTOID large.out\n\\\\lo_unlink :LASTOID\n" | script > lo.txt; cat large.out 2>/dev/null || cat lo.txt)"

exit "$failed"
