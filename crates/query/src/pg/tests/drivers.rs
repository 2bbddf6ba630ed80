//! What drivers and tools ask when they connect and look around.

use super::{check, rows_of};
use tidegate_core::Kind;

#[tokio::test]
async fn the_catalog() {
    check(&[
        (
            "relations of a schema",
            "SELECT relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND relkind = 'r'",
            &["planes"],
        ),
        (
            "columns",
            "SELECT attname, pg_catalog.format_type(atttypid, atttypmod), attnotnull FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class c ON a.attrelid = c.oid WHERE relname = 'planes' AND attnum > 0 ORDER BY attnum",
            &[
                "tailnum|character varying(10)|true",
                "seats|integer|false",
                "price|numeric(10,2)|false",
                "at|timestamp with time zone|false",
            ],
        ),
        (
            "information_schema.columns",
            "SELECT column_name, data_type, is_nullable, ordinal_position, udt_name FROM information_schema.columns \
             WHERE table_name = 'planes' ORDER BY ordinal_position",
            &[
                "tailnum|character varying|NO|1|varchar",
                "seats|integer|YES|2|int4",
                "price|numeric|YES|3|numeric",
                "at|timestamp with time zone|YES|4|timestamptz",
            ],
        ),
        (
            "information_schema.tables",
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
            &["big|VIEW", "planes|BASE TABLE"],
        ),
        (
            "information_schema.schemata",
            "SELECT schema_name FROM information_schema.schemata ORDER BY 1",
            &["information_schema", "pg_catalog", "public"],
        ),
        ("regclass is shown as a name", "SELECT 'planes'::regclass", &["planes"]),
        ("regclass is an object id", "SELECT 'public.planes'::regclass::oid", &["16385"]),
        ("regclass compares", "SELECT relname FROM pg_class WHERE oid = 'planes'::regclass", &["planes"]),
        ("of a system relation", "SELECT 'pg_class'::regclass, 'pg_class'::regclass::oid", &["pg_class|1259"]),
        ("regclass as text", "SELECT c.oid::regclass::text FROM pg_class c WHERE relname = 'big'", &["big"]),
        ("to_regclass", "SELECT to_regclass('nothing') IS NULL, to_regclass('planes')", &["true|planes"]),
        ("regtype", "SELECT 'int4'::regtype, 23::regtype::text, 'text[]'::regtype::oid", &["integer|integer|1009"]),
        ("regnamespace", "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'big'", &["public"]),
        ("databases", "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = 'dev'", &["1"]),
        ("settings", "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'standard_conforming_strings'", &["on"]),
        ("views", "SELECT viewname FROM pg_catalog.pg_views WHERE schemaname = 'public'", &["big"]),
        ("comments", "SELECT obj_description('public.planes'::regclass, 'pg_class')", &["what flies"]),
        (
            "descriptions",
            "SELECT c.relname, d.description FROM pg_class c LEFT JOIN pg_description d ON d.objoid = c.oid \
             AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0 WHERE c.relnamespace = 2200 ORDER BY 1",
            &["big|", "planes|what flies"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_session() {
    check(&[
        ("user", "SELECT current_user, session_user, user", &["admin|admin|admin"]),
        (
            "place",
            "SELECT current_schema, current_schema(), current_database(), current_catalog",
            &["public|public|dev|dev"],
        ),
        ("path", "SELECT current_schemas(true)", &["[pg_catalog, public]"]),
        ("version", "SELECT pg_catalog.version()", &["PostgreSQL 15.0 (Tidegate 0.1.0)"]),
        ("pid", "SELECT pg_backend_pid()", &["7"]),
        ("setting", "SELECT current_setting('server_version_num')::int / 100", &["1500"]),
        ("recovery", "SELECT pg_is_in_recovery()", &["false"]),
        ("privilege", "SELECT has_table_privilege(current_user, 'public.planes', 'SELECT')", &["true"]),
        ("sizes", "SELECT pg_size_pretty(123456789::bigint)", &["118 MB"]),
        (
            "quoting",
            "SELECT quote_ident('A b'), quote_literal('it''s'), format('%I.%L', 'a', 1)",
            &["\"A b\"|'it''s'|a.'1'"],
        ),
        ("arrays", "SELECT array_upper(current_schemas(true), 1), 'public' = ANY(current_schemas(false))", &["2|true"]),
        ("text arrays", "SELECT 'b' = ANY('{a,b}'::text[]), 'c' <> ALL ('{a,b}'::text[])", &["true|true"]),
    ])
    .await;
}

#[tokio::test]
async fn names_of_columns_are_as_in_postgres() {
    let snapshot = std::sync::Arc::new(super::snapshot());
    let context = super::context(&snapshot);
    let statement =
        tidegate_parser::split("SELECT pg_catalog.version(), current_user, 'planes'::regclass, 1::oid::regclass AS r")
            .and_then(|pieces| tidegate_parser::parse(&pieces[0]))
            .unwrap();
    let batches = super::run_statement(&context, statement).await.unwrap();
    let schema = batches[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["version", "current_user", "regclass", "r"]);
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let snapshot = std::sync::Arc::new(super::snapshot());
    let context = super::context(&snapshot);
    let cases = [
        ("SELECT 'nothing'::regclass", Kind::UndefinedTable),
        ("SELECT 'nothing'::regtype", Kind::UndefinedObject),
        ("SELECT current_setting('nothing')", Kind::UndefinedObject),
        ("SELECT has_schema_privilege('nothing', 'USAGE')", Kind::UndefinedSchema),
    ];
    for (sql, kind) in cases {
        let query = tidegate_parser::parse_query(sql).unwrap();
        let mut statement = tidegate_parser::ast::Statement::Query(query);
        crate::pg::rewrite(&mut statement, &snapshot).unwrap();
        let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
        let run = async {
            let plan = context.state().statement_to_plan(statement).await?;
            context.execute_logical_plan(plan).await?.collect().await
        };
        assert_eq!(crate::from_datafusion(run.await.unwrap_err()).kind(), kind, "{sql}");
    }
}

#[tokio::test]
async fn jdbc() {
    check(&[
        (
            "getSchemas",
            "SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace  WHERE nspname <> 'pg_toast' \
             AND (nspname !~ '^pg_temp_'  OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' \
             OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM",
            &["information_schema|", "pg_catalog|", "public|"],
        ),
        (
            "getTables",
            "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME,  CASE n.nspname ~ '^pg_' OR \
             n.nspname = 'information_schema'  WHEN true THEN CASE  WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' \
             THEN CASE c.relkind   WHEN 'r' THEN 'SYSTEM TABLE'   WHEN 'v' THEN 'SYSTEM VIEW'   WHEN 'i' THEN 'SYSTEM INDEX'   \
             ELSE NULL   END  ELSE NULL   END  WHEN false THEN CASE c.relkind  WHEN 'r' THEN 'TABLE'  WHEN 'p' THEN 'PARTITIONED TABLE'  \
             WHEN 'v' THEN 'VIEW'  WHEN 'f' THEN 'FOREIGN TABLE'  ELSE NULL  END  ELSE NULL  END  AS TABLE_TYPE, d.description AS REMARKS,  \
             '' as TYPE_CAT, '' as TYPE_SCHEM, '' as TYPE_NAME, '' AS SELF_REFERENCING_COL_NAME, '' AS REF_GENERATION  \
             FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c  LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND \
             d.objsubid = 0  and d.classoid = 'pg_class'::regclass)  WHERE c.relnamespace = n.oid  AND n.nspname LIKE 'public' \
             AND (false  OR ( c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ) ) \
             ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME",
            &["|public|planes|TABLE|what flies|||||"],
        ),
        (
            "getColumns",
            "SELECT * FROM (SELECT current_database() AS current_database, n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR \
             (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY \
             a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as \
             attgenerated,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype  FROM \
             pg_catalog.pg_namespace n  JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)  JOIN pg_catalog.pg_attribute a ON \
             (a.attrelid=c.oid)  JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)  LEFT JOIN pg_catalog.pg_attrdef def ON \
             (a.attrelid=def.adrelid AND a.attnum = def.adnum)  LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND \
             a.attnum = dsc.objsubid)  LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class')  LEFT JOIN \
             pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog')  WHERE c.relkind in \
             ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped  AND n.nspname LIKE 'public' AND c.relname LIKE 'planes') c \
             WHERE true  AND attname LIKE '%a%' ORDER BY nspname,c.relname,attnum",
            &[
                "dev|public|planes|tailnum|1043|true|14|-1|-1|1|||||0|b",
                "dev|public|planes|seats|23|false|-1|4|-1|2|||||0|b",
                "dev|public|planes|at|1184|false|-1|8|-1|4|||now()||0|b",
            ],
        ),
        (
            "getPrimaryKeys",
            "SELECT result.TABLE_CAT, result.TABLE_SCHEM, result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM \
             (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, \
             (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, \
             information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_class ct JOIN \
             pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN \
             pg_catalog.pg_index i ON ( a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true \
             AND n.nspname = 'public' AND ct.relname = 'planes' AND i.indisprimary ) result where  result.A_ATTNUM = (result.KEYS).x  \
             ORDER BY result.table_name, result.pk_name, result.key_seq",
            &[],
        ),
        (
            "keywords",
            "select count(*) > 100, string_agg(word, ',') = '' from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute}'::text[])",
            &["true|false"],
        ),
        (
            "a type",
            "SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid   FROM pg_catalog.pg_type   \
             LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r           from pg_namespace as ns           join ( select s.r, \
             (current_schemas(false))[s.r] as nspname                    from generate_series(1, array_upper(current_schemas(false), \
             1)) as s(r) ) as r          using ( nspname )        ) as sp     ON sp.nspoid = typnamespace  WHERE pg_type.oid = 1007  \
             ORDER BY sp.r, pg_type.oid DESC",
            &["true|b|_int4|1007"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn python() {
    check(&[
        (
            "psycopg TypeInfo",
            "SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter FROM pg_type t \
             WHERE t.oid = to_regtype('int4') ORDER BY t.oid",
            &["int4|23|1007|integer|,"],
        ),
        (
            "SQLAlchemy get_table_names",
            "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = \
             pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p']) AND \
             pg_catalog.pg_class.relpersistence != 't' AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND \
             pg_catalog.pg_namespace.nspname != 'pg_catalog'",
            &["planes"],
        ),
        (
            "SQLAlchemy get_columns",
            "SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, \
             pg_catalog.pg_attribute.atttypmod) AS format_type, (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, \
             pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef WHERE pg_catalog.pg_attrdef.adrelid = \
             pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND \
             pg_catalog.pg_attribute.atthasdef) AS \"default\", pg_catalog.pg_attribute.attnotnull AS not_null, \
             pg_catalog.pg_class.relname AS table_name, pg_catalog.pg_description.description AS comment, \
             pg_catalog.pg_attribute.attgenerated AS generated FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON \
             pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0 AND NOT \
             pg_catalog.pg_attribute.attisdropped LEFT OUTER JOIN pg_catalog.pg_description ON pg_catalog.pg_description.objoid = \
             pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_description.objsubid = pg_catalog.pg_attribute.attnum JOIN \
             pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE \
             pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND \
             pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog' AND \
             pg_catalog.pg_class.relname IN ('planes') ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum",
            &[
                "tailnum|character varying(10)||true|planes||",
                "seats|integer||false|planes||",
                "price|numeric(10,2)||false|planes||",
                "at|timestamp with time zone|now()|false|planes||",
            ],
        ),
        (
            "SQLAlchemy hstore",
            "SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore'",
            &[],
        ),
    ])
    .await;
}

#[tokio::test]
async fn tools() {
    check(&[
        (
            "DBeaver: columns named twice",
            "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON \
             d.objoid = n.oid AND d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass WHERE nspname = 'public' ORDER BY nspname",
            &["2200|2200|public|10||"],
        ),
        (
            "Metabase: tables",
            "SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END AS type, \
             d.description, stat.n_live_tup AS estimated_row_count FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n \
             ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = \
             'pg_class'::regclass LEFT JOIN pg_stat_user_tables AS stat ON n.nspname = stat.schemaname AND c.relname = stat.relname \
             WHERE c.relnamespace = n.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN \
             ('r', 'p', 'v', 'f', 'm') ORDER BY type, schema, name",
            &["public|planes|TABLE|what flies|2", "public|big|VIEW||"],
        ),
        (
            "psqlODBC: operators",
            "select n.nspname, c.relname from pg_catalog.pg_class c, pg_catalog.pg_namespace n where c.relname operator(pg_catalog.=) \
             'planes' and n.oid operator(pg_catalog.=) c.relnamespace",
            &["public|planes"],
        ),
        (
            "Npgsql: types",
            "SELECT ns.nspname, typ_and_elem_type.*, CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 END AS ord FROM \
             (SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS elemtypoid, \
             elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind, CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE \
             elemtyp.typtype END AS elemtyptype, typ.typcategory FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, \
             typelem AS elemoid, CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype, CASE WHEN \
             proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='m' THEN (SELECT rngtypid FROM \
             pg_range WHERE rngmultitypid = typ.oid) WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid, typ.typcategory FROM pg_type \
             AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid) LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN \
             pg_range ON (pg_range.rngtypid = typ.oid)) AS typ LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid LEFT JOIN pg_class AS \
             elemcls ON (elemcls.oid = elemtyp.typrelid) LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS \
             typ_and_elem_type JOIN pg_namespace AS ns ON (ns.oid = typnamespace) WHERE typname IN ('_int4', 'int4multirange') ORDER BY typname",
            &[
                "pg_catalog|1007|11|_int4|a|0|false||23|int4||b|A|",
                "pg_catalog|4451|11|int4multirange|m|0|false||3904|int4range||r|R|",
            ],
        ),
        (
            "DataGrip: array of a query",
            "SELECT array_to_string(ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = 16385 AND attnum > 0 ORDER BY attnum), ',')",
            &["tailnum,seats,price,at"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn other_queries_get_names_and_stay_as_they_are() {
    let cases = [
        ("SELECT a, b + 1 AS c FROM t WHERE a = ANY(b) ORDER BY 1 LIMIT 3", None),
        (
            "SELECT (SELECT 1 WHERE false), EXISTS (SELECT 1 FROM u WHERE u.a = t.a) FROM t",
            Some(
                "SELECT (SELECT CAST(1 AS INT) AS \"?column?\" WHERE false) AS \"?column?\", \
                 (coalesce((SELECT count(1) FROM u WHERE u.a = t.a), 0) > 0) AS exists FROM t",
            ),
        ),
        ("SELECT t.a, t.* FROM t", None),
        (
            "WITH pg_class AS (SELECT 1 AS oid) SELECT oid FROM pg_class",
            Some("WITH pg_class AS (SELECT CAST(1 AS INT) AS oid) SELECT oid FROM pg_class"),
        ),
        (
            "SELECT lower(name)::text || 'x' FROM t GROUP BY 1 HAVING count(*) > 1",
            Some("SELECT lower(name)::TEXT || 'x' AS \"?column?\" FROM t GROUP BY 1 HAVING count(*) > 1"),
        ),
    ];
    for (sql, expected) in cases {
        let mut statement = tidegate_parser::ast::Statement::Query(tidegate_parser::parse_query(sql).unwrap());
        let before = statement.to_string();
        crate::pg::rewrite(&mut statement, &super::snapshot()).unwrap();
        assert_eq!(statement.to_string(), expected.unwrap_or(&before));
    }
    assert_eq!(rows_of("WITH pg_class AS (SELECT 1 AS oid) SELECT oid FROM pg_class").await.unwrap(), ["1"]);
}
