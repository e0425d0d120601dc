//! Many keep-alive connections that count what they get.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Connection, Request, Response};

/// What came of the requests of a load.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Responses of status 200 by body.
    pub bodies: BTreeMap<String, u64>,
    /// Every response of another status.
    pub refused: Vec<Response>,
    /// Requests without a response: what happened to the connection.
    pub errors: Vec<String>,
    /// The longest that a request took.
    pub slowest: Duration,
}

impl Tally {
    /// Responses of one status.
    pub fn count(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Checks that every request was answered with 200.
    ///
    /// # Panics
    ///
    /// If one was not, or if there was none.
    #[track_caller]
    pub fn expect_all_well(&self) {
        let first = self.refused.first().map(Response::text);
        assert!(
            self.errors.is_empty(),
            "{} requests without an answer, the first: {}",
            self.errors.len(),
            self.errors[0]
        );
        assert!(
            self.refused.is_empty(),
            "{:?}; the first that failed: {first:?}",
            self.statuses
        );
        assert!(self.count(200) > 0, "no request was made");
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (body, count) in other.bodies {
            *self.bodies.entry(body).or_default() += count;
        }
        self.refused.extend(other.refused);
        self.errors.extend(other.errors);
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    total: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sends `request` again and again over so many connections, each waiting for an answer and then for `pause`.
    pub fn start(address: SocketAddr, connections: usize, pause: Duration, request: Request) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            total: Arc::default(),
            threads: Vec::with_capacity(connections),
        };
        for _ in 0..connections {
            let (stop, answered, total) = (load.stop.clone(), load.answered.clone(), load.total.clone());
            let request = request.clone();
            load.threads.push(thread::spawn(move || {
                let tally = drive(address, &request, pause, &stop, &answered);
                total.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
            }));
        }
        load
    }

    /// Requests that were answered so far, whatever the answer.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many further requests were answered.
    #[track_caller]
    pub fn wait_for(&self, further: u64) {
        let target = self.answered() + further;
        crate::wait_until(&format!("{further} further requests to be answered"), || {
            (self.answered() >= target).then_some(())
        });
    }

    /// Finishes the requests in flight and says what came of all of them.
    pub fn stop(mut self) -> Tally {
        self.halt();
        std::mem::take(&mut *self.total.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // what it counted before a panic is lost, and the panic has been printed
            thread.join().ok();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.halt();
    }
}

fn drive(address: SocketAddr, request: &Request, pause: Duration, stop: &AtomicBool, answered: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let outcome = match &mut connection {
            Some(connection) => Connection::send(connection, request),
            None => Connection::open(address).and_then(|new| connection.insert(new).send(request)),
        };
        tally.slowest = tally.slowest.max(started.elapsed());
        match outcome {
            Ok(response) => {
                answered.fetch_add(1, Ordering::Relaxed);
                *tally.statuses.entry(response.status).or_default() += 1;
                if response.header("connection") == Some("close") {
                    connection = None;
                }
                if response.status == 200 {
                    *tally.bodies.entry(response.text()).or_default() += 1;
                } else {
                    tally.refused.push(response);
                }
            }
            Err(error) => {
                connection = None;
                tally.errors.push(error.to_string());
                // a server that is gone would fill the memory with errors
                thread::sleep(Duration::from_millis(20));
            }
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    tally
}
