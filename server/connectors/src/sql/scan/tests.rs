//! What statements are cut into.

use proptest::prelude::*;

use super::*;

fn text(sql: &str, style: Style, engine: Engine) -> (String, usize) {
    let scanned = Scanned::new(sql, Some(style), engine).unwrap();
    (scanned.text.to_string(), scanned.slots.len())
}

#[test]
fn all_styles_are_found() {
    for (sql, style, expected) in [
        ("a = %s AND b = %s", Style::Pyformat, "a = $1 AND b = $2"),
        ("a = %(x)s AND b = %(x)s", Style::Pyformat, "a = $1 AND b = $2"),
        ("a = ? AND b = ?", Style::Qmark, "a = $1 AND b = $2"),
        ("a = :2 AND b = :1", Style::Numeric, "a = $1 AND b = $2"),
        ("a = :x AND b = :y_1", Style::Named, "a = $1 AND b = $2"),
    ] {
        assert_eq!(text(sql, style, Engine::Postgres), (expected.to_owned(), 2), "{sql}");
    }
    assert_eq!(
        text("a ?? 'b' = ?", Style::Qmark, Engine::MySql),
        ("a ? 'b' = ?".to_owned(), 1)
    );
    for (sql, style) in [(":2 :1", Style::Numeric), ("?2 ?1", Style::Qmark)] {
        let slots = Scanned::new(sql, Some(style), Engine::Sqlite).unwrap().slots;
        assert_eq!(slots, [Slot::Place(1), Slot::Place(0)]);
    }
    for (sql, with_mysql, with_postgres) in [
        ("5--%s", 1, 0),
        ("5 --\t%s", 0, 0),
        ("/*!50000 %s */", 1, 0),
        ("/*!50000 5 */* %s", 1, 1),
        ("/* %s */ 1 -- %s", 0, 0),
    ] {
        let count = |engine| text(sql, Style::Pyformat, engine).1;
        let found = (count(Engine::MySql), count(Engine::Postgres));
        assert_eq!(found, (with_mysql, with_postgres), "{sql}");
    }
}

#[test]
fn strings_names_and_comments_are_left_alone() {
    for sql in [
        "'it''s ?' \"a?b\" -- ?\n /* ? /* ? */ ? */ $$ ? $$ $a$ ? $$ ? $a$ E'\\' ?'",
        "U&'?' $1",
    ] {
        assert_eq!(text(sql, Style::Qmark, Engine::Postgres), (sql.to_owned(), 0), "{sql}");
    }
    let sql = "'\\' ?' `a?` # ?\n \"\\\" ?\" /* ? */";
    assert_eq!(text(sql, Style::Qmark, Engine::MySql), (sql.to_owned(), 0));
    let sql = "[a?] `?` '\\' || ?";
    assert_eq!(text(sql, Style::Qmark, Engine::Sqlite), (sql.to_owned(), 1));
    assert_eq!(text("a::int = :x", Style::Named, Engine::Postgres).0, "a::int = $1");
}

#[test]
fn doubled_percent_signs_are_one_everywhere() {
    let sql = "a LIKE 'x%%' AND 7 %% 2 = %s -- 100%%\n";
    let expected = "a LIKE 'x%' AND 7 % 2 = $1 -- 100%\n";
    assert_eq!(text(sql, Style::Pyformat, Engine::Postgres), (expected.to_owned(), 1));
    assert_eq!(&*Scanned::new(sql, None, Engine::Postgres).unwrap().text, sql);
}

#[test]
fn wrong_placeholders_are_told() {
    for sql in ["%(x", "%(x)d", "%s %(x)s", "a\0b"] {
        assert!(
            Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).is_err(),
            "{sql}"
        );
    }
    assert!(Scanned::new(":0", Some(Style::Numeric), Engine::Postgres).is_err());
}

#[test]
fn the_first_word_and_further_statements_are_seen() {
    for (sql, verb, is_script) in [
        ("  /* x */ (select 1) ", Verb::Query, false),
        ("-- x\nInsert into a values (1);", Verb::Change, false),
        ("CREATE TABLE a (b int); DROP TABLE a", Verb::Define, true),
        ("PRAGMA foreign_keys", Verb::Outside, false),
        ("; ;", Verb::Other, false),
        ("select ';' ; -- end", Verb::Query, false),
    ] {
        let scanned = Scanned::new(sql, None, Engine::Sqlite).unwrap();
        assert_eq!((scanned.verb, scanned.is_script), (verb, is_script), "{sql}");
    }
    assert!(
        Scanned::new("insert into a values (1) returning b", None, Engine::Sqlite)
            .unwrap()
            .returns
    );
}

#[test]
fn what_a_statement_may_do_is_seen() {
    let scanned = |sql: &str, engine| Scanned::new(sql, None, engine).unwrap();
    for (sql, writes) in [
        (
            "SELECT a, count(*), max(lower(b::varchar(5))) FROM t AS x (a, b) WHERE a IN (1) AND (b) = ANY (c)",
            false,
        ),
        (
            "WITH x (a) AS (SELECT 1), y AS MATERIALIZED (TABLE x) SELECT * FROM y FOR NO KEY UPDATE",
            false,
        ),
        (
            "SELECT rank() OVER (PARTITION BY a) FROM unnest(b) u(c) WHERE 'insert f(1)' <> d.e",
            false,
        ),
        ("SELECT f(1)", true),
        ("SELECT \"f\" (1)", true),
        ("SELECT s.lower(a) FROM t", true),
        ("SELECT nextval('s')", true),
        ("SELECT 1 INTO t", true),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x", true),
        ("WITH x AS (UPDATE t SET a = 1) SELECT 1", true),
        ("with x as (delete from t) select 1", true),
        ("INSERT INTO t VALUES (1)", true),
        ("CALL p()", true),
        ("SAVEPOINT a", false),
        ("SELECT 1; SELECT 2", true),
    ] {
        assert_eq!(scanned(sql, Engine::Postgres).writes, writes, "{sql}");
    }
    for (sql, there, elsewhere) in [
        ("COMMIT", true, true),
        ("SELECT 1; end", true, true),
        ("SELECT CASE WHEN a THEN 1 END", false, false),
        ("ROLLBACK TO SAVEPOINT a", false, false),
        ("CREATE TABLE t (a int)", true, false),
        ("START TRANSACTION", true, false),
    ] {
        assert_eq!(scanned(sql, Engine::MySql).commits, there, "{sql}");
        assert_eq!(scanned(sql, Engine::Postgres).commits, elsewhere, "{sql}");
    }
    for (sql, forgets) in [
        ("DISCARD ALL", true),
        ("SELECT 1; DEALLOCATE PREPARE ALL", true),
        ("DEALLOCATE a", false),
        ("SELECT 'discard all' FROM t", false),
    ] {
        assert_eq!(scanned(sql, Engine::Postgres).forgets, forgets, "{sql}");
    }
    for (sql, moves, configures) in [
        ("SET search_path TO a", true, false),
        ("SELECT 1; SET LOCAL ROLE crm", true, false),
        ("reset all", true, false),
        ("SELECT set_config($1, $2, true)", false, true),
        ("UPDATE t SET role = 1", false, false),
    ] {
        let found = scanned(sql, Engine::Postgres);
        assert_eq!((found.moves, found.configures), (moves, configures), "{sql}");
    }
    for (sql, verb, changes_quoting) in [
        ("savepoint a", Verb::Savepoint, false),
        ("ROLLBACK WORK TO SAVEPOINT a", Verb::Savepoint, false),
        ("rollback", Verb::Transaction, false),
        ("SET SESSION sql_mode = ''", Verb::Other, true),
        ("SET @a = 1; set names latin1", Verb::Other, true),
        ("SET `sql_mode` = ''", Verb::Other, true),
        ("/*!40101 SET NAMES gbk */", Verb::Other, true),
        ("BEGIN NOT ATOMIC SET NAMES gbk; END", Verb::Transaction, true),
        (
            "IF 1 THEN SET @@`character_set_client` = 'gbk'; END IF",
            Verb::Other,
            true,
        ),
        ("/*M!100000 select */ 1", Verb::Query, false),
        ("EXECUTE IMMEDIATE 'SET NAMES gbk'", Verb::Other, true),
        ("SET autocommit = 0", Verb::Other, false),
        ("SELECT @@sql_mode, names FROM t", Verb::Query, false),
    ] {
        let found = scanned(sql, Engine::MySql);
        assert_eq!((found.verb, found.changes_quoting), (verb, changes_quoting), "{sql}");
    }
    for (sql, has_moments) in [
        ("SELECT now(), today FROM t WHERE a = 'unknown' -- it's now", false),
        ("SELECT 'NOW'::timestamp", true),
        ("-- it's\nSELECT a FROM t WHERE day >= 'today 12:00'", true),
        ("SELECT $x$now$x$::date", true),
        ("SELECT a AS \"it's\", E'it\\'s', 'tomorrow'::date", true),
    ] {
        assert_eq!(scanned(sql, Engine::Postgres).has_moments, has_moments, "{sql}");
    }
    for (sql, copies) in [
        ("COPY t (stdout) FROM '/tmp/stdin'", true),
        ("COPY t FROM '/tmp/stdin'", false),
        ("SELECT 1; copy (SELECT 1) TO stdout", true),
        ("COPY t TO PROGRAM 'x'; SELECT stdin FROM t", false),
    ] {
        assert_eq!(scanned(sql, Engine::Postgres).copies, copies, "{sql}");
    }
}

#[test]
fn a_list_after_in_is_spread() {
    let spread = |sql: &str, values: &[Param]| {
        let scanned = Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).unwrap();
        scanned
            .spread(values)
            .unwrap()
            .map(|(scanned, values)| (scanned.text.to_string(), values.len()))
    };
    let list = |count: i64| Param::List((0..count).map(Param::Int).collect());
    assert_eq!(
        spread(
            "a = %s AND b IN %s AND c NOT in %s OR d IN%s",
            &[Param::Null, list(2), list(1), list(0)]
        ),
        Some(("a = $1 AND b IN ($2, $3) AND c NOT in ($4) OR d IN(NULL)".to_owned(), 4))
    );
    // rows, where rows are compared, and arrays elsewhere
    let rows = Param::List(vec![list(2), list(2)]);
    for (sql, expected) in [
        (
            "WHERE (a, f(b)) NOT IN %s",
            "WHERE (a, f(b)) NOT IN (($1, $2), ($3, $4))",
        ),
        ("a AND (b, c) in%s;", "a AND (b, c) in(($1, $2), ($3, $4));"),
        ("WHERE f(a, b) IN %s", "WHERE f(a, b) IN ($1, $2)"),
        ("WHERE a IN %s", "WHERE a IN ($1, $2)"),
    ] {
        assert_eq!(spread(sql, std::slice::from_ref(&rows)).unwrap().0, expected);
    }
    assert_eq!(spread("a = ANY(%s)", &[list(2)]), None);
    assert_eq!(spread("a = b.in %s", &[list(2)]), None);
    assert_eq!(spread("a IN %s", &[Param::Int(1)]), None);
}

proptest! {
    #[test]
    fn anything_can_be_scanned(sql in "[a-z%s()?:;'\"`$/*# \\n\\[\\]\\\\-]{0,60}") {
        for engine in [Engine::Postgres, Engine::MySql, Engine::Sqlite] {
            for style in [None, Some(Style::Pyformat), Some(Style::Qmark), Some(Style::Numeric), Some(Style::Named)] {
                if let Ok(scanned) = Scanned::new(&sql, style, engine) {
                    prop_assert_eq!(scanned.pieces.len(), scanned.slots.len() + 1);
                    if style.is_none() {
                        prop_assert_eq!(&*scanned.text, sql.as_str());
                    }
                }
            }
        }
    }
}

#[test]
fn numbers_are_written_into_strings() {
    let spread = |sql: &str, engine, values: &[Param]| {
        let scanned = Scanned::new(sql, Some(Style::Pyformat), engine).unwrap();
        let spread = scanned.spread(values);
        spread.map(|spread| spread.map(|(scanned, values)| (scanned.text.to_string(), values.len())))
    };
    let sql = "a < %s AND b > now() - interval '%s days %% it''s' AND c IN %s";
    let values = [
        Param::Int(1),
        Param::Int(-3),
        Param::List(vec![Param::Int(5), Param::Int(6)]),
    ];
    let expected = "a < $1 AND b > now() - interval '-3 days % it''s' AND c IN ($2, $3)";
    assert_eq!(
        spread(sql, Engine::Postgres, &values).unwrap(),
        Some((expected.to_owned(), 3))
    );
    let scanned = Scanned::new("SELECT '50\\%%', %s", Some(Style::Pyformat), Engine::MySql).unwrap();
    assert_eq!(&*scanned.text, "SELECT '50\\%', ?");
    let sql = "SELECT INTERVAL '%(days)s' DAY";
    let exact = [Param::Decimal("1.5".to_owned())];
    let expected = "SELECT INTERVAL '1.5' DAY";
    assert_eq!(
        spread(sql, Engine::MySql, &exact).unwrap(),
        Some((expected.to_owned(), 0))
    );
    // what could end the string
    for value in [
        Param::Text("5".to_owned()),
        Param::Null,
        Param::Decimal("1' OR".to_owned()),
        Param::Float(f64::NAN),
    ] {
        assert!(spread(sql, Engine::Postgres, &[value]).is_err());
    }
    // those of SQLite have formats of their own there
    let scanned = Scanned::new("SELECT strftime('%s', ?)", Some(Style::Pyformat), Engine::Sqlite).unwrap();
    assert!(scanned.slots.is_empty() && !scanned.has_inside());
    for sql in ["'%(a' || %(b)s", "\"%s\" || %(b)s", "-- %s\n %(b)s"] {
        let scanned = Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).unwrap();
        assert!(scanned.slots.len() == 1 && !scanned.has_inside(), "{sql}");
    }
}
