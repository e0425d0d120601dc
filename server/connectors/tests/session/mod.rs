//! Sessions of PostgreSQL for tests.

use std::sync::Arc;

use busbar_connectors::sql::{Cell, Engine, Param, Scanned, SqlFailure, SqlRequest, SqlSession, SqlTarget, Style};

/// Opens a session.
pub async fn open(url: &str, options: &[(&str, &str)]) -> SqlSession {
    let options: Vec<_> = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let target = SqlTarget::of_url(url, &options).unwrap();
    SqlSession::open(target).await.unwrap()
}

/// The text in the first column of the first row.
pub async fn text(session: &SqlSession, sql: &str, values: Vec<Param>) -> Result<String, SqlFailure> {
    let request = SqlRequest {
        scanned: Arc::new(Scanned::new(sql, Some(Style::Pyformat), Engine::Postgres).unwrap()),
        lists: vec![values],
        is_many: false,
    };
    let outcome = session.execute(request).await?;
    session.fetch_all(&outcome).await?;
    let mut rows = outcome.ready();
    match rows.next_row().unwrap().cell(0) {
        Ok(Cell::Text(text)) => Ok(text.into_owned()),
        other => panic!("no text: {other:?}"),
    }
}
