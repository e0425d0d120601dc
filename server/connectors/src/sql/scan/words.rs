//! What the words outside of strings say of a statement.

use super::Verb;
use crate::sql::options::Engine;

/// What stands before a parenthesis without being called.
const NO_CALLS: &str = "AGAINST ALL AND ANY ARRAY AS ASC BETWEEN BIGINT BINARY BIT BPCHAR BY CASE CHAR CHARACTER COLLATE CROSS CUBE DATETIME DECIMAL DESC DISTINCT \
    DIV ELSE END ESCAPE EXCEPT EXISTS FETCH FILTER FIRST FLOAT FROM FULL GROUP HAVING ILIKE IN INNER INT INTEGER INTERSECT INTERVAL \
    INTO IS JOIN KEY LATERAL LIKE LIMIT MATCH MATERIALIZED NATURAL NEXT NOT NUMERIC NVARCHAR OF OFFSET ON OR ORDER OUTER OVER PARTITION \
    RECURSIVE REGEXP RETURNING RLIKE ROLLUP ROW SELECT SET SETS SOME TABLE TEXT THEN TIME TIMESTAMP UNION USING VALUES VARBINARY \
    VARCHAR VARYING WHEN WHERE WINDOW WITH WITHIN XOR";

/// Functions of databases that change nothing. Any other may.
const HARMLESS: &str = "ABS AGE ARRAY_AGG ARRAY_LENGTH ARRAY_TO_STRING AVG BOOL_AND BOOL_OR CAST CEIL CEILING CHARACTER_LENGTH CHAR_LENGTH COALESCE CONCAT \
    CONCAT_WS CONVERT COUNT CUME_DIST CURDATE CURRENT_DATE CURRENT_SETTING CURRENT_TIMESTAMP CURTIME DATE DATEDIFF DATE_ADD \
    DATE_FORMAT DATE_PART DATE_SUB DATE_TRUNC DAY DENSE_RANK EVERY EXP EXTRACT FIRST_VALUE FLOOR FORMAT FROM_UNIXTIME GENERATE_SERIES \
    GREATEST GROUP_CONCAT HEX HOUR IF IFNULL INITCAP INSTR JSONB_AGG JSONB_BUILD_OBJECT JSON_AGG JSON_ARRAY JSON_BUILD_OBJECT \
    JSON_EXTRACT JSON_OBJECT JULIANDAY LAG LAST_VALUE LEAD LEAST LEFT LENGTH LN LOG LOWER LPAD LTRIM MAKE_DATE MAX MD5 MIN MINUTE MOD \
    MONTH NOW NTILE NULLIF OCTET_LENGTH PERCENT_RANK PG_SLEEP POSITION POW POWER PRINTF RANDOM RANK REGEXP_REPLACE REPEAT REPLACE \
    REVERSE RIGHT ROUND ROW_NUMBER ROW_TO_JSON RPAD RTRIM SECOND SIGN SLEEP SPLIT_PART SQRT STDDEV STRFTIME STRING_AGG STRPOS \
    STR_TO_DATE SUBSTR SUBSTRING SUM TIMESTAMPDIFF TOTAL TO_CHAR TO_DATE TO_JSON TO_JSONB TO_NUMBER TO_TIMESTAMP TRANSLATE TRIM TRUNC \
    TRUNCATE TYPEOF UNIX_TIMESTAMP UNNEST UPPER UUID VARIANCE VERSION YEAR";

/// Words for a moment in PostgreSQL.
const MOMENTS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// What was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Token {
    /// A word, or a sign, after which no name of a function stands before a parenthesis: `AS t (a, b)`.
    NoFunction,
    /// A word or a function that is known to change nothing.
    Known,
    /// Any other name.
    Name,
    Dot,
    #[default]
    Sign,
}

/// What the words outside of strings say.
#[derive(Default)]
pub(super) struct Words {
    first: String,
    /// A semicolon was read.
    ended: bool,
    /// The next word is the first of a statement.
    is_inside: bool,
    pub(super) is_script: bool,
    pub(super) returns: bool,
    last: Token,
    before: Token,
    /// The last word was FOR, or the KEY that may stand after it.
    is_lock: bool,
    /// A part of a query changes rows, makes a table or calls a function that may.
    changes: bool,
    /// A statement ends a transaction.
    ends: bool,
    /// A statement ends a transaction in MySQL, which some do that say nothing of it.
    ends_there: bool,
    /// The statement is a SET.
    is_set: bool,
    /// Something is named that says how strings are written with MySQL, or a statement is run that is not seen here.
    names_quoting: bool,
    /// The statement goes back to a savepoint.
    goes_back: bool,
    /// Names may mean other tables afterwards.
    pub(super) moves: bool,
    /// Settings are set by names that are values.
    pub(super) configures: bool,
    /// A word in a string stands for the moment at which it is read: `'today'::date`.
    pub(super) has_moments: bool,
    drops_statements: bool,
    /// All prepared statements of the session are dropped.
    pub(super) forgets: bool,
    /// The statement is a COPY.
    is_copy: bool,
    /// A COPY is from or to the client.
    pub(super) copies: bool,
}

impl Words {
    /// A word, or a number.
    pub(super) fn take(&mut self, word: &str) {
        if self.ended {
            self.is_script = true;
        }
        let word = word.to_ascii_uppercase();
        self.names_quoting |= is_of_quoting(&word);
        if !std::mem::replace(&mut self.is_inside, true) {
            self.begin(&word);
        }
        let is_lock = std::mem::take(&mut self.is_lock);
        match word.as_str() {
            "RETURNING" => self.returns = true,
            "INSERT" | "DELETE" | "MERGE" | "INTO" => self.changes = true,
            "UPDATE" => self.changes |= !is_lock,
            "FOR" => self.is_lock = true,
            "NO" | "KEY" => self.is_lock = is_lock,
            "SEARCH_PATH" => self.moves = true,
            "ROLE" | "AUTHORIZATION" => self.moves |= self.is_set,
            "TO" => self.goes_back |= self.first == "ROLLBACK" && !self.ended,
            "STATEMENT" if self.first == "SET" => self.first.push_str(" STATEMENT"),
            "SET_CONFIG" => self.configures = true,
            "STDIN" | "STDOUT" => self.copies |= self.is_copy,
            "DEALLOCATE" | "DISCARD" => self.drops_statements = true,
            "ALL" => self.forgets |= self.drops_statements,
            _ => {}
        }
        let is_known = |known: &str| known.split_ascii_whitespace().any(|known| known == word);
        self.next(if matches!(word.as_str(), "AS" | "WITH" | "RECURSIVE") {
            Token::NoFunction
        } else if is_known(NO_CALLS) || (is_known(HARMLESS) && self.last != Token::Dot) {
            Token::Known
        } else {
            Token::Name
        });
        if self.first.is_empty() {
            self.first = word;
        }
    }

    /// The first word of a statement.
    fn begin(&mut self, word: &str) {
        let verb = verb(word);
        self.is_copy = word == "COPY";
        self.is_set = word == "SET";
        self.moves |= matches!(word, "RESET" | "DISCARD");
        self.ends |= matches!(word, "COMMIT" | "END");
        self.ends_there |= verb == Verb::Define || matches!(word, "BEGIN" | "START" | "CALL");
    }

    /// A name in quotes.
    pub(super) fn name(&mut self) {
        self.quoted();
        self.next(Token::Name);
    }

    /// The name that stands in quotes.
    pub(super) fn quoted_name(&mut self, name: &str) {
        self.names_quoting |= is_of_quoting(&name.to_ascii_uppercase());
    }

    /// A string.
    pub(super) fn string(&mut self) {
        self.quoted();
        self.next(Token::Sign);
    }

    /// What stands in a string.
    pub(super) fn content(&mut self, text: &str) {
        let mut words = text.split(|character: char| !character.is_ascii_alphanumeric());
        self.has_moments |= words.any(|word| MOMENTS.iter().any(|moment| word.eq_ignore_ascii_case(moment)));
    }

    fn quoted(&mut self) {
        if self.ended {
            self.is_script = true;
        }
    }

    /// Any sign that has no further meaning here.
    pub(super) fn sign(&mut self, sign: u8) {
        if self.ended {
            self.is_script = true;
        }
        self.next(match sign {
            b'.' => Token::Dot,
            b')' => Token::NoFunction,
            _ => Token::Sign,
        });
    }

    /// An opening parenthesis.
    pub(super) fn open(&mut self) {
        // a name after another one stands for a table
        self.changes |= self.last == Token::Name && !matches!(self.before, Token::NoFunction | Token::Name);
        self.next(Token::Sign);
    }

    /// A semicolon.
    pub(super) fn end(&mut self) {
        self.ended = !self.first.is_empty();
        self.is_inside = false;
        self.next(Token::Sign);
    }

    fn next(&mut self, token: Token) {
        self.before = std::mem::replace(&mut self.last, token);
    }

    pub(super) fn verb(&self) -> Verb {
        match verb(&self.first) {
            Verb::Transaction if self.goes_back => Verb::Savepoint,
            verb => verb,
        }
    }

    /// Whether something may be other than before.
    pub(super) fn writes(&self) -> bool {
        match self.verb() {
            Verb::Query => self.changes || self.is_script,
            Verb::Transaction | Verb::Savepoint => self.is_script,
            Verb::Change | Verb::Define | Verb::Outside | Verb::Other => true,
        }
    }

    /// Whether strings may have to be written otherwise afterwards, with MySQL.
    pub(super) fn changes_quoting(&self) -> bool {
        self.names_quoting && (self.is_script || !matches!(self.verb(), Verb::Query | Verb::Change))
    }

    /// The first word; `SET STATEMENT` where that is what begins.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// Whether a transaction may end with a commit.
    pub(super) fn commits(&self, engine: Engine) -> bool {
        self.ends || (self.ends_there && engine == Engine::MySql)
    }
}

fn is_of_quoting(word: &str) -> bool {
    let words = [
        "SQL_MODE",
        "NAMES",
        "CHARSET",
        "CHARACTER",
        "CHARACTER_SET_CLIENT",
        "EXECUTE",
    ];
    words.contains(&word)
}

fn verb(first: &str) -> Verb {
    match first {
        "SELECT" | "VALUES" | "TABLE" | "WITH" => Verb::Query,
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "REPLACE" => Verb::Change,
        "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "RENAME" | "COMMENT" | "GRANT" | "REVOKE" | "REINDEX" | "DO" => {
            Verb::Define
        }
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "END" | "ABORT" => Verb::Transaction,
        "SAVEPOINT" | "RELEASE" => Verb::Savepoint,
        "PRAGMA" | "ATTACH" | "DETACH" | "VACUUM" => Verb::Outside,
        _ => Verb::Other,
    }
}
