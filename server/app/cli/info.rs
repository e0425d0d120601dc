//! `busbar info`: what a server is made of, whether it runs or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use busbar_admin::control::{NodeStatus, Request, Response};
use busbar_python::about::{self, Interpreter};
use busbar_store::Store;
use clap::Args;
use serde::Serialize;

use crate::cli::ServerArgument;
use crate::cli::control::{ask, unexpected};
use crate::config::Config;
use crate::directory::Directory;
use crate::{odb, package};

/// Describes a server.
#[derive(Debug, Args)]
pub struct Info {
    #[command(flatten)]
    server: ServerArgument,
    /// List the Python packages that services can import; JSON has them always.
    #[arg(long)]
    packages: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of a server. Of a part that cannot be asked there is an error instead.
#[derive(Debug, Serialize)]
struct Description {
    name: String,
    busbar: Busbar,
    /// Where it is to answer, whether it runs or not.
    address: String,
    is_tls: bool,
    is_running: bool,
    /// What it says of itself if it runs.
    server: Option<NodeStatus>,
    paths: BTreeMap<&'static str, PathBuf>,
    odb: Part<Odb>,
    redis: Redis,
    python: Python,
}

/// The executable that describes; the one that runs may be another, see `server.version`.
#[derive(Debug, Serialize)]
struct Busbar {
    version: &'static str,
    executable: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Odb {
    location: String,
    schema: i64,
    newest_schema: i64,
    objects: u64,
    secret_key: Option<String>,
}

#[derive(Debug, Serialize)]
struct Redis {
    /// Whether the server starts it by itself.
    is_private: bool,
    /// Its version, while it runs.
    version: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Python {
    venv: Option<PathBuf>,
    #[serde(flatten)]
    interpreter: Part<Interpreter>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part<T> {
    There(T),
    Error { error: String },
}

impl<T> Part<T> {
    fn of(result: anyhow::Result<T>) -> Self {
        result.map_or_else(
            |error| Self::Error {
                error: format!("{error:#}"),
            },
            Self::There,
        )
    }
}

impl Info {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let directory = Directory::open(&self.server.path)?;
        let config = Config::read(&directory.config())?;
        let description = describe(&directory, &config)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&description)?);
        } else {
            print(&description, self.packages);
        }
        // the interpreter is not finalised: packages that it read at its start may have started threads
        std::process::exit(0)
    }
}

fn describe(directory: &Directory, config: &Config) -> anyhow::Result<Description> {
    let server = match directory.running() {
        None => None,
        Some(_) => match ask(directory, &Request::Status)? {
            Response::Status(status) => Some(status.node),
            other => return Err(unexpected(&other)),
        },
    };
    let schema = odb::block_on(async { Store::schema(&odb::location(directory, config)?).await });
    let venv = config.venv(directory.path());
    let interpreter = package::cache()
        .and_then(|cache| package::unpack(&cache))
        .and_then(|package| Ok(about::describe(venv.clone(), package)?));
    Ok(Description {
        name: directory.name(),
        busbar: Busbar {
            version: env!("CARGO_PKG_VERSION"),
            executable: std::env::current_exe().ok(),
        },
        address: config.http.address.clone(),
        is_tls: config.http.tls.is_some(),
        is_running: directory.running().is_some(),
        redis: redis(config, server.as_ref()),
        server,
        paths: paths(directory),
        odb: Part::of(schema.map(|schema| Odb {
            location: schema.location,
            schema: schema.version,
            newest_schema: schema.newest,
            objects: schema.objects,
            secret_key: schema.secret_key,
        })),
        python: Python {
            venv,
            interpreter: Part::of(interpreter),
        },
    })
}

fn paths(directory: &Directory) -> BTreeMap<&'static str, PathBuf> {
    let user = directory.user_directories();
    let first = |paths: Vec<PathBuf>| paths.into_iter().next().unwrap_or_default();
    BTreeMap::from([
        ("server", directory.path().to_owned()),
        ("config", directory.config()),
        ("pickup", directory.pickup()),
        ("user_conf", first(user.config)),
        ("static", first(user.statics)),
        ("log", directory.log()),
        ("work", directory.work()),
        ("control_socket", directory.control_socket()),
        ("odb_key", directory.odb_key()),
    ])
}

/// Where the server's Redis is to be reached: one that others run always, its own while the server runs.
pub fn redis_url(config: &Config, server: Option<&NodeStatus>) -> Option<String> {
    if config.redis.url.is_empty() {
        server
            .map(|server| server.redis.url.clone())
            .filter(|url| !url.is_empty())
    } else {
        Some(config.redis.url.clone())
    }
}

fn redis(config: &Config, server: Option<&NodeStatus>) -> Redis {
    let asked = redis_url(config, server).map(|url| odb::block_on(busbar_broker::about::about(&url)));
    let (version, error) = match asked {
        None => (None, None),
        Some(Ok(about)) => (Some(about.version), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
    };
    Redis {
        is_private: config.redis.url.is_empty(),
        version,
        error,
    }
}

fn print(description: &Description, with_packages: bool) {
    let line = |name: &str, value: &str| println!("{name:<10}{value}");
    let show = |path: &Path| path.display().to_string();
    line("server", &description.name);
    line(
        "state",
        &description.server.as_ref().map_or_else(
            || "does not run".to_owned(),
            |server| {
                format!(
                    "runs (pid {}), busbar {}, on {}",
                    server.pid, server.version, server.address
                )
            },
        ),
    );
    let executable = description.busbar.executable.as_deref().map(show).unwrap_or_default();
    line("busbar", &format!("{} {executable}", description.busbar.version));
    let scheme = if description.is_tls { "https" } else { "http" };
    line("address", &format!("{scheme}://{}", description.address));
    match &description.odb {
        Part::There(odb) => line(
            "odb",
            &format!(
                "{}, schema {} of {}, {} objects, key {}",
                odb.location,
                odb.schema,
                odb.newest_schema,
                odb.objects,
                odb.secret_key.as_deref().unwrap_or("none yet")
            ),
        ),
        Part::Error { error } => line("odb", &format!("! {error}")),
    }
    let redis = &description.redis;
    let whose = if redis.is_private { "its own" } else { "external" };
    line(
        "redis",
        &match (&redis.version, &redis.error) {
            (Some(version), _) => format!("{version} ({whose})"),
            (None, Some(error)) => format!("({whose}) ! {error}"),
            (None, None) => format!("({whose}) started with the server"),
        },
    );
    match &description.python.interpreter {
        Part::There(python) => {
            let venv = description.python.venv.as_deref();
            let venv = venv.map_or_else(|| "no virtual environment".to_owned(), show);
            line(
                "python",
                &format!("{}, {venv}, {} packages", python.version, python.packages.len()),
            );
        }
        Part::Error { error } => line("python", &format!("! {error}")),
    }
    println!();
    for (name, path) in &description.paths {
        println!("{:<16}{}", name.replace('_', " "), path.display());
    }
    if let (true, Part::There(python)) = (with_packages, &description.python.interpreter) {
        println!();
        for package in &python.packages {
            println!("{}=={}", package.name, package.version);
        }
    }
}
