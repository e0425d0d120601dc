//! What turns cost, and how long short calls wait beside long ones. Not run with the tests.

use super::*;

/// `cargo test -p busbar-python --release -- --ignored --nocapture what_a_call_costs`
#[test]
#[ignore = "a measurement"]
fn what_a_call_costs() {
    struct Null;
    impl ReplySink for Null {
        fn reply(&self, id: u64, _outcome: Outcome) {
            if id == 0 {
                DONE.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    static DONE: AtomicU32 = AtomicU32::new(0);
    let turns = turns(Limits {
        max_queue: 1_000_000,
        ..limits()
    });
    let sink: Arc<dyn ReplySink> = Arc::new(Null);
    let nothing = native(|_| ok());
    let python = code("pass");
    for (name, work) in [("nothing", nothing), ("py.run", python)] {
        for _ in 0..3 {
            let before = DONE.load(Ordering::SeqCst);
            let count = 200_000u64;
            let start = Instant::now();
            // held until all are in the queue
            let gate = native(|_| {
                std::thread::sleep(Duration::from_millis(1));
                ok()
            });
            for id in (0..count).rev() {
                let work = if id == count - 1 { &gate } else { &work };
                turns.submit(Job {
                    call: call(),
                    work: work.clone(),
                    reply: ReplyTo::Sink { sink: sink.clone(), id },
                });
            }
            let submitted = start.elapsed();
            until("all are done", || DONE.load(Ordering::SeqCst) > before);
            println!(
                "{name}: submit {} ns, all {} ns per call, {:?}",
                submitted.as_nanos() as u64 / count,
                start.elapsed().as_nanos() as u64 / count,
                turns.health()
            );
        }
    }
    // one at a time: wake up, take the interpreter, run, answer
    let nothing = native(|_| ok());
    let start = Instant::now();
    for _ in 0..20_000 {
        answer(submit(&turns, &nothing));
    }
    println!("one at a time: {} ns per call", start.elapsed().as_nanos() / 20_000);
    let (_runtime, environment) = environment();
    let future = native(move |py| {
        let result: Result<(), Error> = block_on(py, &environment, async {
            tokio::task::yield_now().await;
            Ok(())
        });
        result.unwrap();
        ok()
    });
    let start = Instant::now();
    for chunk in 0..200 {
        let _ = chunk;
        for receiver in (0..100).map(|_| submit(&turns, &future)).collect::<Vec<_>>() {
            answer(receiver);
        }
    }
    println!(
        "with a future that yields: {} ns per call, {:?}",
        start.elapsed().as_nanos() / 20_000,
        turns.health()
    );
}

/// `cargo test -p busbar-python -- --ignored --nocapture how_long_short_calls_wait`
#[test]
#[ignore = "a measurement"]
fn how_long_short_calls_wait() {
    struct Times(Mutex<Vec<(u64, Instant)>>);
    impl ReplySink for Times {
        fn reply(&self, id: u64, _outcome: Outcome) {
            lock(&self.0).push((id, Instant::now()));
        }
    }
    let short = code("answer = sum(range(10))");
    let sleeper = code("import time; time.sleep(0.05)");
    let burner = code("import time\nend = time.thread_time() + 0.02\nwhile time.thread_time() < end: pass");
    let holder = code("import re\nre.match('(a*)*b', 'a' * 18)");
    for (name, other, rate) in [
        ("short only", &short, 350),
        ("10% sleep 50 ms", &sleeper, 350),
        ("10% sleep 50 ms", &sleeper, 2000),
        ("10% burn 20 ms", &burner, 100),
        ("10% burn 20 ms", &burner, 175),
        ("10% burn in C", &holder, 100),
    ] {
        let turns = turns(limits());
        let sink = Arc::new(Times(Mutex::default()));
        let count = rate * 5;
        let start = Instant::now();
        let mut sent = Vec::new();
        for id in 0..count {
            let due = start + Duration::from_secs(1) * id / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let work = if id % 10 == 7 { other } else { &short };
            sent.push(Instant::now());
            let reply = ReplyTo::Sink {
                sink: sink.clone(),
                id: id.into(),
            };
            turns.submit(Job {
                call: call(),
                work: work.clone(),
                reply,
            });
        }
        until("all are answered", || lock(&sink.0).len() == count as usize);
        let times = lock(&sink.0);
        let mut waits: Vec<Duration> = times
            .iter()
            .filter(|(id, _)| id % 10 != 7)
            .map(|(id, when)| *when - sent[*id as usize])
            .collect();
        waits.sort();
        let at = |share: f64| waits[(waits.len() as f64 * share) as usize];
        println!(
            "{name} at {rate}/s: p50 {:?} p99 {:?} p99.9 {:?}, {:?}",
            at(0.5),
            at(0.99),
            at(0.999),
            turns.health()
        );
    }
}
