//! The queries of psql 15, as `psql -E` shows them, for a table `planes` and a view `big`.

use super::{check, script};

macro_rules! psql {
    ($name:literal) => {
        include_str!(concat!("../psql_queries/", $name, ".sql"))
    };
}

#[tokio::test]
async fn lists() {
    check(&[
        ("\\l", psql!("list_databases"), &["dev|admin|UTF8|C|C||libc|"]),
        ("\\l+", psql!("list_databases_more"), &["dev|admin|UTF8|C|C||libc|||pg_default|"]),
        ("\\dn", psql!("list_schemas"), &["public|admin"]),
        ("\\dn+", psql!("list_schemas_more"), &["public|admin||"]),
        ("\\dt", psql!("list_tables"), &["public|planes|table|admin"]),
        ("\\dt+", psql!("list_tables_more"), &["public|planes|table|admin|permanent|heap||what flies"]),
        ("\\dt public.*", psql!("list_tables_of_schema"), &["public|planes|table|admin"]),
        ("\\dv", psql!("list_views"), &["public|big|view|admin"]),
        ("\\d", psql!("list_relations"), &["public|big|view|admin", "public|planes|table|admin"]),
        ("\\du", psql!("list_roles"), &["admin|true|true|true|true|true|-1||[]|false|true"]),
        ("\\dp", psql!("list_privileges"), &["public|big|view|||", "public|planes|table|||"]),
        ("\\db", psql!("list_tablespaces"), &["pg_default|admin|", "pg_global|admin|"]),
    ])
    .await;
}

#[tokio::test]
async fn functions() {
    check(&[
        ("\\df", psql!("list_functions"), &[]),
        (
            "\\df pg_catalog.lower",
            psql!("list_functions_named"),
            &[
                "pg_catalog|lower|anyelement|anymultirange|func",
                "pg_catalog|lower|anyelement|anyrange|func",
                "pg_catalog|lower|text|text|func",
            ],
        ),
    ])
    .await;
    let more = script(psql!("list_functions_more")).await.unwrap().pop().unwrap();
    assert_eq!(more.len(), 3);
    assert!(more.iter().any(|row| row.starts_with("pg_catalog|lower|text|text|func|immutable|safe|admin|invoker")));
}

/// Each statement's rows, in psql's order.
async fn statements(sql: &str, expected: &[&[&str]]) {
    let found = script(sql).await.unwrap();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn describes_a_table() {
    let found: &[&str] = &["16385|public|planes"];
    let columns: &[&str] = &[
        "tailnum|character varying(10)||true|||",
        "seats|integer||false|||",
        "price|numeric(10,2)||false|||",
        "at|timestamp with time zone|now()|false|||",
    ];
    let class: &[&str] = &["0|r|false|false|false|false|false|false|false||0||p|d|heap"];
    statements(psql!("describe_table"), &[found, class, columns, &[], &[], &[], &[], &[]]).await;
    let columns: &[&str] = &[
        "tailnum|character varying(10)||true||||x|||",
        "seats|integer||false||||p|||",
        "price|numeric(10,2)||false||||m|||",
        "at|timestamp with time zone|now()|false||||p|||",
    ];
    statements(psql!("describe_table_more"), &[found, class, columns, &[], &[], &[], &[], &[]]).await;
}

#[tokio::test]
async fn describes_a_view() {
    statements(
        psql!("describe_view_more"),
        &[
            &["16389|public|big"],
            &["0|v|false|true|false|false|false|false|false||0||p|n|"],
            &["tailnum|character varying(10)||false||||x|", "seats|integer||false||||p|"],
            &[" SELECT tailnum, seats FROM planes WHERE seats > 100;"],
            &[],
        ],
    )
    .await;
    statements(
        psql!("show_view"),
        &[&["16389"], &["public|big|v| SELECT tailnum, seats FROM planes WHERE seats > 100;||"]],
    )
    .await;
}

#[tokio::test]
async fn finds_nothing() {
    check(&[
        ("\\d nothing", psql!("describe_missing"), &[]),
        ("\\dT", psql!("list_types"), &[]),
        ("\\di", psql!("list_indexes"), &[]),
        ("\\ds", psql!("list_sequences"), &[]),
        ("\\dm", psql!("list_matviews"), &[]),
        ("\\dx", psql!("list_extensions"), &[]),
        ("\\dE", psql!("list_foreign"), &[]),
        ("\\do", psql!("list_operators"), &[]),
        ("\\da", psql!("list_aggregates"), &[]),
        ("\\dO", psql!("list_collations"), &[]),
        ("\\drds", psql!("list_role_settings"), &[]),
        ("\\dy", psql!("list_event_triggers"), &[]),
        ("\\det", psql!("list_foreign_tables"), &[]),
        ("\\dew", psql!("list_wrappers"), &[]),
        ("\\des", psql!("list_servers"), &[]),
        ("\\ddp", psql!("list_default_privileges"), &[]),
        ("\\dD", psql!("list_domains"), &[]),
        ("\\dP", psql!("list_partitioned"), &[]),
        ("\\dRp", psql!("list_publications"), &[]),
        ("\\dX", psql!("list_statistics"), &[]),
        ("\\dc", psql!("list_conversions"), &[]),
        ("\\dd", psql!("list_descriptions"), &[]),
    ])
    .await;
}

#[tokio::test]
async fn lists_what_is_everywhere() {
    for sql in [psql!("list_casts"), psql!("list_languages")] {
        script(sql).await.unwrap();
    }
}
