//! An open-loop load generator: calls start when they are due, whether earlier ones have been answered or not, and their time counts from
//! when they were due. A server that stalls can so not hide it by slowing the clients down.
//!
//! A share of the calls goes to a slow path; the figures of the short ones and of the slow ones are kept apart. Prints one JSON object.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Calls a server at a given rate.
#[derive(Parser, Clone)]
struct Options {
    /// The server's host and port.
    #[arg(long)]
    address: String,
    /// Path of the short calls.
    #[arg(long)]
    path: String,
    /// Path of the slow calls.
    #[arg(long)]
    slow_path: Option<String>,
    /// Share of the calls that are slow ones.
    #[arg(long, default_value_t = 0.1)]
    slow_share: f64,
    /// Calls a second, slow ones included.
    #[arg(long, default_value_t = 350.0)]
    rate: f64,
    /// Seconds to go on for.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds at the beginning that do not count.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Calls come one by one at even distances; without it at random ones, as calls of independent clients do.
    #[arg(long)]
    even: bool,
    /// Body of every call.
    #[arg(long, default_value = r#"{"cust_id":123,"cust_type":"A"}"#)]
    body: String,
    /// Seconds after which a call counts as failed.
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// Seed of the distances and of what is slow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One call that is due.
struct Due {
    at: Instant,
    slow: bool,
    counts: bool,
}

#[derive(Default)]
struct Times {
    answered: Vec<Duration>,
    failed: u64,
}

/// The figures of one kind of calls, in milliseconds.
#[derive(Serialize)]
struct Figures {
    calls: usize,
    failed: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Serialize)]
struct Report {
    rate: f64,
    seconds: f64,
    connections: usize,
    short: Figures,
    slow: Figures,
}

impl Times {
    fn figures(mut self) -> Figures {
        self.answered.sort_unstable();
        let at = |share: f64| {
            let last = self.answered.len().saturating_sub(1);
            let index = (share * last as f64).round() as usize;
            self.answered.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Figures {
            calls: self.answered.len(),
            failed: self.failed,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

struct Client {
    options: Options,
    idle: Mutex<Vec<Sender>>,
    opened: Mutex<usize>,
    short: Mutex<Times>,
    slow: Mutex<Times>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(
        options.rate > 0.0 && options.seconds > 0.0,
        "the rate and the seconds must be more than 0"
    );
    // one thread: the machine's cores belong to the server that is measured
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(options))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}

async fn run(options: Options) -> anyhow::Result<Report> {
    let client = Arc::new(Client {
        idle: Mutex::default(),
        opened: Mutex::default(),
        short: Mutex::default(),
        slow: Mutex::default(),
        options: options.clone(),
    });
    let first = client.connect().await?;
    client.idle.lock().expect("no holder panics").push(first);

    // the clock of tokio ticks in milliseconds, which is more than what is measured
    let (sender, mut due) = mpsc::unbounded_channel();
    let pacing = options.clone();
    let pacer = std::thread::spawn(move || pace(&pacing, &sender));

    let mut calls = tokio::task::JoinSet::new();
    while let Some(due) = due.recv().await {
        let client = Arc::clone(&client);
        calls.spawn(async move { client.call(due).await });
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
    drop(pacer.join());

    let take = |times: &Mutex<Times>| std::mem::take(&mut *times.lock().expect("no holder panics"));
    Ok(Report {
        rate: options.rate,
        seconds: options.seconds,
        connections: *client.opened.lock().expect("no holder panics"),
        short: take(&client.short).figures(),
        slow: take(&client.slow).figures(),
    })
}

/// Says when each call is due, on a thread of its own.
fn pace(options: &Options, sender: &mpsc::UnboundedSender<Due>) {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let start = Instant::now();
    let counted = start + Duration::from_secs_f64(options.warm_up);
    let end = counted + Duration::from_secs_f64(options.seconds);
    let mut at = start;
    while at < end {
        let distance = if options.even { 1.0 } else { -(1.0 - random.f64()).ln() };
        at += Duration::from_secs_f64(distance / options.rate);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let slow = options.slow_path.is_some() && random.f64() < options.slow_share;
        if sender
            .send(Due {
                at,
                slow,
                counts: at >= counted,
            })
            .is_err()
        {
            return;
        }
    }
}

impl Client {
    async fn call(&self, due: Due) {
        let limit = Duration::from_secs_f64(self.options.timeout);
        let done = tokio::time::timeout(limit, self.exchange(due.slow)).await;
        let took = due.at.elapsed();
        if !due.counts {
            return;
        }
        let times = if due.slow { &self.slow } else { &self.short };
        let mut times = times.lock().expect("no holder panics");
        match done {
            Ok(Ok(())) => times.answered.push(took),
            Ok(Err(_)) | Err(_) => times.failed += 1,
        }
    }

    /// One call over a connection that is idle, or over a new one. Succeeds if the answer is a whole 200.
    async fn exchange(&self, slow: bool) -> anyhow::Result<()> {
        let idle = self.idle.lock().expect("no holder panics").pop();
        let mut connection = match idle {
            Some(connection) if connection.is_ready() => connection,
            _ => self.connect().await?,
        };
        let path = match &self.options.slow_path {
            Some(path) if slow => path,
            _ => &self.options.path,
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, &self.options.address)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(self.options.body.clone())))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        // the connection may be used again once hyper has seen the end of the body
        connection.ready().await?;
        self.idle.lock().expect("no holder panics").push(connection);
        anyhow::ensure!(status == 200, "answered with {status}");
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        let address = &self.options.address;
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // an error here says that the server has closed it
            drop(connection.await);
        });
        *self.opened.lock().expect("no holder panics") += 1;
        Ok(sender)
    }
}
