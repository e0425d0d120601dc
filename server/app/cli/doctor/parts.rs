//! What a server talks to: its addresses, its Redis, its database; and itself, if it runs.

use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use busbar_admin::control::Status;
use busbar_broker::about::{OLDEST, RedisAbout, about};
use busbar_store::{Schema, Store};

use crate::cli::doctor::Check;
use crate::cli::info::redis_url;
use crate::config::Config;
use crate::directory::Directory;
use crate::odb;

/// How far the clocks of two machines may be apart.
const CLOCKS: Duration = Duration::from_secs(5);

/// The running server.
pub fn server(directory: &Directory, status: Option<&Status>) -> Vec<Check> {
    const NAME: &str = "server";
    let Some(status) = status else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    let node = &status.node;
    let ours = env!("CARGO_PKG_VERSION");
    if node.version != ours {
        checks.push(Check::warning(
            NAME,
            format!("busbar {} runs, and this command is of busbar {ours}", node.version),
            format!(
                "restart it: busbar stop {0} && busbar start {0}",
                directory.path().display()
            ),
        ));
    }
    for worker in node.workers.iter().filter(|worker| worker.state != "ready") {
        checks.push(Check::warning(
            NAME,
            format!("worker {} is {}", worker.number, worker.state),
            format!("see {}", directory.log().display()),
        ));
    }
    for failure in &status.failures {
        checks.push(Check::warning(
            NAME,
            format!("`{}` could not be deployed: {}", failure.module, failure.message),
            "correct the file and deploy it again; what ran before still runs",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            NAME,
            format!("it runs (pid {}) on {}", node.pid, node.address),
        ));
    }
    checks
}

/// Where it answers, or is to.
pub fn address(directory: &Directory, config: &Config, status: Option<&Status>) -> Vec<Check> {
    const NAME: &str = "address";
    let configured = &config.http.address;
    let mut checks = vec![match (status, configured.to_socket_addrs()) {
        (Some(status), _) => Check::ok(NAME, format!("the server has {}", status.node.address)),
        (None, Err(error)) => Check::problem(
            NAME,
            format!("`{configured}` is no address: {error}"),
            "set `address` of [http] in config/server.toml to HOST:PORT",
        ),
        // a server that does not answer may have it
        (None, Ok(_)) if directory.running().is_some() => {
            Check::ok(NAME, format!("`{configured}` is not looked at: the server may have it"))
        }
        (None, Ok(addresses)) => match addresses
            .into_iter()
            .find_map(|address| TcpListener::bind(address).err())
        {
            None => Check::ok(NAME, format!("{configured} is free")),
            Some(error) => Check::problem(
                NAME,
                format!("{configured} cannot be had: {error}"),
                "another program has it, which `ss -ltnp` names, or it is not one of this machine; end that program, or set another \
                 `address` of [http] in config/server.toml",
            ),
        },
    }];
    if let Some(tls) = &config.http.tls {
        let base = directory.path().join("config");
        for file in [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]
            .into_iter()
            .flatten()
        {
            let path = base.join(file);
            if let Err(error) = std::fs::read(&path) {
                checks.push(Check::problem(
                    NAME,
                    format!("cannot read `{}` for TLS: {error}", path.display()),
                    "put the file there, or correct `tls` of [http] in config/server.toml",
                ));
            }
        }
    }
    checks
}

/// Its Redis.
pub fn redis(config: &Config, status: Option<&Status>) -> Vec<Check> {
    const NAME: &str = "redis";
    let is_private = config.redis.url.is_empty();
    let Some(url) = redis_url(config, status.map(|status| &status.node)) else {
        return vec![executable(&config.redis.executable)];
    };
    let about = match odb::block_on(about(&url)) {
        Ok(about) => about,
        Err(error) => {
            let hint = if is_private {
                "see logs/redis.log; the server starts it again"
            } else {
                "start it, or correct `url` of [redis] in config/server.toml"
            };
            return vec![Check::problem(NAME, format!("{error:#}"), hint)];
        }
    };
    let mut wrong = judge(&about);
    if wrong.is_empty() {
        wrong.push(Check::ok(
            NAME,
            format!("Redis {} answers and keeps what is in it", about.version),
        ));
    }
    wrong
}

fn judge(about: &RedisAbout) -> Vec<Check> {
    const NAME: &str = "redis";
    let mut wrong = Vec::new();
    let RedisAbout {
        version,
        eviction,
        role,
        ..
    } = about;
    if !about.is_new_enough() {
        let (major, minor) = OLDEST;
        wrong.push(Check::problem(
            NAME,
            format!("Redis is {version}, and the queue needs {major}.{minor}"),
            "install a newer one",
        ));
    }
    if role == "slave" {
        wrong.push(Check::problem(
            NAME,
            "it is a replica, which cannot be written to",
            "name its master in `url` of [redis]",
        ));
    }
    if !about.wrote_well {
        wrong.push(Check::problem(
            NAME,
            "it could not write to its disk the last time",
            "see its log; it may refuse further changes",
        ));
    }
    if !about.is_persistent() {
        wrong.push(Check::warning(
            NAME,
            "it writes nothing to disk: messages that wait and what services keep in it are gone when it restarts",
            "set `appendonly yes` in its configuration",
        ));
    }
    if about.max_memory > 0 && eviction != "noeviction" && !eviction.starts_with("volatile") {
        wrong.push(Check::warning(
            NAME,
            format!("it throws away what is in it when its memory is full ({eviction}), messages that wait among it"),
            "set `maxmemory-policy noeviction`",
        ));
    }
    if about.clock_difference > CLOCKS {
        wrong.push(Check::warning(
            NAME,
            format!(
                "its clock is {} s away from the one here",
                about.clock_difference.as_secs()
            ),
            "keep both right with chrony or systemd-timesyncd",
        ));
    }
    wrong
}

/// The one that the server would start.
fn executable(configured: &str) -> Check {
    let name = if configured.is_empty() {
        "redis-server"
    } else {
        configured
    };
    let output = std::process::Command::new(name).arg("--version").output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let version = text
                .split_whitespace()
                .find_map(|word| word.strip_prefix("v="))
                .unwrap_or_default();
            let about = RedisAbout {
                version: version.to_owned(),
                ..RedisAbout::default()
            };
            if about.is_new_enough() {
                Check::ok("redis", format!("`{name}` {version} will be started with the server"))
            } else {
                let (major, minor) = OLDEST;
                let message = format!("`{name}` is {version}, and the queue needs {major}.{minor}");
                Check::problem("redis", message, "install a newer one")
            }
        }
        Ok(output) => Check::problem(
            "redis",
            format!("`{name} --version` failed ({})", output.status),
            "set `executable` of [redis] in config/server.toml to one that runs",
        ),
        Err(error) => Check::problem(
            "redis",
            format!("there is no `{name}` that can be run: {error}"),
            "install it (Debian: apt-get install redis-server), or name your own Redis with `url` of [redis]",
        ),
    }
}

/// Its database, and the key of the secrets in it.
pub fn odb(directory: &Directory, config: &Config) -> Vec<Check> {
    const NAME: &str = "odb";
    let location = match odb::location(directory, config).map_err(crate::cli::Exit::from) {
        Ok(location) => location,
        Err(error) => return vec![Check::failed(NAME, &error.into())],
    };
    let Schema {
        location: shown,
        version,
        newest,
        objects,
        ..
    } = match odb::block_on(Store::schema(&location)) {
        Ok(schema) => schema,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let mut checks = vec![if version > newest {
        Check::problem(
            NAME,
            format!("the schema of {shown} is at step {version}, and this busbar knows {newest}"),
            "use the newer busbar, or take the schema back with its `busbar odb rollback`",
        )
    } else {
        Check::ok(NAME, format!("{shown}: step {version} of {newest}, {objects} objects"))
    }];
    if let Err(error) = odb::block_on(Store::check_key(&location, odb::secrets(directory))) {
        checks.push(Check::failed(NAME, &error));
    }
    if config.odb.url.is_empty()
        && let Err(error) = writable(&directory.odb())
    {
        checks.push(Check::failed(NAME, &error));
    }
    checks
}

/// A database that can be read and not written starts, and refuses every change.
fn writable(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
