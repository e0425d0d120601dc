//! Opens connections whose sessions begin with what they are to begin with.

use std::time::Instant;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row as _};

use super::super::error::SqlFailure;
use super::super::options::SqlTarget;
use super::PgLink;
use super::home::{Home, MARK, Place, Setting, sets};
use super::probe::PgAccess;
use super::styles::{INTRODUCTION, Styles};

/// A connection, and what its server has said.
struct Opened {
    connection: PgConnection,
    settings: Vec<Setting>,
    backend: i32,
    version: String,
    styles: Styles,
    /// What the server is recognised by.
    mark: Option<String>,
}

impl PgLink {
    /// Opens a connection; also gives the server's version.
    pub(in super::super) async fn open(access: &PgAccess, target: &SqlTarget) -> Result<(Self, String), SqlFailure> {
        let mut opened;
        if target.is_usual {
            let place = Place::of(target.label());
            let deadline = Instant::now() + target.connect_timeout;
            let mut answer = place.answer(access, deadline).await;
            opened = connect(access, target, answer.home.as_ref()).await?;
            if !place.accepts(&answer, opened.mark.as_deref()).await {
                // with two sessions at a time there could be one more than the server lets in
                let _ = opened.connection.close().await;
                answer = place.new_answer(access, opened.mark.as_deref(), deadline).await;
                opened = connect(access, target, answer.home.as_ref()).await?;
            }
            place.give_up(&answer).await;
        } else {
            opened = connect(access, target, None).await?;
        }
        let Opened { version, .. } = opened;
        let link = Self::new(
            opened.connection,
            opened.backend,
            opened.settings,
            opened.styles,
            target.prepares,
        );
        Ok((link, version))
    }
}

async fn connect(access: &PgAccess, target: &SqlTarget, home: Option<&Home>) -> Result<Opened, SqlFailure> {
    let mut connection: PgConnection = access.options.connect().await?;
    let own = &target.setup;
    let mut settings = home.map(Home::settings).unwrap_or_default();
    settings.retain(|setting| own.iter().all(|other| !other.is_of(setting)));
    settings.extend(own.iter().cloned());
    // all of it takes one round trip; what not every server can say, or has, must not keep anybody away
    let marked = format!("{INTRODUCTION}, {MARK}");
    let (row, settings, is_marked) = match introduce(&mut connection, &settings, &marked).await {
        Err(sqlx::Error::Database(_)) => match introduce(&mut connection, &settings, INTRODUCTION).await {
            Err(sqlx::Error::Database(_)) => (introduce(&mut connection, own, INTRODUCTION).await?, own.clone(), false),
            row => (row?, settings, false),
        },
        row => (row?, settings, true),
    };
    Ok(Opened {
        connection,
        settings,
        backend: row.try_get::<&str, _>(0)?.parse().unwrap_or(0),
        version: row.try_get(1)?,
        styles: Styles::of(&row)?,
        mark: if is_marked { row.try_get(5)? } else { None },
    })
}

async fn introduce(
    connection: &mut PgConnection,
    settings: &[Setting],
    introduction: &str,
) -> Result<PgRow, sqlx::Error> {
    let sql = sets(settings) + introduction;
    connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await
}
