//! A cluster: the library knows which node has what; connections with one user go to the node that has their key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use busbar_model::{Error, Kind};
use redis::aio::ConnectionLike;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, RedisResult, TlsMode, Value};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::address::Endpoint;
use super::command::upper;
use super::line::Line;
use super::{RedisConfig, RedisFailure, RedisFailureKind, Reply};

/// Connections to the nodes of a cluster.
pub(super) struct Cluster {
    client: ClusterClient,
    nodes: Vec<Endpoint>,
    open: tokio::sync::Mutex<Option<ClusterConnection>>,
    slots: Mutex<Option<Arc<Vec<Slots>>>>,
}

/// Slots that a node has.
#[derive(Clone)]
pub(super) struct Slots {
    first: i64,
    last: i64,
    host: String,
    port: u16,
}

impl Cluster {
    pub(super) fn build(
        config: &RedisConfig,
        nodes: Vec<Endpoint>,
        ca_path: &str,
        verify: bool,
    ) -> Result<Self, Error> {
        let wrong = |message: &str| Error::new(Kind::Config, format!("cannot use the cluster of Redis: {message}"));
        let first = nodes.first().ok_or_else(|| wrong("it names no node"))?;
        let settings = first.info.redis_settings();
        let mut builder = ClusterClient::builder(nodes.iter().map(|node| node.info.clone()))
            .connection_timeout(config.connect_timeout)
            .response_timeout(config.response_timeout)
            .retries(4);
        if let Some(user) = settings.username() {
            builder = builder.username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.password(password);
        }
        if first.tls.is_some() {
            builder = builder.tls(if verify { TlsMode::Secure } else { TlsMode::Insecure });
            if !ca_path.is_empty() {
                let root_cert = std::fs::read(ca_path)
                    .map_err(|error| wrong(&format!("`{ca_path}` cannot be read")).with_source(error))?;
                builder = builder.certs(redis::TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root_cert),
                });
            }
        }
        let client = builder
            .build()
            .map_err(|error| wrong("its nodes are not alike").with_source(error))?;
        Ok(Self {
            client,
            nodes,
            open: tokio::sync::Mutex::default(),
            slots: Mutex::default(),
        })
    }

    /// Runs a command on the nodes that it concerns.
    pub(super) async fn execute(&self, cmd: Cmd, config: &RedisConfig) -> Result<Reply, RedisFailure> {
        let mut connection = self.connection(config).await?;
        let result = timeout(limit(config), connection.req_packed_command(&cmd)).await;
        self.judge(result).await
    }

    /// Runs a command on one node.
    pub(super) async fn execute_at(&self, cmd: Cmd, node: &Slots, config: &RedisConfig) -> Result<Reply, RedisFailure> {
        let routing = SingleNodeRoutingInfo::ByAddress {
            host: node.host.clone(),
            port: node.port,
        };
        let mut connection = self.connection(config).await?;
        let routing = RoutingInfo::SingleNode(routing);
        let result = timeout(limit(config), connection.route_command(cmd, routing)).await;
        self.judge(result).await
    }

    async fn judge(&self, result: Result<RedisResult<Value>, Elapsed>) -> Result<Reply, RedisFailure> {
        let result = match result {
            Ok(Ok(value)) => Reply::from(value).into_result(),
            Ok(Err(error)) => Err(RedisFailure::from_library(&error)),
            Err(_late) => Err(RedisFailure::new(
                RedisFailureKind::Timeout,
                "no reply from the cluster in time",
            )),
        };
        if result.as_ref().is_err_and(RedisFailure::breaks_connection) {
            *self.open.lock().await = None;
        }
        result
    }

    async fn connection(&self, config: &RedisConfig) -> Result<ClusterConnection, RedisFailure> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let limit = config.connect_timeout + config.patience;
        let failed = |reason: String| {
            let message = format!("cannot connect to the cluster of Redis at {:?}: {reason}", self.nodes);
            RedisFailure::new(RedisFailureKind::Connection, message)
        };
        match timeout(limit, self.client.get_async_connection()).await {
            Ok(Ok(connection)) => Ok(open.insert(connection).clone()),
            Ok(Err(error)) => Err(match RedisFailure::from_library(&error) {
                failure if failure.kind() == RedisFailureKind::Authentication => {
                    failure.of_login(format_args!("{:?}", self.nodes))
                }
                failure => failed(failure.message().to_owned()),
            }),
            Err(_late) => Err(failed("it took too long".to_owned())),
        }
    }

    /// Forgets which node has what, so that it is asked again.
    pub(super) fn forget(&self) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The masters, each once.
    pub(super) async fn masters(&self, config: &RedisConfig) -> Result<Vec<Slots>, RedisFailure> {
        let mut masters: Vec<Slots> = Vec::new();
        self.forget();
        for node in self.slots(config).await?.iter() {
            if !masters
                .iter()
                .any(|known| (&known.host, known.port) == (&node.host, node.port))
            {
                masters.push(node.clone());
            }
        }
        Ok(masters)
    }

    /// The node that has the key of a command; any, if it has none.
    pub(super) async fn node_for(&self, command: &[Vec<u8>], config: &RedisConfig) -> Result<Endpoint, RedisFailure> {
        let slots = self.slots(config).await?;
        let slot = match key_of(command) {
            Some(key) => {
                let mut cmd = Cmd::new();
                cmd.arg("CLUSTER").arg("KEYSLOT").arg(key);
                match self.execute(cmd, config).await? {
                    Reply::Int(slot) => slot,
                    _ => 0,
                }
            }
            None => 0,
        };
        let node = slots.iter().find(|node| (node.first..=node.last).contains(&slot));
        let node = node.ok_or_else(|| {
            RedisFailure::new(
                RedisFailureKind::Response,
                format!("CLUSTERDOWN slot {slot} has no node"),
            )
        })?;
        Ok(self.nodes[0].at(&node.host, node.port))
    }

    async fn slots(&self, config: &RedisConfig) -> Result<Arc<Vec<Slots>>, RedisFailure> {
        let known = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let slots = Arc::new(self.ask_slots(config).await?);
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&slots));
        Ok(slots)
    }

    async fn ask_slots(&self, config: &RedisConfig) -> Result<Vec<Slots>, RedisFailure> {
        let mut last = RedisFailure::new(RedisFailureKind::Connection, "the cluster has no nodes");
        for node in &self.nodes {
            let Ok(host) = host_of(node) else { continue };
            match ask(node, config.connect_timeout, config.response_timeout).await {
                Ok(reply) => return Ok(read_slots(reply, &host)),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

/// How long a command may take, with the library's attempts to find the node that has its keys by now.
fn limit(config: &RedisConfig) -> Duration {
    config.response_timeout + config.patience
}

async fn ask(node: &Endpoint, connect: Duration, response: Duration) -> Result<Reply, RedisFailure> {
    let mut line = Line::open(node, connect, response).await?;
    let mut replies = line
        .run(&[vec![b"CLUSTER".to_vec(), b"SLOTS".to_vec()]], Some(response))
        .await?;
    replies.pop().unwrap_or(Reply::Nil).into_result()
}

fn host_of(node: &Endpoint) -> Result<String, RedisFailure> {
    match node.info.addr() {
        redis::ConnectionAddr::Tcp(host, _) => Ok(host.clone()),
        other => Err(RedisFailure::new(
            RedisFailureKind::Data,
            format!("`{other}` is no node"),
        )),
    }
}

/// First and last slot, and the master; a node that does not know its own address is where it was asked.
fn read_slots(reply: Reply, asked: &str) -> Vec<Slots> {
    let Reply::Array(ranges) = reply else { return Vec::new() };
    let read = |range: Reply| {
        let Reply::Array(parts) = range else { return None };
        let [Reply::Int(first), Reply::Int(last), Reply::Array(master), ..] = &parts[..] else {
            return None;
        };
        let [host, Reply::Int(port), ..] = &master[..] else {
            return None;
        };
        let host = host.as_bytes().map(|host| String::from_utf8_lossy(host).into_owned());
        Some(Slots {
            first: *first,
            last: *last,
            host: host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.to_owned()),
            port: u16::try_from(*port).ok()?,
        })
    };
    ranges.into_iter().filter_map(read).collect()
}

/// The first key of a command; `None` if it has none.
fn key_of(command: &[Vec<u8>]) -> Option<&[u8]> {
    let at = match upper(command.first()?).as_slice() {
        b"WAIT" | b"WAITAOF" | b"PING" | b"MULTI" | b"EXEC" | b"UNWATCH" | b"DISCARD" => return None,
        b"BLMPOP" | b"BZMPOP" | b"EVAL" | b"EVALSHA" | b"FCALL" => 3,
        b"LMPOP" | b"ZMPOP" | b"OBJECT" | b"XGROUP" | b"XINFO" | b"BITOP" => 2,
        b"XREAD" | b"XREADGROUP" => command.iter().position(|word| upper(word) == b"STREAMS")? + 1,
        _ => 1,
    };
    command.get(at).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_commands_have_them() {
        for (command, key) in [
            ("BLPOP a b 0", Some("a")),
            ("BLMPOP 0 2 a b LEFT", Some("a")),
            ("XREAD COUNT 1 BLOCK 5 STREAMS s 0", Some("s")),
            ("EVAL x 1 k", Some("k")),
            ("WAIT 1 2", None),
            ("PING", None),
            ("WATCH k", Some("k")),
        ] {
            let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(key_of(&words), key.map(str::as_bytes), "{command}");
        }
    }
}
