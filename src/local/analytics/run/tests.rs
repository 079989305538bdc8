//! Application code run over rows, one group of rules per test.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::cast::from_json;
use super::{Column, Program, Row, Session, Step, Stream, Type};

/// 2026-11-22 18:00:00 UTC.
const NOW: i64 = 1_795_370_400_000;

const COLUMNS: [(&str, &str); 7] = [
    ("cost", "DOUBLE"),
    ("gate", "VARCHAR(16)"),
    ("n", "INTEGER"),
    ("price", "DECIMAL(8,2)"),
    ("actual", "BOOLEAN"),
    ("at", "TIMESTAMP"),
    ("code", "CHAR(4)"),
];

fn input() -> Stream {
    let columns: Vec<_> = COLUMNS.iter().map(|(name, kind)| Column::new(name, Type::parse(kind).unwrap())).collect();
    Stream::input("SOURCE_001", &columns)
}

fn row(time: i64, values: &Json) -> Row {
    let stream = input();
    let value = |column: &Column| from_json(values.get(&column.name).unwrap_or(&Json::Null), column.kind).unwrap();
    Row { time, values: stream.columns.iter().map(value).collect() }
}

fn session(code: &str) -> Session {
    let program =
        Program::compile(code, vec![input()], &["RATES".to_owned()]).unwrap_or_else(|why| panic!("{why}: {code}"));
    Session::start(Arc::new(program)).unwrap()
}

fn shown(session: &Session, step: &Step, stream: &str) -> Vec<Json> {
    let columns = &session.program.stream(stream).unwrap().columns;
    let rows = step.rows.get(stream).map_or(&[][..], Vec::as_slice);
    rows.iter()
        .map(|row| row.values.iter().zip(columns).map(|(value, column)| value.json(column.kind)).collect())
        .collect()
}

/// Computes one expression over one row.
fn value(expression: &str, kind: &str, values: &Json) -> Result<Json, String> {
    let code = format!(
        "CREATE STREAM OUT (x {kind}); CREATE PUMP p AS INSERT INTO OUT SELECT STREAM {expression} FROM \"SOURCE_001\""
    );
    let session = session(&code);
    let step = session.step(NOW, vec![(0, vec![row(NOW, values)])]).unwrap();
    match step.problems.first() {
        Some(problem) => Err(problem.message.clone()),
        None => Ok(shown(&session, &step, "OUT")[0][0].clone()),
    }
}

#[test]
fn the_ticket_query_picks_cheap_aeroflot() {
    let code =
        include_str!("../../../../stacks/sql/airline_tickets.sql").replace("SOURCE_SQL_STREAM_001", "SOURCE_001");
    let session = session(&code);
    let rows = [
        json!({"cost": "4500", "gate": "Aeroflot"}),
        json!({"cost": "5000", "gate": "Aeroflot"}),
        json!({"cost": "10", "gate": "aeroflot"}),
        json!({"gate": "Aeroflot"}),
    ];
    let step = session.step(NOW, vec![(0, rows.iter().map(|values| row(NOW, values)).collect())]).unwrap();
    assert_eq!(shown(&session, &step, "DESTINATION_SQL_STREAM"), [json!([4500.0, "Aeroflot"])]);
    let stream = session.program.stream("DESTINATION_SQL_STREAM").unwrap();
    let made = &step.rows["DESTINATION_SQL_STREAM"][0];
    assert_eq!(stream.write(made, "JSON"), br#"{"cost":4500.0,"gate":"Aeroflot"}"#);
    assert_eq!(stream.write(made, "CSV"), b"4500.0,Aeroflot\n");
}

#[test]
fn expressions_mean_what_they_mean_in_sql() {
    let some = json!({"cost": 10.5, "gate": "Aeroflot", "n": 7, "price": "3.10", "actual": "true",
        "at": "2020-05-17 10:11:12.5", "code": "AB"});
    let cases = [
        (r#""n" / 2"#, "INTEGER", json!(3)),
        (r#"- "n" / 2"#, "INTEGER", json!(-3)),
        (r#"CAST("n" AS DOUBLE) / 2"#, "DOUBLE", json!(3.5)),
        (r#"MOD("n", 4)"#, "INTEGER", json!(3)),
        (r#""price" + 0.2"#, "DECIMAL(8,2)", json!(3.3)),
        (r#""cost" * 2 + 1"#, "DOUBLE", json!(22.0)),
        ("FLOOR(\"cost\")", "DOUBLE", json!(10.0)),
        ("CEIL(\"cost\")", "DOUBLE", json!(11.0)),
        ("ABS(- \"n\")", "INTEGER", json!(7)),
        ("POWER(\"n\", 2)", "DOUBLE", json!(49.0)),
        ("SQRT(16)", "DOUBLE", json!(4.0)),
        ("UPPER(\"gate\") || '!'", "VARCHAR(16)", json!("AEROFLOT!")),
        ("INITCAP('ab cD')", "VARCHAR(16)", json!("Ab Cd")),
        ("SUBSTRING(\"gate\" FROM 2 FOR 3)", "VARCHAR(16)", json!("ero")),
        ("SUBSTRING(\"gate\" FROM 5)", "VARCHAR(16)", json!("flot")),
        ("TRIM(BOTH 'x' FROM 'xax')", "VARCHAR(16)", json!("a")),
        ("TRIM('  a ')", "VARCHAR(16)", json!("a")),
        ("POSITION('flot' IN \"gate\")", "INTEGER", json!(5)),
        ("CHAR_LENGTH('Ёлка')", "INTEGER", json!(4)),
        ("OVERLAY('abcdef' PLACING 'XY' FROM 2 FOR 3)", "VARCHAR(16)", json!("aXYef")),
        ("\"gate\"", "VARCHAR(4)", json!("Aero")),
        ("\"gate\" LIKE 'A_ro%'", "BOOLEAN", json!(true)),
        ("\"gate\" LIKE 'a%'", "BOOLEAN", json!(false)),
        ("'a%' LIKE 'a!%' ESCAPE '!'", "BOOLEAN", json!(true)),
        ("\"gate\" NOT IN ('S7', 'Utair')", "BOOLEAN", json!(true)),
        ("\"n\" BETWEEN 7 AND 8", "BOOLEAN", json!(true)),
        ("\"code\" = 'AB'", "BOOLEAN", json!(true)),
        ("\"actual\" AND NOT \"n\" > 8", "BOOLEAN", json!(true)),
        ("CASE WHEN \"n\" > 8 THEN 'big' ELSE 'small' END", "VARCHAR(16)", json!("small")),
        ("CASE \"n\" WHEN 7 THEN 1 END", "INTEGER", json!(1)),
        ("COALESCE(NULL, \"n\")", "INTEGER", json!(7)),
        ("NULLIF(\"n\", 7)", "INTEGER", json!(null)),
        ("CAST('12' AS INTEGER)", "INTEGER", json!(12)),
        ("CAST(\"n\" AS VARCHAR(3))", "VARCHAR(3)", json!("7")),
        ("FLOOR(\"at\" TO HOUR)", "TIMESTAMP", json!("2020-05-17 10:00:00.000")),
        ("CEIL(\"at\" TO MONTH)", "TIMESTAMP", json!("2020-06-01 00:00:00.000")),
        ("STEP(\"at\" BY INTERVAL '10' SECOND)", "TIMESTAMP", json!("2020-05-17 10:11:10.000")),
        ("STEP(23 BY 5)", "INTEGER", json!(20)),
        ("\"at\" + INTERVAL '1' DAY - INTERVAL '1' HOUR", "TIMESTAMP", json!("2020-05-18 09:11:12.500")),
        ("EXTRACT(MINUTE FROM \"at\")", "BIGINT", json!(11)),
        ("\"at\" > TIMESTAMP '2020-05-17 10:11:12'", "BOOLEAN", json!(true)),
        ("CAST(\"at\" AS DATE)", "DATE", json!("2020-05-17")),
        ("ROWTIME", "TIMESTAMP", json!("2026-11-22 18:00:00.000")),
        ("CURRENT_TIMESTAMP", "TIMESTAMP", json!("2026-11-22 18:00:00.000")),
        ("REGEX_REPLACE('a1b2', '[0-9]', '-')", "VARCHAR(9)", json!("a-b-")),
        ("APPROXIMATE_ARRIVAL_TIME IS NULL", "BOOLEAN", json!(true)),
    ];
    for (expression, kind, wanted) in cases {
        assert_eq!(value(expression, kind, &some), Ok(wanted), "{expression}");
    }
}

#[test]
fn null_is_neither_true_nor_false() {
    for (expression, wanted) in [
        ("\"n\" = 1", json!(null)),
        ("NOT \"n\" = 1", json!(null)),
        ("\"n\" = 1 OR 1 = 1", json!(true)),
        ("\"n\" = 1 AND 1 = 2", json!(false)),
        ("\"n\" IS NULL", json!(true)),
        ("\"n\" IN (1, 2)", json!(null)),
        ("(\"n\" = 1) IS NOT TRUE", json!(true)),
        ("\"n\" IS NOT DISTINCT FROM NULL", json!(true)),
    ] {
        assert_eq!(value(expression, "BOOLEAN", &json!({})), Ok(wanted), "{expression}");
    }
}

#[test]
fn a_row_that_cannot_be_computed_is_a_problem_and_the_rest_pass() {
    let session = session(
        "CREATE STREAM O (x INTEGER); CREATE PUMP p AS INSERT INTO O SELECT STREAM 10 / \"n\" FROM SOURCE_001;",
    );
    let rows = (0..5).map(|n| row(NOW, &json!({"n": n - 2}))).collect();
    let step = session.step(NOW, vec![(0, rows)]).unwrap();
    assert_eq!(shown(&session, &step, "O"), [json!([-5]), json!([-10]), json!([10]), json!([5])]);
    let [problem] = step.problems.as_slice() else { panic!("{:?}", step.problems) };
    assert!(problem.message.contains("division by zero") && problem.pump.as_deref() == Some("P"), "{problem:?}");
    let made = problem.row(NOW);
    let text = String::from_utf8(Stream::problems().write(&made, "JSON")).unwrap();
    assert!(text.contains(r#""ERROR_TIME":"2026-11-22 18:00:00.000""#) && text.contains("5B6E756C6C"), "{text}");
    assert!(value("CAST(\"gate\" AS INTEGER)", "INTEGER", &json!({"gate": "x"})).is_err());
    assert!(value("\"n\" + 2000000000", "INTEGER", &json!({"n": 2_000_000_000})).is_err());
}

const MINUTES: &str = r#"
    CREATE OR REPLACE STREAM "STATS" ("gate" VARCHAR(16), "count" BIGINT, "sum" DOUBLE, "avg" DOUBLE, "min" INTEGER,
        "kinds" BIGINT, "end" TIMESTAMP) DESCRIPTION 'by minute';
    CREATE OR REPLACE PUMP "BY_MINUTE" AS INSERT INTO "STATS"
        SELECT STREAM "gate", COUNT(*), SUM("cost"), AVG("cost"), MIN("n"), COUNT(DISTINCT "n"), ROWTIME
        FROM "SOURCE_001" WHERE "cost" IS NOT NULL
        GROUP BY "gate", STEP("SOURCE_001".ROWTIME BY INTERVAL '60' SECOND) HAVING COUNT(*) > 1;"#;

#[test]
fn a_tumbling_window_closes_when_its_end_has_come() {
    let session = session(MINUTES);
    let tickets = |time, costs: &[i32]| {
        let rows = costs.iter().map(|cost| row(time, &json!({"gate": "S7", "cost": cost, "n": cost % 2}))).collect();
        vec![(0, rows)]
    };
    let step = session.step(NOW + 1_000, tickets(NOW + 1_000, &[10, 20])).unwrap();
    assert!(shown(&session, &step, "STATS").is_empty());
    assert_eq!((step.held.len(), session.next_end().unwrap()), (1, Some(NOW + 60_000)));
    let step = session.step(NOW + 59_999, tickets(NOW + 59_999, &[31])).unwrap();
    assert!(shown(&session, &step, "STATS").is_empty() && step.closed.is_empty());
    let step = session.step(NOW + 60_000, tickets(NOW + 60_000, &[5])).unwrap();
    let wanted = json!(["S7", 3, 61.0, 61.0 / 3.0, 0, 2, "2026-11-22 18:01:00.000"]);
    assert_eq!(shown(&session, &step, "STATS"), [wanted]);
    assert_eq!(step.closed, [(0, NOW + 60_000)]);
    let step = session.step(NOW + 200_000, vec![]).unwrap();
    assert!(shown(&session, &step, "STATS").is_empty(), "HAVING wants two");
    assert_eq!(session.next_end().unwrap(), None);
}

#[test]
fn open_windows_can_be_put_back() {
    let before = session(MINUTES);
    let rows = vec![row(NOW, &json!({"gate": "S7", "cost": 1})), row(NOW, &json!({"gate": "S7", "cost": 2}))];
    let held = before.step(NOW, vec![(0, rows)]).unwrap().held;
    let after = session(MINUTES);
    for (pump, rows) in &held {
        let text = serde_json::to_string(rows).unwrap();
        after.restore(*pump, &serde_json::from_str::<Vec<Row>>(&text).unwrap()).unwrap();
    }
    after.restore(9, &[]).unwrap();
    let step = after.step(NOW + 60_000, vec![]).unwrap();
    assert_eq!(shown(&after, &step, "STATS")[0][2], json!(3.0));
}

#[test]
fn streams_chain_unite_and_are_read_twice() {
    let code = r#"
        CREATE STREAM "A" ("n" INTEGER, "t" TIMESTAMP); CREATE STREAM "B" ("n" INTEGER);
        CREATE STREAM "M" ("hour" TIMESTAMP, "most" INTEGER);
        CREATE PUMP "A1" AS INSERT INTO "A" ("n") SELECT STREAM s."n" FROM "SOURCE_001" AS s WHERE s."n" > 1;
        CREATE PUMP "B1" AS INSERT INTO "B" SELECT STREAM "n" * 10 FROM "A" UNION ALL SELECT STREAM "n" FROM "SOURCE_001";
        CREATE PUMP "M1" AS INSERT INTO "M" SELECT STREAM FLOOR(a.ROWTIME TO HOUR), MAX("n") FROM "A" a GROUP BY FLOOR(a.ROWTIME TO HOUR);"#;
    let session = session(code);
    let rows = vec![row(NOW, &json!({"n": 1})), row(NOW, &json!({"n": 2}))];
    let step = session.step(NOW, vec![(0, rows)]).unwrap();
    assert_eq!(shown(&session, &step, "A"), [json!([2, null])]);
    let mut united = shown(&session, &step, "B");
    united.sort_by_key(|row| row[0].as_i64());
    assert_eq!(united, [json!([1]), json!([2]), json!([20])]);
    let step = session.step(NOW + 3_600_000, vec![]).unwrap();
    assert_eq!(shown(&session, &step, "M"), [json!(["2026-11-22 18:00:00.000", 2])]);
}

#[test]
fn what_cannot_be_run_is_named() {
    let of =
        |query: &str| format!("CREATE STREAM \"O\" (\"x\" DOUBLE);\nCREATE PUMP \"P\" AS INSERT INTO \"O\"\n{query};");
    let cases = [
        (of(r#"SELECT STREAM AVG("cost") OVER W1 FROM "SOURCE_001" WINDOW W1 AS (PARTITION BY "gate")"#), "WINDOW"),
        (of(r#"SELECT STREAM SUM("cost") OVER (PARTITION BY "gate") FROM "SOURCE_001""#), "SUM(…) OVER"),
        (of(r#"SELECT STREAM a."cost" FROM "SOURCE_001" a JOIN "SOURCE_001" b ON a."n" = b."n""#), "JOIN"),
        (of(r#"SELECT STREAM a."cost" FROM "SOURCE_001" a, "RATES" b"#), "a join of streams"),
        (of(r#"SELECT STREAM "x" FROM "RATES""#), "the reference table RATES"),
        (of(r#"SELECT STREAM "x" FROM (SELECT "cost" AS "x" FROM "SOURCE_001")"#), "a subquery"),
        (of(r#"SELECT STREAM DISTINCT "cost" FROM "SOURCE_001""#), "SELECT DISTINCT"),
        (of(r#"SELECT STREAM "cost" FROM "SOURCE_001" ORDER BY "cost""#), "ORDER BY"),
        (of(r#"SELECT STREAM COUNT(*) FROM "SOURCE_001""#), "COUNT without GROUP BY"),
        (of(r#"SELECT STREAM SUM("cost") FROM "SOURCE_001" GROUP BY "gate""#), "GROUP BY without STEP"),
        (of(r#"SELECT STREAM ANOMALY("cost") FROM "SOURCE_001""#), "the function ANOMALY"),
        (of(r#"SELECT STREAM "cost" FROM "O" UNION SELECT STREAM "cost" FROM "SOURCE_001""#), "UNION"),
        (of(r#"SELECT STREAM "x" FROM "O""#), "in a circle"),
        ("CREATE VIEW v AS SELECT 1".to_owned(), "CREATE VIEW"),
        ("ALTER PUMP p START".to_owned(), "ALTER statements"),
        ("CREATE STREAM o (x VARBINARY(4))".to_owned(), "the type VARBINARY(4)"),
    ];
    for (code, what) in cases {
        let why = Program::compile(&code, vec![input()], &["RATES".to_owned()]).unwrap_err();
        assert!(!why.is_unknown_name(), "{why}");
        let text = why.to_string();
        assert!(text.starts_with("the local cloud cannot run") && text.contains(what), "{text} for {code}");
    }
    let why = Program::compile(&of(r#"SELECT STREAM "Cost" FROM "SOURCE_001""#), vec![input()], &[]).unwrap_err();
    assert_eq!(why.to_string(), "Column 'Cost' not found in stream 'SOURCE_001' (line 3)");
}

#[test]
fn wrong_code_is_told_apart_from_missing_names() {
    let of = |query: &str| format!("CREATE STREAM O (\"x\" DOUBLE); CREATE PUMP P AS INSERT INTO O {query}");
    for query in [
        r#"SELECT STREAM "gate" FROM "SOURCE_001""#,
        r#"SELECT STREAM "cost", "n" FROM "SOURCE_001""#,
        r#"SELECT STREAM "cost" FROM "SOURCE_001" WHERE "cost" < 'a'"#,
        r#"SELECT STREAM "cost" FROM "SOURCE_001" WHERE "n""#,
        r#"SELECT STREAM "cost" FROM "SOURCE_001" GROUP BY STEP(ROWTIME BY INTERVAL '1' MINUTE)"#,
        r#"SELECT STREAM "cost" + FROM "SOURCE_001""#,
    ] {
        let why = Program::compile(&of(query), vec![input()], &[]).unwrap_err();
        assert!(!why.is_unknown_name(), "{query}: {why}");
    }
    for query in [
        r#"SELECT STREAM cost FROM "SOURCE_001""#,
        r#"SELECT STREAM "cost" FROM "SOURCE_002""#,
        r#"SELECT STREAM b."cost" FROM "SOURCE_001" a"#,
    ] {
        let why = Program::compile(&of(query), vec![input()], &[]).unwrap_err();
        assert!(why.is_unknown_name(), "{query}: {why}");
    }
    assert!(Program::compile("", vec![], &[]).is_ok());
    let long = of(&format!("SELECT STREAM {} FROM \"SOURCE_001\"", vec!["1"; 3000].join("+")));
    assert!(Program::compile(&long, vec![input()], &[]).unwrap_err().to_string().contains("words"));
    let deep = of(&format!("SELECT STREAM {} FROM \"SOURCE_001\"", vec!["1"; 900].join("+")));
    assert!(Program::compile(&deep, vec![input()], &[]).unwrap_err().to_string().contains("deep"));
    let nested = of(&format!("SELECT STREAM {}1{} FROM \"SOURCE_001\"", "(".repeat(500), ")".repeat(500)));
    assert!(Program::compile(&nested, vec![input()], &[]).is_err());
    let wide = of(&format!("SELECT STREAM \"cost\" FROM \"SOURCE_001\" WHERE {}", vec!["\"n\" = 1"; 300].join(" OR ")));
    assert!(Program::compile(&wide, vec![input()], &[]).is_ok());
}

#[test]
fn names_fold_and_not_null_is_kept() {
    let code = "create stream o (x integer not null); create pump p as insert into O select stream \"n\" as n from source_001 -- all";
    let session = session(code);
    let step = session.step(NOW, vec![(0, vec![row(NOW, &json!({"n": 1})), row(NOW, &json!({}))])]).unwrap();
    assert_eq!(shown(&session, &step, "O"), [json!([1])]);
    assert!(step.problems[0].message.contains("NOT NULL"));
}

proptest! {
    #[test]
    fn no_code_panics(code in "[A-Z\"'(),;*+=<. \n1-]{0,80}", tail in ".{0,20}") {
        let _ = Program::compile(&code, vec![input()], &[]);
        let query = format!("CREATE STREAM O (X DOUBLE); CREATE PUMP P AS INSERT INTO O SELECT STREAM {tail} FROM SOURCE_001");
        let _ = Program::compile(&query, vec![input()], &[]);
    }
}
