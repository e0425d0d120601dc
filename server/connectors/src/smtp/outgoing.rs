//! Connections to mail servers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::object::Snapshot;
use busbar_model::{Error, Kind};
use busbar_runtime::{Configure, Switch};
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::runtime::Handle;

use crate::live::{Live, Make};
use crate::smtp::config::{EmailSmtp, SmtpMode};
use crate::smtp::error::failed;

/// All mail servers of a worker.
#[derive(Default)]
pub struct SmtpConnections {
    live: Live<SmtpConnection>,
}

impl SmtpConnections {
    /// The connection of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off; else why it cannot be
    /// made.
    pub fn get(&self, name: &str) -> Result<Arc<SmtpConnection>, Error> {
        self.live.get(name)
    }
}

impl Configure for SmtpConnections {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        Ok(self.live.prepare(snapshot, |_| {}))
    }
}

impl Make for SmtpConnection {
    type Config = EmailSmtp;

    fn make(name: &str, config: EmailSmtp) -> Result<Self, Error> {
        Self::build(name, config)
    }
}

/// A mail server, and a pool of connections to it.
pub struct SmtpConnection {
    name: String,
    config: EmailSmtp,
    transport: OnRuntime<AsyncSmtpTransport<Tokio1Executor>>,
}

impl SmtpConnection {
    /// Connects to nothing yet. Must be called within a tokio runtime.
    pub(crate) fn build(name: &str, config: EmailSmtp) -> Result<Self, Error> {
        let wrong = |message: &str| Error::new(Kind::Config, format!("cannot set email.smtp `{name}` up: {message}"));
        let tls = || -> Result<TlsParameters, Error> {
            let mut builder =
                TlsParameters::builder(config.host.clone()).dangerous_accept_invalid_certs(!config.tls_verify);
            if !config.tls_ca_path.is_empty() {
                let pem = std::fs::read(&config.tls_ca_path)
                    .map_err(|error| wrong(&format!("`{}` cannot be read", config.tls_ca_path)).with_source(error))?;
                let certificate = Certificate::from_pem(&pem).map_err(|error| {
                    wrong(&format!("`{}` holds no certificate", config.tls_ca_path)).with_source(error)
                })?;
                builder = builder.add_root_certificate(certificate);
            }
            builder
                .build_rustls()
                .map_err(|error| wrong("TLS cannot be used").with_source(error))
        };
        let tls = match config.mode {
            SmtpMode::Plain => Tls::None,
            SmtpMode::Ssl => Tls::Wrapper(tls()?),
            SmtpMode::StartTls => Tls::Required(tls()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
            .port(config.port())
            .tls(tls)
            .timeout(Some(Duration::from_secs_f64(config.timeout)))
            .pool_config(PoolConfig::new().max_size(config.pool_size));
        if !config.username.is_empty() {
            builder = builder.credentials(Credentials::new(config.username.clone(), config.password.clone()));
        }
        Ok(Self {
            name: name.to_owned(),
            transport: OnRuntime::new(builder.build()),
            config,
        })
    }

    /// Its configuration.
    pub fn config(&self) -> &EmailSmtp {
        &self.config
    }

    /// Sends a message that is written out already.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for what is no address; else what the server or the way to it had against it.
    pub async fn send(&self, from: &str, to: &[String], message: &[u8]) -> Result<(), Error> {
        let address = |text: &str| {
            text.parse::<Address>().map_err(|error| {
                Error::new(Kind::BadRequest, format!("`{text}` is not an e-mail address")).with_source(error)
            })
        };
        let to = to.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
        let envelope = Envelope::new(Some(address(from)?), to)
            .map_err(|error| Error::new(Kind::BadRequest, "a message needs somebody to go to").with_source(error))?;
        let sent = self.transport.send_raw(&envelope, message);
        self.within_limit("take the message", sent).await?;
        if self.config.is_debug {
            tracing::info!(conn.kind = "email.smtp", conn.name = %self.name, size_bytes = message.len(), "`{}` took a message", self.name);
        }
        Ok(())
    }

    /// Asks the server whether it is there.
    pub async fn ping(&self) -> Result<bool, Error> {
        self.within_limit("answer a ping", self.transport.test_connection())
            .await
    }

    async fn within_limit<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<T, Error> {
        let limit = Duration::from_secs_f64(self.config.timeout);
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(|error| failed(&self.name, what, error)),
            Err(_) => {
                let message = format!(
                    "email.smtp `{}` did not {what} within {} s",
                    self.name, self.config.timeout
                );
                Err(Error::new(Kind::Timeout, message))
            }
        }
    }
}

/// Something that starts a task when it is dropped, on the runtime on which it was made: the last one who holds it may be a thread of
/// Python's, or the process that ends.
struct OnRuntime<T> {
    /// There until it is dropped.
    inner: Option<T>,
    runtime: Handle,
}

impl<T> OnRuntime<T> {
    /// Must be called within a tokio runtime.
    fn new(inner: T) -> Self {
        Self {
            inner: Some(inner),
            runtime: Handle::current(),
        }
    }
}

impl<T> Deref for OnRuntime<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("it is taken by the destructor only")
    }
}

impl<T> Drop for OnRuntime<T> {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        drop(self.inner.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_wherever_it_is_dropped_and_after_its_runtime() {
        let config = |host: &str| serde_json::from_value::<EmailSmtp>(serde_json::json!({"host": host})).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let [one, other] = ["a", "b"].map(|host| {
            let _runtime = runtime.enter();
            SmtpConnection::build("Mail", config(host)).unwrap()
        });
        drop(one);
        runtime.shutdown_background();
        drop(other);
    }
}
