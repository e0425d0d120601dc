//! A line on which the protocol of PostgreSQL is spoken: the log-in, messages there and back, and what the server says of the session.
//!
//! sqlx has connections of its own, which take one statement at a time, hand on each row through two streams, and begin every session in
//! UTC. Services get what the server gives to anybody, several messages go together here, and rows are read where they lie. What is between
//! the messages is not busbar's: `postgres-protocol` writes them and takes them apart, and knows how to log in; sockets and TLS are those
//! that sqlx uses.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Header, Message};
use postgres_protocol::message::frontend;
use sqlx_core::net::Socket;
use tokio::task::coop::consume_budget;

use super::super::error::{SqlFailure, SqlFailureClass};
use super::access::PgAccess;
use super::input::Input;
use super::row::Values;

/// Bytes of a header: a tag and a length.
const HEADER: usize = 5;
/// Zones that are UTC at any time. There are further names; with those points in time come as text, which is all that differs.
const UTC: [&str; 7] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Zulu", "Universal"];
/// What becomes of a log-in when something between here and the server knows not all settings.
const PROTOCOL_VIOLATION: &str = "08P01";
/// What a user can do then. To set them afterwards would set them for whoever has the connection of the server next.
const HOW_TO_SET: &str = "What stands between here and the server lets nobody set that. Set it on the server: ALTER ROLE ... SET, or \
    ALTER DATABASE ... SET.";
/// What an empty buffer may hold on to.
const KEPT: usize = 1024 * 1024;

/// A line to a server, logged in on.
pub(super) struct Line {
    socket: Box<dyn Socket>,
    input: Input,
    /// Bytes of the message that is looked at.
    current: usize,
    output: BytesMut,
    /// Bytes of those that are under way.
    sent: usize,
    /// How often the server is still to say that it is ready.
    owed: u32,
    /// What it said of transactions when it was.
    status: u8,
    /// By what it knows the session, and what whoever cuts off a statement has to say.
    key: (i32, i32),
    session: Session,
}

/// What a server says of the session, at once whenever it has changed.
#[derive(Default)]
pub(super) struct Session {
    /// Its version.
    pub(super) version: String,
    zone: String,
    date_style: String,
    interval_style: String,
    /// Zone and styles as one: what stands in quotes in a statement is read by these when that is prepared.
    pub(super) styles: Arc<str>,
}

impl Session {
    /// Whether days, points and spans of time are written as they are read here.
    pub(super) fn writes_iso(&self) -> bool {
        self.date_style.starts_with("ISO") && matches!(self.interval_style.as_str(), "postgres" | "")
    }

    /// Whether points in time are shown in UTC.
    pub(super) fn is_utc(&self) -> bool {
        UTC.contains(&self.zone.as_str())
    }

    fn note(&mut self, name: &str, value: &str) {
        let place = match name {
            "server_version" => &mut self.version,
            "TimeZone" => &mut self.zone,
            "DateStyle" => &mut self.date_style,
            "IntervalStyle" => &mut self.interval_style,
            _ => return,
        };
        value.clone_into(place);
        self.styles = [&*self.zone, &*self.date_style, &*self.interval_style].join("|").into();
    }
}

impl Line {
    /// Connects and logs in.
    pub(super) async fn open(access: &PgAccess) -> Result<Self, SqlFailure> {
        let mut line = Self::log_in(access, &access.settings)
            .await
            .map_err(|failure| match failure.sqlstate() {
                Some(PROTOCOL_VIOLATION) if !access.settings.is_empty() => failure.hinted(HOW_TO_SET),
                _ => failure,
            })?;
        let style = &line.session.date_style;
        if style.starts_with("ISO") {
            return Ok(line);
        }
        // days are written as ISO, as with psycopg2; their order stays, and so it is to be after a RESET, too
        let order = style.rsplit(',').next().unwrap_or_default().trim();
        let mut settings = access.settings.clone();
        settings.push(("DateStyle", format!("ISO, {order}")));
        match Self::log_in(access, &settings).await {
            Ok(other) => {
                // it is gone either way
                let _ = line.close().await;
                Ok(other)
            }
            // there may be no room for two
            Err(_) => {
                line.command("SET datestyle TO 'ISO'").await?;
                Ok(line)
            }
        }
    }

    async fn log_in(access: &PgAccess, settings: &[(&'static str, String)]) -> Result<Self, SqlFailure> {
        let mut line = Self {
            socket: access.connect().await?,
            input: Input::default(),
            current: 0,
            output: BytesMut::new(),
            sent: 0,
            owed: 1,
            status: b'I',
            key: (0, 0),
            session: Session::default(),
        };
        let PgAccess { options, secrets, .. } = access;
        let (user, password) = (options.get_username(), secrets.password.as_bytes());
        let parameters = [
            Some(("user", user)),
            options.get_database().map(|name| ("database", name)),
            Some(("client_encoding", "UTF8")),
            options.get_application_name().map(|name| ("application_name", name)),
            options.get_options().map(|options| ("options", options)),
        ];
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let parameters = parameters.into_iter().flatten().chain(settings);
        frontend::startup_message(parameters, &mut line.output).map_err(unfit)?;
        line.flush().await?;
        let mut scram = None;
        while line.owed > 0 {
            let tag = line.next().await?;
            match tag {
                b'R' | b'K' | b'E' => {}
                b'Z' => break,
                _ => return Err(out_of_turn(tag)),
            }
            match line.message()? {
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password, &mut line.output).map_err(unfit)?;
                }
                Message::AuthenticationMd5Password(asked) => {
                    let hash = md5_hash(user.as_bytes(), password, asked.salt());
                    frontend::password_message(hash.as_bytes(), &mut line.output).map_err(unfit)?;
                }
                Message::AuthenticationSasl(offer) => {
                    if !offer
                        .mechanisms()
                        .any(|name| Ok(name == SCRAM_SHA_256))
                        .map_err(unspeakable)?
                    {
                        return Err(unknown_log_in());
                    }
                    let talk = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
                    frontend::sasl_initial_response(SCRAM_SHA_256, talk.message(), &mut line.output).map_err(unfit)?;
                }
                Message::AuthenticationSaslContinue(said) => {
                    let talk = scram.as_mut().ok_or_else(|| out_of_turn(tag))?;
                    talk.update(said.data()).map_err(unspeakable)?;
                    frontend::sasl_response(talk.message(), &mut line.output).map_err(unfit)?;
                }
                Message::AuthenticationSaslFinal(said) => {
                    // the server has shown that it knows the password too
                    let mut talk = scram.take().ok_or_else(|| out_of_turn(tag))?;
                    talk.finish(said.data()).map_err(unspeakable)?;
                }
                Message::AuthenticationOk if scram.is_none() => {}
                Message::AuthenticationOk => return Err(out_of_turn(tag)),
                Message::BackendKeyData(key) => line.key = (key.process_id(), key.secret_key()),
                Message::ErrorResponse(error) => return Err(SqlFailure::of_postgres(&error)),
                _ => return Err(unknown_log_in()),
            }
            line.flush().await?;
        }
        Ok(line)
    }

    /// The number by which the server knows the session.
    pub(super) fn backend(&self) -> i32 {
        self.key.0
    }

    /// What the server says of the session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether a transaction is open in which statements can be run.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.status == b'T'
    }

    /// Whether no transaction is open.
    pub(super) fn is_outside(&self) -> bool {
        self.status == b'I'
    }

    /// Writes messages, which go with the next flush; none of them if that fails.
    pub(super) fn write<E>(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let end = self.output.len();
        write(&mut self.output).inspect_err(|_| self.output.truncate(end))
    }

    /// Bytes that were written and not sent.
    pub(super) fn written(&self) -> usize {
        self.output.len()
    }

    /// Takes back what was written beyond so many bytes.
    pub(super) fn unwrite(&mut self, length: usize) {
        self.output.truncate(length);
    }

    /// Takes back what was written, if nothing of it was sent.
    pub(super) fn forget_unsent(&mut self) {
        if self.sent == 0 && !self.output.is_empty() {
            self.output.clear();
            self.owed = 0;
        }
    }

    /// Writes statements, after all of which the server is ready.
    pub(super) fn query(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.write(|out| frontend::query(sql, out)).map_err(unfit)?;
        self.owed += 1;
        Ok(())
    }

    /// Writes that what was written belongs together. If one message of it fails, none of those that follow is looked at.
    pub(super) fn sync(&mut self) {
        frontend::sync(&mut self.output);
        self.owed += 1;
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self) -> Result<(), SqlFailure> {
        poll_fn(|cx| self.poll_flush(cx)).await.map_err(lost)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // a line of TLS with nothing to write would wait for something to read
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.sent < self.output.len() {
            match self.socket.try_write(&self.output[self.sent..]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.socket.poll_write_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        ready!(self.socket.poll_flush(cx))?;
        self.sent = 0;
        if self.output.capacity() > KEPT {
            self.output = BytesMut::new();
        } else {
            self.output.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was written, if that can be done without waiting.
    pub(super) fn flush_now(&mut self) -> bool {
        matches!(
            self.poll_flush(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(Ok(()))
        )
    }

    /// Goes on to the next message and gives its tag. What the server says of the session, or to anybody, is taken in on the way.
    #[inline]
    pub(super) async fn next(&mut self) -> Result<u8, SqlFailure> {
        loop {
            self.input.advance(std::mem::take(&mut self.current));
            let bytes = self.input.bytes();
            let wanted = match Header::parse(bytes).map_err(unspeakable)? {
                Some(header) => {
                    let length = header.len() as usize + 1;
                    if bytes.len() >= length {
                        self.current = length;
                        match header.tag() {
                            b'S' | b'N' | b'A' => self.told()?,
                            b'Z' => {
                                self.status = bytes.get(HEADER).copied().unwrap_or(b'I');
                                self.owed = self.owed.saturating_sub(1);
                                return Ok(b'Z');
                            }
                            tag => return Ok(tag),
                        }
                        continue;
                    }
                    length
                }
                None => HEADER,
            };
            self.fill(wanted).await?;
        }
    }

    /// Reads what there is.
    async fn fill(&mut self, wanted: usize) -> Result<(), SqlFailure> {
        // whoever waits with a limit has his turn, also where there is always something to read
        consume_budget().await;
        let count = poll_fn(|cx| {
            loop {
                match self.input.try_fill(&mut *self.socket, wanted) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.socket.poll_read_ready(cx))?,
                    done => return Poll::Ready(done),
                }
            }
        });
        if count.await.map_err(lost)? == 0 {
            return Err(lost(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server has closed it",
            )));
        }
        Ok(())
    }

    /// The message that is looked at, without its header.
    #[inline]
    pub(super) fn body(&self) -> &[u8] {
        &self.input.bytes()[HEADER..self.current]
    }

    /// The message that is looked at, taken apart.
    pub(super) fn message(&self) -> Result<Message, SqlFailure> {
        let mut bytes = BytesMut::from(&self.input.bytes()[..self.current]);
        let message = Message::parse(&mut bytes).map_err(unspeakable)?;
        message.ok_or_else(|| unspeakable(io::ErrorKind::UnexpectedEof.into()))
    }

    /// The server has said something that is no answer.
    fn told(&mut self) -> Result<(), SqlFailure> {
        match self.message()? {
            Message::ParameterStatus(status) => {
                let name = status.name().map_err(unspeakable)?;
                self.session.note(name, status.value().map_err(unspeakable)?);
            }
            Message::NoticeResponse(notice) => {
                let (severity, text) = severity_and_message(notice.fields());
                if severity == "WARNING" {
                    tracing::warn!(backend = self.key.0, "PostgreSQL warns: {text}");
                } else {
                    tracing::debug!(backend = self.key.0, "PostgreSQL says: {text}");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads what is left of answers that nobody wants any more.
    pub(super) async fn settle(&mut self) -> Result<(), SqlFailure> {
        self.flush().await?;
        // only what ends the session is still of interest
        match self.finish().await {
            Err(failure) if failure.is_disconnect() => Err(failure),
            _ => Ok(()),
        }
    }

    /// Whether everything that was asked for has been answered.
    pub(super) fn is_settled(&self) -> bool {
        self.owed == 0 && self.output.is_empty()
    }

    /// Waits until everything that was sent is answered. Fails as the first of it has failed.
    pub(super) async fn finish(&mut self) -> Result<(), SqlFailure> {
        let mut failed = None;
        while self.owed > 0 {
            if self.next().await? == b'E' {
                self.fail(&mut failed)?;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Runs one statement, and gives its rows as text.
    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SqlFailure> {
        self.settle().await?;
        self.query(sql)?;
        self.flush().await?;
        let (mut rows, mut failed) = (Vec::new(), None);
        while self.owed > 0 {
            match self.next().await? {
                b'D' => {
                    let (mut values, mut row) = (Values::of(self.body())?, Vec::new());
                    while let Some(value) = values.next()? {
                        row.push(value.map(|value| String::from_utf8_lossy(value).into_owned()));
                    }
                    rows.push(row);
                }
                b'E' => self.fail(&mut failed)?,
                _ => {}
            }
        }
        failed.map_or(Ok(rows), Err)
    }

    /// Runs statements that have no values and give nothing.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), SqlFailure> {
        self.settle().await?;
        self.query(sql)?;
        self.flush().await?;
        self.finish().await
    }

    /// Asks whether the server is there.
    pub(super) async fn ping(&mut self) -> Result<(), SqlFailure> {
        self.settle().await?;
        self.sync();
        self.flush().await?;
        self.finish().await
    }

    /// The message that is looked at is a failure. Where there is one already, what comes after it comes of it. One that ends the session
    /// is told at once.
    pub(super) fn fail(&self, failed: &mut Option<SqlFailure>) -> Result<(), SqlFailure> {
        let Message::ErrorResponse(error) = self.message()? else {
            return Err(out_of_turn(b'E'));
        };
        let failure = SqlFailure::of_postgres(&error);
        let (severity, _) = severity_and_message(error.fields());
        if failure.is_disconnect() || matches!(&*severity, "FATAL" | "PANIC") {
            return Err(failure.disconnected());
        }
        failed.get_or_insert(failure);
        Ok(())
    }

    /// Asks the server, on a line of its own, to stop what the session does.
    pub(super) async fn cancel(&self, access: &PgAccess) -> Result<(), SqlFailure> {
        let mut socket = access.connect().await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.key.0, self.key.1, &mut request);
        let mut rest = &request[..];
        while !rest.is_empty() {
            let count = socket.write(rest).await.map_err(lost)?;
            rest = &rest[count..];
        }
        socket.flush().await.map_err(lost)?;
        // the server closes the line when it has done so, one way or another
        let _ = socket.read(&mut &mut [0][..]).await;
        Ok(())
    }

    /// Says good-bye.
    pub(super) async fn close(mut self) -> Result<(), SqlFailure> {
        frontend::terminate(&mut self.output);
        self.flush().await?;
        poll_fn(|cx| self.socket.poll_shutdown(cx)).await.map_err(lost)
    }
}

fn lost(error: io::Error) -> SqlFailure {
    sqlx::Error::Io(error).into()
}

/// What no message can hold.
pub(super) fn unfit(error: io::Error) -> SqlFailure {
    SqlFailure::new(SqlFailureClass::Data, error.to_string())
}

pub(super) fn unspeakable(error: io::Error) -> SqlFailure {
    sqlx::Error::Protocol(error.to_string()).into()
}

pub(super) fn out_of_turn(tag: u8) -> SqlFailure {
    sqlx::Error::Protocol(format!("a message `{}` that does not belong there", char::from(tag))).into()
}

/// How bad a failure or a notice is, in English where the server says so, and what it says.
pub(in super::super) fn severity_and_message(mut fields: ErrorFields<'_>) -> (String, String) {
    let (mut severity, mut message) = (String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'S' if severity.is_empty() => severity = text(),
            b'V' => severity = text(),
            b'M' => message = text(),
            _ => {}
        }
    }
    (severity, message)
}

fn unknown_log_in() -> SqlFailure {
    let message =
        "the server asks for a kind of log-in that is not there: passwords go in plain, as MD5 or by SCRAM-SHA-256";
    SqlFailure::new(SqlFailureClass::NotSupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_what_the_server_says_of_them() {
        let mut session = Session::default();
        for (name, value) in [
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
        ] {
            session.note(name, value);
        }
        assert!(session.is_utc() && session.writes_iso());
        let before = session.styles.clone();
        session.note("application_name", "crm");
        assert_eq!(session.styles, before);
        session.note("TimeZone", "Europe/Warsaw");
        assert!(!session.is_utc() && session.writes_iso() && session.styles != before);
        session.note("DateStyle", "German, DMY");
        assert!(!session.writes_iso());
    }
}
