//! The interpreter, and whether the services can be imported. Asked of another process: whatever the files do as they are imported, be
//! it that they hang or crash, happens there.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::cli::doctor::Check;
use crate::config::Config;
use crate::directory::Directory;

/// How long the interpreter may take to start, beyond what the import of services is given.
const START: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Looks at the virtual environment and at the files in the pickup directory.
pub fn check(directory: &Directory, config: &Config) -> Vec<Check> {
    const NAME: &str = "python";
    if !directory.pickup().is_dir() {
        // said already
        return Vec::new();
    }
    let limit = START + Duration::from_secs(config.hot_deploy.import_secs);
    let (said, complained) = match import(directory, limit) {
        Ok(output) => output,
        Err(error) => return vec![Check::failed(NAME, &error)],
    };
    let Ok(Value::Array(files)) = serde_json::from_str(&said) else {
        let message = match complained.trim() {
            "" => "the interpreter ended while it imported the services",
            text => text.strip_prefix("busbar: ").unwrap_or(text),
        };
        return vec![Check::problem(
            NAME,
            message,
            "correct `venv` of [python] in config/server.toml, or what the services do when they are imported",
        )];
    };
    let mut checks = Vec::new();
    for file in &files {
        let name = file["file"].as_str().unwrap_or_default();
        let Some(message) = file["error"]["message"].as_str() else {
            continue;
        };
        checks.push(Check::problem(
            NAME,
            format!("`{name}` cannot be imported: {message}"),
            match missing_module(message) {
                Some(module) => format!("install `{module}` into {}", environment(directory, config)),
                None => format!(
                    "`busbar check --server {}` shows the traceback",
                    directory.path().display()
                ),
            },
        ));
    }
    if checks.is_empty() {
        let services: usize = files
            .iter()
            .filter_map(|file| file["services"].as_array())
            .map(Vec::len)
            .sum();
        checks.push(Check::ok(
            NAME,
            format!(
                "{} files with {services} services can be imported, with {}",
                files.len(),
                environment(directory, config)
            ),
        ));
    }
    checks
}

fn environment(directory: &Directory, config: &Config) -> String {
    config.venv(directory.path()).map_or_else(
        || "the packages of the interpreter itself".to_owned(),
        |venv| format!("the virtual environment {}", venv.display()),
    )
}

fn missing_module(message: &str) -> Option<&str> {
    message.split("No module named '").nth(1)?.split(['\'', '.']).next()
}

/// What `busbar check` prints, on both ways.
fn import(directory: &Directory, limit: Duration) -> anyhow::Result<(String, String)> {
    let mut child = Command::new(std::env::current_exe().context("cannot find the busbar executable")?)
        .args(["check", "--json", "--server"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the process that imports the services")?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let in_time = wait(&mut child, limit)?;
    let (said, complained) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    anyhow::ensure!(
        in_time,
        "the import of the services has not ended after {} s",
        limit.as_secs()
    );
    Ok((said, complained))
}

/// Whether it ended in time; killed if not.
fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    while child.try_wait().context("cannot wait for a process")?.is_none() {
        if Instant::now() > deadline {
            child.kill().ok();
            child.wait().ok();
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}

/// Read beside the wait: a full pipe would hold the process up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // what was read until an error is what there is
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::missing_module;

    #[test]
    fn a_missing_package_is_named() {
        assert_eq!(missing_module("No module named 'sqlalchemy.orm'"), Some("sqlalchemy"));
        assert_eq!(
            missing_module("ModuleNotFoundError: No module named 'requests'"),
            Some("requests")
        );
        assert_eq!(missing_module("invalid syntax"), None);
    }
}
