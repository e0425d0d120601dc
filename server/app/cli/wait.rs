//! `busbar wait`: until a server answers.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use busbar_admin::control::{Request, Response};
use clap::Args;

use crate::cli::Exit;
use crate::cli::control::ask;
use crate::directory::Directory;

/// How long one attempt may take: a server that hangs is asked again.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The server took too long.
const TOO_LONG: u8 = 28;

/// Waits for a server.
#[derive(Debug, Args)]
pub struct Wait {
    /// Directory of the server, DIR/server1.
    #[arg(value_name = "SERVER", required_unless_present = "address")]
    server: Option<PathBuf>,
    /// Address of a server elsewhere: http://HOST:PORT.
    #[arg(long, value_name = "URL", conflicts_with = "server", value_parser = parse_address)]
    address: Option<Address>,
    /// With --address: path that answers 200 when the server is there.
    #[arg(long, value_name = "PATH", default_value = "/zato/ping")]
    url_path: String,
    /// Seconds to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
    /// Seconds between two attempts.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.1)]
    interval: f64,
    /// Print nothing when it answers.
    #[arg(long)]
    silent: bool,
}

/// Host and port.
#[derive(Debug, Clone)]
struct Address(String);

fn parse_address(text: &str) -> Result<Address, String> {
    if text.starts_with("https://") {
        return Err("only http:// is asked; name the address that is behind TLS, or the server's directory".to_owned());
    }
    let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if host.is_empty() || host.contains(['/', ' ', '@']) {
        return Err("it must look like http://HOST:PORT".to_owned());
    }
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Address(if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    }))
}

impl Wait {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let seconds = |value: f64, option: &str| {
            Duration::try_from_secs_f64(value)
                .map_err(|error| Exit::new(15, format!("`--{option}` is no number of seconds: {error}")))
        };
        let (limit, interval) = (
            seconds(self.timeout, "timeout")?,
            seconds(self.interval, "interval")?.max(Duration::from_millis(1)),
        );
        let directory = self.server.as_deref().map(Directory::open).transpose()?;
        let started = Instant::now();
        loop {
            let attempt = match (&directory, &self.address) {
                (Some(directory), _) => ready(directory),
                (None, Some(address)) => ping(&address.0, &self.url_path),
                (None, None) => return Err(Exit::new(14, "neither a server nor an address was named").into()),
            };
            let why = match attempt {
                Ok(what) => {
                    if !self.silent {
                        println!("{what}");
                    }
                    return Ok(0);
                }
                Err(why) => why,
            };
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                let message = format!("there was no answer within {} s: {why}", self.timeout);
                return Err(Exit::new(TOO_LONG, message).into());
            }
            std::thread::sleep(interval.min(left));
        }
    }
}

/// Whether a server on this machine answers; if not, why.
fn ready(directory: &Directory) -> Result<String, String> {
    match ask(directory, &Request::Status) {
        Ok(Response::Status(status)) => Ok(format!(
            "server `{}` is ready on {} (pid {})",
            status.node.name, status.node.address, status.node.pid
        )),
        Ok(_) => Err("the server is of another version".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Whether an address answers with 200; if not, why.
fn ping(address: &str, path: &str) -> Result<String, String> {
    let attempt = || -> std::io::Result<String> {
        let mut last = std::io::Error::other("it has no address");
        for resolved in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&resolved, ATTEMPT) {
                Ok(stream) => return status_line(stream, address, path),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    match attempt() {
        Ok(line) if line.split(' ').nth(1) == Some("200") => Ok(format!("{address} answers")),
        Ok(line) => Err(format!("{address} answered `{}`", line.escape_debug())),
        Err(error) => Err(format!("{address}: {error}")),
    }
}

fn status_line(mut stream: TcpStream, address: &str, path: &str) -> std::io::Result<String> {
    const LONGEST: usize = 200;
    stream.set_read_timeout(Some(ATTEMPT))?;
    stream.set_write_timeout(Some(ATTEMPT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    while answer.len() < LONGEST && !answer.contains(&b'\n') {
        let mut bytes = [0; LONGEST];
        match stream.read(&mut bytes)? {
            0 => break,
            count => answer.extend_from_slice(&bytes[..count]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:11223", Some("127.0.0.1:11223")),
            ("http://example.com/", Some("example.com:80")),
            ("localhost:17010", Some("localhost:17010")),
            ("http://[::1]:8080", Some("[::1]:8080")),
            ("https://example.com", None),
            ("http://example.com/path", None),
            ("", None),
        ] {
            assert_eq!(parse_address(text).ok().map(|it| it.0).as_deref(), expected, "{text}");
        }
    }
}
