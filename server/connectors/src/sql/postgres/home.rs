//! What sessions begin with: the time zone and the order of day and month that the server gives to clients that ask for nothing, as
//! psycopg2 does, and what a connection's own options say.
//!
//! A server is asked once for all connections of a process. With each connection it says what it would be recognised by if somebody had
//! changed these settings since: then it is asked again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::super::error::SqlFailure;
use super::super::lock;
use super::super::value::write_to;
use super::probe::{PgAccess, ask};
use super::write::write_quoted;

/// How long asking may take at most.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// After that a server is asked again that cannot be asked, or does not say what it is recognised by.
const AGAIN: Duration = Duration::from_secs(60);
/// How often, and how long apart, one tries that must wait for the place of a session that has just ended.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
/// By how many marks a server is recognised.
const MAX_MARKS: usize = 8;
/// Servers that are remembered.
const MAX_PLACES: usize = 1000;

/// An expression by which a server is recognised as long as its sessions begin with the same settings: when it was started, when it last
/// read its files, and what is said of the database and the user.
pub(super) const MARK: &str = "concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), \
    extract(epoch FROM pg_conf_load_time()), \
    (SELECT string_agg(concat_ws(' ', setdatabase, setrole, said), ', ' ORDER BY setdatabase, setrole, said) \
    FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS said WHERE said ~* '^(timezone|datestyle)=' \
    AND setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) \
    AND setrole IN (0, to_regrole(quote_ident(session_user)))))";

/// A setting, and its value as SQL has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Setting {
    name: &'static str,
    value: String,
}

impl Setting {
    pub(in super::super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        Self { name, value }
    }

    /// Whether both set the same.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// With a value that is a string.
    pub(in super::super) fn text(name: &'static str, text: &str) -> Self {
        let mut value = String::new();
        write_quoted(text, "", &mut value);
        Self { name, value }
    }
}

/// Statements that make settings what they are to be.
pub(super) fn sets(settings: &[Setting]) -> String {
    let mut out = String::new();
    for setting in settings {
        write_set(setting, "", &mut out);
    }
    out
}

fn write_set(Setting { name, value }: &Setting, scope: &str, out: &mut String) {
    write_to(out, format_args!("SET{scope} {name} TO {value};"));
}

/// Statements that give those settings back that a statement has reset: the server resets them to what sqlx has said for this client.
pub(super) fn sets_after(statement: &str, settings: &[Setting]) -> String {
    let mut out = String::new();
    for statement in statement.to_ascii_lowercase().split(';') {
        let words = statement.split(|byte: char| !(byte.is_ascii_alphanumeric() || byte == '_'));
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let (scope, name) = match words.as_slice() {
            ["reset" | "discard", "all"] => ("", None),
            ["reset", "time", "zone"] => ("", Some("timezone")),
            ["reset", name] => ("", Some(*name)),
            ["set", rest @ ..] => {
                let (scope, rest) = match rest {
                    ["local", rest @ ..] => (" LOCAL", rest),
                    ["session", rest @ ..] => ("", rest),
                    _ => ("", rest),
                };
                match rest {
                    ["time", "zone", "default" | "local"] => (scope, Some("timezone")),
                    [name, "to", "default"] | [name, "default"] => (scope, Some(*name)),
                    _ => continue,
                }
            }
            _ => continue,
        };
        for setting in settings {
            if name.is_none_or(|name| name == setting.name) {
                write_set(setting, scope, &mut out);
            }
        }
    }
    out
}

/// What a server gives to clients that ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    zone: String,
    /// `MDY`, `DMY` or `YMD`.
    order: String,
}

impl Home {
    /// Of `TimeZone` and `DateStyle` as the server says them: `Europe/Warsaw` and `SQL, DMY`.
    pub(super) fn new(zone: String, style: &str) -> Self {
        let order = style.rsplit(',').next().unwrap_or_default().trim().to_owned();
        Self { zone, order }
    }

    /// Only those that sqlx's sessions do not have by themselves. Days are written as ISO in any case, as with psycopg2.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.zone != "UTC" {
            settings.push(Setting::text("timezone", &self.zone));
        }
        if self.order != "MDY" {
            settings.push(Setting::text("datestyle", &format!("ISO, {}", self.order)));
        }
        settings
    }
}

/// What is known of a server, for a database and a user.
#[derive(Default)]
struct Known {
    home: Option<Home>,
    /// What was said when it was recognised by this. There may be several servers behind one name.
    marks: Vec<(String, Home)>,
    asked: Option<Instant>,
    /// When it was last asked in vain, and that was told.
    given_up: Option<Instant>,
}

impl Known {
    fn is_current(&self) -> bool {
        self.has_given_up() || (self.home.is_some() && (!self.marks.is_empty() || is_recent(self.asked)))
    }

    fn has_given_up(&self) -> bool {
        is_recent(self.given_up)
    }

    fn answer(&self, failure: Option<SqlFailure>) -> Answer {
        let home = self.home.clone();
        Answer { home, failure }
    }

    fn learn(&mut self, home: Home, mark: Option<&str>) {
        self.asked = Some(Instant::now());
        self.given_up = None;
        if let Some(mark) = mark {
            self.remember(mark, &home);
        }
        self.home = Some(home);
    }

    fn remember(&mut self, mark: &str, home: &Home) {
        if self.marks.len() >= MAX_MARKS {
            self.marks.remove(0);
        }
        self.marks.push((mark.to_owned(), home.clone()));
    }

    fn home_of(&self, mark: &str) -> Option<&Home> {
        let known = self.marks.iter().find(|(known, _)| known == mark);
        known.map(|(_, home)| home)
    }

    /// Whether a connection that was made with such an answer is what it is to be, at a server that is recognised by this.
    fn accepts(&mut self, answer: &Answer, mark: Option<&str>) -> bool {
        if answer.failure.is_some() {
            return false;
        }
        let (Some(home), Some(mark)) = (&answer.home, mark) else {
            return true;
        };
        if self.marks.is_empty() {
            // it was asked just now
            self.remember(mark, home);
        }
        self.has_given_up() || self.home_of(mark) == Some(home)
    }
}

fn is_recent(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() < AGAIN)
}

/// What a new connection is to begin with.
pub(super) struct Answer {
    pub(super) home: Option<Home>,
    /// The server was asked in vain, which may be for another reason than that it does not want to say.
    failure: Option<SqlFailure>,
}

/// A server, for a database and a user.
pub(super) struct Place {
    label: String,
    // held while it is asked: others who want to know wait for the answer
    known: tokio::sync::Mutex<Known>,
}

impl Place {
    /// The one of that name.
    pub(super) fn of(label: &str) -> Arc<Self> {
        static PLACES: Mutex<Option<HashMap<String, Arc<Place>>>> = Mutex::new(None);

        let mut places = lock(&PLACES);
        let places = places.get_or_insert_default();
        if places.len() >= MAX_PLACES && !places.contains_key(label) {
            places.clear();
        }
        let place = places.entry(label.to_owned()).or_insert_with(|| {
            Arc::new(Self {
                label: label.to_owned(),
                known: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(place)
    }

    /// What is known, or what the server says now.
    pub(super) async fn answer(&self, access: &PgAccess, deadline: Instant) -> Answer {
        let mut known = self.known.lock().await;
        if known.is_current() {
            return known.answer(None);
        }
        match ask_before(access, deadline).await {
            Ok(home) => {
                known.learn(home, None);
                known.answer(None)
            }
            Err(failure) => known.answer(Some(failure)),
        }
    }

    /// Whether a connection that was made with such an answer is what it is to be, at a server that is recognised by this.
    pub(super) async fn accepts(&self, answer: &Answer, mark: Option<&str>) -> bool {
        self.known.lock().await.accepts(answer, mark)
    }

    /// What the server says that is recognised by this, or could be reached now. A connection to it was closed just before.
    pub(super) async fn new_answer(&self, access: &PgAccess, mark: Option<&str>, deadline: Instant) -> Answer {
        let mut known = self.known.lock().await;
        if let Some(home) = mark.and_then(|mark| known.home_of(mark)).cloned() {
            known.home = Some(home);
            return known.answer(None);
        }
        let mut tries = 0;
        loop {
            match ask_before(access, deadline).await {
                Ok(home) => {
                    known.learn(home, mark);
                    return known.answer(None);
                }
                // the connection's place may not be free yet
                Err(failure) if failure.sqlstate() == Some("53300") && tries < TRIES => {
                    tries += 1;
                    sleep(BETWEEN_TRIES).await;
                }
                Err(failure) => return known.answer(Some(failure)),
            }
        }
    }

    /// A connection was made, though the server was asked in vain: it is left alone for a while.
    pub(super) async fn give_up(&self, answer: &Answer) {
        let Some(failure) = &answer.failure else {
            return;
        };
        self.known.lock().await.given_up = Some(Instant::now());
        let (zone, order) = answer
            .home
            .as_ref()
            .map_or(("UTC", "MDY"), |home| (&home.zone, &home.order));
        tracing::warn!(
            error = %failure,
            "the server of {} could not be asked for the TimeZone and DateStyle of its sessions; they begin with {zone} and ISO, {order}",
            self.label,
        );
    }
}

/// Asks in half of the time that is left to open a connection.
async fn ask_before(access: &PgAccess, deadline: Instant) -> Result<Home, SqlFailure> {
    let limit = ASK_LIMIT.min(deadline.saturating_duration_since(Instant::now()) / 2);
    let late = || SqlFailure::lost(format!("no answer within {:.1} s", limit.as_secs_f64()));
    timeout(limit, ask(access)).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_begin_with_what_they_would_not_have_by_themselves() {
        let sets = |zone: &str, style| sets(&Home::new(zone.to_owned(), style).settings());
        assert_eq!(sets("UTC", "ISO, MDY"), "");
        assert_eq!(sets("UTC", "SQL, MDY"), "");
        assert_eq!(
            sets("Europe/Warsaw", "German, DMY"),
            "SET timezone TO  'Europe/Warsaw';SET datestyle TO  'ISO, DMY';"
        );
        assert_eq!(sets("<it's>-02", "ISO, MDY"), "SET timezone TO  '<it''s>-02';");
    }

    #[test]
    fn what_was_reset_is_given_back() {
        let settings = [Setting::new("timezone", "'A'"), Setting::new("search_path", "b")];
        for (statement, after) in [
            ("RESET ALL", "SET timezone TO 'A';SET search_path TO b;"),
            ("discard all;", "SET timezone TO 'A';SET search_path TO b;"),
            ("RESET TimeZone", "SET timezone TO 'A';"),
            ("RESET TIME ZONE", "SET timezone TO 'A';"),
            ("RESET SESSION AUTHORIZATION", ""),
            ("SET TIME ZONE LOCAL", "SET timezone TO 'A';"),
            ("SET SESSION TIME ZONE DEFAULT", "SET timezone TO 'A';"),
            ("SET LOCAL timezone = DEFAULT", "SET LOCAL timezone TO 'A';"),
            ("SET search_path TO DEFAULT; SELECT 1", "SET search_path TO b;"),
            ("SET TIME ZONE 'Asia/Tokyo'", ""),
            ("SET work_mem TO DEFAULT", ""),
        ] {
            assert_eq!(sets_after(statement, &settings), after, "{statement}");
        }
    }

    #[test]
    fn a_server_is_asked_again_when_it_is_recognised_no_more() {
        let home = |zone: &str| Home::new(zone.to_owned(), "ISO, MDY");
        let mut known = Known::default();
        assert!(!known.is_current());
        known.learn(home("UTC"), None);
        // for a while, as long as it has not said by what it is recognised
        assert!(known.is_current());
        known.asked = Instant::now().checked_sub(AGAIN);
        assert!(known.asked.is_none() || !known.is_current());
        let first = known.answer(None);
        assert!(known.accepts(&first, None) && known.accepts(&first, Some("1")) && known.accepts(&first, Some("1")));
        assert!(known.is_current() && !known.accepts(&first, Some("2")));
        known.learn(home("Asia/Tokyo"), Some("2"));
        let second = known.answer(None);
        // who began before it was asked again, and who came to the other server
        assert!(!known.accepts(&first, Some("2")) && known.accepts(&second, Some("2")));
        assert!(!known.accepts(&second, Some("1")) && known.accepts(&first, Some("1")));
        assert_eq!(known.home_of("1"), Some(&home("UTC")));
        let failed = known.answer(Some(SqlFailure::lost("gone")));
        assert!(!known.accepts(&failed, None));
        // what cannot be asked is left alone for a while
        known.given_up = Some(Instant::now());
        assert!(known.is_current() && known.accepts(&second, Some("3")));
        // marks are not kept for ever
        for mark in 0..20 {
            known.learn(home("UTC"), Some(&mark.to_string()));
        }
        assert_eq!(known.marks.len(), MAX_MARKS);
    }
}
