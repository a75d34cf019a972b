//! What `schema` prints: where the lake is, which days, in which language, and what it refuses.

use crate::support::{binary, finish, run};

/// Formats with their published files.
const ENGINES: [(&str, &str); 11] = [
    ("text", "txt"),
    ("json", "json"),
    ("arrow", "arrow.txt"),
    ("duckdb", "duckdb.sql"),
    ("athena", "athena.sql"),
    ("spark", "spark.sql"),
    ("trino", "trino.sql"),
    ("clickhouse", "clickhouse.sql"),
    ("bigquery", "bigquery.sql"),
    ("snowflake", "snowflake.sql"),
    ("redshift", "redshift.sql"),
];

fn printed(arguments: &[&str]) -> String {
    run(&[&["schema"], arguments].concat()).ok().stdout
}

fn refused(arguments: &[&str]) -> String {
    let ran = run(&[&["schema"], arguments].concat()).exits(2);
    assert_eq!(ran.stdout, "", "{ran:?}");
    ran.stderr.split_once(" ERROR ").map_or_else(|| ran.stderr.clone(), |(_, message)| message.to_owned())
}

#[test]
fn the_published_tables_are_what_the_binary_prints() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let ledger = ENGINES.iter().filter(|(format, _)| ["text", "duckdb", "athena", "spark"].contains(format));
    let all = ENGINES.iter().map(|engine| ("settlements", engine)).chain(ledger.map(|engine| ("ledger", engine)));
    for (table, (format, ending)) in all {
        let printed = printed(&["--table", table, "--format", format, "--lang", "en"]);
        let file = format!("{table}.{ending}");
        let published = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(printed == published, "schemas/{file} is not what `schema --table {table} --format {format}` prints:\n{printed}");
    }
}

#[test]
fn the_lake_is_that_of_the_settings() {
    let root = tempfile::tempdir().unwrap();
    let toml = root.path().join("etl.toml");
    std::fs::write(&toml, "dest = \"s3://file/lake\"\nlang = \"ko\"\n").unwrap();
    let printed = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = binary();
        command.args(["schema", "--format", "duckdb", "--config"]).arg(&toml);
        command.args(flag.into_iter().flat_map(|flag| ["--dest", flag]));
        command.envs(variable.map(|variable| ("COOKIEPAY_DEST", variable)));
        finish(&mut command).ok().stdout
    };
    assert!(printed(Some("s3://flag/lake"), Some("s3://variable/lake")).contains("'s3://flag/lake/settlements/"));
    assert!(printed(None, Some("s3://variable/lake")).contains("'s3://variable/lake/settlements/"));
    let file = printed(None, None);
    assert!(file.contains("'s3://file/lake/settlements/") && file.contains("지급금액"), "{file}");
}

#[test]
fn names_are_printed_as_the_engine_reads_them() {
    let cases = [
        ("duckdb", "s3://b/a%20b+%5Bx%5D/%EC%A0%95%EC%82%B0", "'s3://b/a b+[[]x]/정산/settlements/*/*.parquet'"),
        ("duckdb", "s3://b/a%5Cb", r"'s3://b/a\\b/settlements/*/*.parquet'"),
        ("duckdb", "s3://b/100%25/it%27s", "'s3://b/100%/it''s/settlements/*/*.parquet'"),
        ("duckdb", "./it's [x]*?/", "'./it''s [[]x][*][?]/settlements/*/*.parquet'"),
        ("duckdb", "file:///lake%20of/x", "'/lake of/x/settlements/*/*.parquet'"),
        ("athena", "s3://b/a%20b/it%27s", r"LOCATION 's3://b/a b/it\'s/settlements/'"),
        ("spark", "s3a://b/a%20b", "LOCATION 's3a://b/a b/settlements'"),
        ("spark", "/a b/정산", "LOCATION '/a b/정산/settlements'"),
        ("trino", "/a b/it's", "external_location = 'file:///a b/it''s/settlements'"),
        ("clickhouse", "s3://b/a%20b+%25/%5E", "'s3://b/a%20b%2B%25/?/settlements/*/*.parquet'"),
        ("clickhouse", "/a b/{x}%", "'/a b/?x?%/settlements/*/*.parquet'"),
        ("bigquery", "gs://b/a%20b", "uris = ['gs://b/a b/settlements/*']"),
        ("snowflake", "gs://b/a%20b", "URL = 'gcs://b/a b/'"),
        ("redshift", "s3://b/a%20b", "LOCATION 's3://b/a b/settlements/'"),
    ];
    for (format, dest, expected) in cases {
        let printed = printed(&["--format", format, "--dest", dest]);
        assert!(printed.contains(expected), "{format} {dest}: {expected} is not in\n{printed}");
    }
    let delta = |format: &str, dest: &str| printed(&["--table", "delta", "--format", format, "--dest", dest]);
    assert!(delta("duckdb", "/a b/정%").contains("delta_scan('file:///a%20b/%EC%A0%95%25/delta')"));
    assert!(delta("duckdb", "s3://b/a%20b").contains("delta_scan('s3://b/a%20b/delta')"));
    assert!(delta("clickhouse", "/a b").contains("deltaLakeLocal('/a b/delta')"));
    assert!(delta("athena", "s3://b/a").ends_with("LOCATION 's3://b/a/delta/'\nTBLPROPERTIES ('table_type' = 'DELTA');\n"));
}

#[test]
fn a_folder_above_the_lake_does_not_overrule_a_column() {
    let plain = printed(&["--format", "duckdb", "--dest", "s3://b/lake"]);
    assert!(plain.contains("hive_partitioning = true"), "{plain}");
    for dest in ["s3://b/merchant_id=x/lake", "pay_date=2020-01-01/lake"] {
        let below = printed(&["--format", "duckdb", "--dest", dest]);
        assert!(below.contains("hive_partitioning = false") && below.contains("regexp_extract(filename"), "{below}");
    }
    assert!(printed(&["--format", "clickhouse"]).contains("SETTINGS use_hive_partitioning = 0"));
}

#[test]
fn days_narrow_what_is_opened() {
    let printed = |format: &str, from: &str, to: &str| printed(&["--format", format, "--dest", "s3://b/l", "--from", from, "--to", to]);
    let duckdb = printed("duckdb", "2024-01-05", "20240120");
    assert!(duckdb.contains("'s3://b/l/settlements/pay_date=2024-01-[0-2]*/*.parquet'"), "{duckdb}");
    assert!(duckdb.contains("WHERE pay_date BETWEEN DATE '2024-01-05' AND DATE '2024-01-20'"), "{duckdb}");
    let clickhouse = printed("clickhouse", "2023-12-31", "2024-01-01");
    assert!(clickhouse.contains("/settlements/pay_date=202{3..4}*/*.parquet'"), "{clickhouse}");
    assert!(printed("athena", "2024-01-05", "2024-01-20").contains("'projection.pay_date.range' = '2024-01-05,2024-01-20'"));
    let redshift = printed("redshift", "2024-01-01", "2024-06-30");
    assert_eq!((redshift.matches("ALTER TABLE").count(), redshift.matches("PARTITION (").count()), (2, 182));
    let open = run(&["schema", "--format", "duckdb", "--from", "2024-01-05"]).ok().stdout;
    assert!(open.contains("/settlements/*/*.parquet'") && open.contains("WHERE pay_date >= DATE '2024-01-05'"), "{open}");
}

#[test]
fn what_cannot_be_read_is_refused() {
    let cases: &[&[&str]] = &[
        &["--format", "athena", "--dest", "./lake"],
        &["--format", "bigquery", "--dest", "./lake"],
        &["--format", "snowflake", "--dest", "/lake"],
        &["--format", "redshift", "--dest", "file:///lake"],
        &["--format", "athena", "--dest", "gs://b/lake"],
        &["--format", "duckdb", "--dest", r"a\b"],
        &["--format", "duckdb", "--dest", "s3://b/why%3F"],
        &["--format", "duckdb", "--table", "delta", "--dest", "a%20b"],
        &["--format", "clickhouse", "--dest", "s3://b/%7Bx%7D"],
        &["--format", "clickhouse", "--table", "delta", "--dest", "/a#b"],
        &["--format", "bigquery", "--dest", "gs://b/a*"],
        &["--format", "athena", "--table", "versions", "--dest", "s3://b/l"],
        &["--format", "snowflake", "--table", "delta", "--dest", "s3://b/l"],
        &["--format", "trino", "--table", "ledger", "--dest", "s3://b/l"],
        &["--format", "spark", "--from", "2024-01-01", "--to", "2024-01-31"],
        &["--format", "duckdb", "--table", "ledger", "--from", "2024-01-01"],
        &["--format", "redshift", "--from", "2024-01-01"],
        &["--format", "redshift", "--from", "1900-01-01", "--to", "2024-01-01"],
        &["--format", "duckdb", "--from", "2024-02-01", "--to", "2024-01-01"],
        &["--format", "duckdb", "--dest", "ftp://b/lake"],
        &["--format", "duckdb", "--dest", "'./lake'"],
    ];
    let all: String = cases.iter().map(|arguments| [&arguments.join(" "), ":\n  ", &refused(arguments)].concat()).collect();
    insta::assert_snapshot!(all);
}

#[test]
fn comments_and_labels_are_in_the_language() {
    for (format, _) in ENGINES.iter().filter(|(format, _)| *format != "arrow") {
        let tables =
            if ["duckdb", "athena", "spark", "text", "json"].contains(format) { &["settlements", "ledger"][..] } else { &["settlements"] };
        for table in tables {
            let korean = printed(&["--format", format, "--table", table, "--lang", "ko"]);
            let english = printed(&["--format", format, "--table", table, "--lang", "en"]);
            assert!(korean.contains("지급") && !korean.contains("pay date"), "{format} {table}:\n{korean}");
            assert!(!english.contains("지급") && english.contains("pay date"), "{format} {table}:\n{english}");
        }
        let labels = |lang: &str| printed(&["--format", format, "--table", "labels", "--lang", lang]);
        assert!(labels("ko").contains("당일취소") && labels("ko").contains("신한카드"), "{format}");
        assert!(labels("en").contains("cancelled the same day") && labels("en").contains("Shinhan"), "{format}");
    }
}
