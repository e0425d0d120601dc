use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use busbar_model::{Cid, Error, Kind};
use busbar_runtime::handler::ReplySink;
use busbar_runtime::{Call, Fault, Outcome, Reply, ReplyTo, ServiceHandle};
use bytes::Bytes;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::slot::Standing;
use super::*;
use crate::testing::attach;

const LONG: Duration = Duration::from_secs(20);

/// Runs Python code; what it assigns to `answer` is the body of the reply.
struct Code(CString);

impl Work for Code {
    fn name(&self) -> &str {
        "test.code"
    }

    fn run(&self, py: Python<'_>, _call: &Call) -> Outcome {
        let globals = pyo3::types::PyDict::new(py);
        match py.run(&self.0, Some(&globals), None) {
            Ok(()) => {
                let answer = globals
                    .get_item("answer")
                    .unwrap()
                    .map(|answer| answer.to_string())
                    .unwrap_or_default();
                Outcome::Reply(Reply {
                    status: 200,
                    body: Bytes::from(answer),
                    ..Reply::default()
                })
            }
            Err(error) => Outcome::Fault(Fault::new(500, error.to_string())),
        }
    }
}

/// Runs Rust code.
struct Native<F>(F);

impl<F: Fn(Python<'_>) -> Outcome + Send + Sync> Work for Native<F> {
    fn name(&self) -> &str {
        "test.native"
    }

    fn run(&self, py: Python<'_>, _call: &Call) -> Outcome {
        (self.0)(py)
    }
}

fn code(text: &str) -> Arc<dyn Work> {
    Arc::new(Code(CString::new(text).unwrap()))
}

fn ok() -> Outcome {
    Outcome::Reply(Reply {
        status: 200,
        ..Reply::default()
    })
}

fn native(work: impl Fn(Python<'_>) -> Outcome + Send + Sync + 'static) -> Arc<dyn Work> {
    Arc::new(Native(work))
}

fn limits() -> Limits {
    Limits {
        max_threads: 64,
        max_queue: 1000,
        stack_size: 8 << 20,
        idle: Duration::from_secs(30),
    }
}

/// Ends the threads of a test with it.
struct Stop(Arc<Turns>);

impl std::ops::Deref for Stop {
    type Target = Arc<Turns>;

    fn deref(&self) -> &Arc<Turns> {
        &self.0
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn turns(limits: Limits) -> Stop {
    let exception = attach(|py| {
        py.import("busbar.errors")
            .unwrap()
            .getattr("DeadlineExceeded")
            .unwrap()
            .unbind()
    });
    Stop(Turns::start(limits, exception).unwrap())
}

fn call() -> Call {
    Call {
        cid: Cid::new(),
        service: ServiceHandle(1),
        deadline: Instant::now() + LONG,
        head: Bytes::new(),
        body: Bytes::new(),
    }
}

fn submit_call(turns: &Stop, work: &Arc<dyn Work>, call: Call) -> oneshot::Receiver<Outcome> {
    let (reply, receiver) = ReplyTo::task();
    turns.submit(Job {
        call,
        work: work.clone(),
        reply,
    });
    receiver
}

fn submit(turns: &Stop, work: &Arc<dyn Work>) -> oneshot::Receiver<Outcome> {
    submit_call(turns, work, call())
}

fn answer(receiver: oneshot::Receiver<Outcome>) -> Outcome {
    receiver.blocking_recv().expect("every call is answered")
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Reply(reply) => reply.status,
        Outcome::Fault(fault) => fault.status,
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn short_calls_share_one_thread() {
    let turns = turns(limits());
    let work = code("answer = 1 + 1");
    for receiver in (0..200).map(|_| submit(&turns, &work)).collect::<Vec<_>>() {
        let Outcome::Reply(reply) = answer(receiver) else {
            panic!("it failed")
        };
        assert_eq!(&reply.body[..], b"2");
    }
    // a second one only if the watchdog found the first one slow, on a loaded machine
    assert!(turns.health().threads <= 4, "{:?}", turns.health());
}

#[test]
fn a_full_queue_is_answered_at_once() {
    let turns = turns(Limits {
        max_threads: 1,
        max_queue: 2,
        ..limits()
    });
    let slow = code("import time; time.sleep(0.3)");
    let first = submit(&turns, &slow);
    until("the first one runs", || turns.health().running == 1);
    let waiting = [submit(&turns, &slow), submit(&turns, &slow)];
    let Outcome::Fault(fault) = answer(submit(&turns, &slow)) else {
        panic!("there was room")
    };
    assert_eq!(fault.status, 503);
    assert_eq!(fault.headers, [("Retry-After".to_owned(), "1".to_owned())]);
    assert_eq!(status(&answer(first)), 200);
    for receiver in waiting {
        assert_eq!(status(&answer(receiver)), 200);
    }
}

#[test]
fn sleepers_do_not_stop_short_calls() {
    let turns = turns(limits());
    let sleeper = code("import time; time.sleep(1)");
    let short = code("answer = 1");
    let sleeping: Vec<_> = (0..20).map(|_| submit(&turns, &sleeper)).collect();
    let start = Instant::now();
    assert_eq!(status(&answer(submit(&turns, &short))), 200);
    // each of the sleepers was found to be one after a millisecond or two, all long before the first one woke up
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    for receiver in sleeping {
        assert_eq!(status(&answer(receiver)), 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "sleepers ran one after another: {:?}",
        start.elapsed()
    );
}

#[test]
fn who_comes_while_another_is_at_it_for_long_gets_a_turn_at_once() {
    let turns = turns(limits());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    // does not say that it waits, as a C library does not
    let long = native(move |py| {
        py.detach(|| lock(&released).recv_timeout(LONG).expect("the test releases it"));
        ok()
    });
    let first = submit(&turns, &long);
    let standing = || lock(&turns.state).slots.first().map(|slot| slot.standing());
    until("it runs", || standing() == Some(Standing::Moving));
    std::thread::sleep(watchdog::PATIENCE * 2);
    let second = submit(&turns, &code("answer = 1"));
    // nobody had asked the watchdog before
    assert_ne!(standing(), Some(Standing::Moving));
    assert_eq!(status(&answer(second)), 200);
    until("what it does is found out", || standing() == Some(Standing::Blocked));
    release.send(()).unwrap();
    assert_eq!(status(&answer(first)), 200);
}

#[test]
fn burners_are_bounded() {
    let turns = turns(limits());
    let burner = code("import time\nend = time.thread_time() + 0.02\nwhile time.thread_time() < end: pass");
    let burning: Vec<_> = (0..24).map(|_| submit(&turns, &burner)).collect();
    let most = Arc::new(AtomicU32::new(0));
    until("all have run", || {
        let state = lock(&turns.state);
        // threads that the machine did not run for a while count as blocked until they use the CPU again
        let out = state
            .slots
            .iter()
            .filter(|slot| matches!(slot.standing(), Standing::Moving | Standing::Burning))
            .count();
        most.fetch_max(out as u32, Ordering::Relaxed);
        let health = state.queue.len();
        drop(state);
        health == 0
    });
    for receiver in burning {
        assert_eq!(status(&answer(receiver)), 200);
    }
    // 24 would be all of them; on a machine that is busy otherwise they burn for so long that some are added
    assert!(most.load(Ordering::Relaxed) <= 20, "{most:?} threads had a turn");
}

#[test]
fn endless_loops_do_not_stop_the_others() {
    let turns = turns(limits());
    let endless = code("while True: pass");
    let short = code("answer = 1");
    let calls: Vec<Call> = (0..8).map(|_| call()).collect();
    let cids: Vec<Cid> = calls.iter().map(|call| call.cid).collect();
    let running: Vec<_> = calls
        .into_iter()
        .map(|call| submit_call(&turns, &endless, call))
        .collect();
    until("all run", || turns.health().running == 8);
    for _ in 0..10 {
        let start = Instant::now();
        assert_eq!(status(&answer(submit(&turns, &short))), 200);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    for cid in cids {
        turns.cancel(cid);
    }
    for receiver in running {
        assert_eq!(status(&answer(receiver)), 504);
    }
}

#[test]
fn waiting_in_a_face_lets_others_run() {
    let turns = turns(Limits {
        max_threads: 2,
        ..limits()
    });
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = Arc::new(Mutex::new(receiver));
    let waiter = native(move |py| {
        let receiver = receiver.clone();
        wait(py, move || receiver.lock().unwrap().recv_timeout(LONG).unwrap());
        ok()
    });
    let waiting = submit(&turns, &waiter);
    let short = code("answer = 1");
    for _ in 0..100 {
        assert_eq!(status(&answer(submit(&turns, &short))), 200);
    }
    sender.send(()).unwrap();
    assert_eq!(status(&answer(waiting)), 200);
}

#[test]
fn a_panic_in_a_call_is_a_500_and_costs_nobody_else() {
    let turns = turns(limits());
    let panics = native(|py| wait(py, || panic!("on purpose")));
    let short = code("answer = 1");
    for _ in 0..3 {
        assert_eq!(status(&answer(submit(&turns, &panics))), 500);
        assert_eq!(status(&answer(submit(&turns, &short))), 200);
    }
}

fn environment() -> (tokio::runtime::Runtime, Environment) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let environment = Environment::for_tests(runtime.handle().clone(), Arc::new(crate::testing::Hub::default()));
    (runtime, environment)
}

#[test]
fn futures_run_while_their_call_waits() {
    let turns = turns(Limits {
        max_threads: 300,
        ..limits()
    });
    let (_runtime, environment) = environment();
    let work = native(move |py| {
        let result: Result<u8, Error> = block_on(py, &environment, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(7)
        });
        assert_eq!(result.unwrap(), 7);
        let result: Result<u8, Error> = block_on(py, &environment, async { Ok(8) });
        assert_eq!(result.unwrap(), 8);
        ok()
    });
    let start = Instant::now();
    for receiver in (0..200).map(|_| submit(&turns, &work)).collect::<Vec<_>>() {
        assert_eq!(status(&answer(receiver)), 200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "they waited one after another: {:?}",
        start.elapsed()
    );
}

#[test]
fn a_future_that_panics_is_an_error() {
    let turns = turns(limits());
    let (_runtime, environment) = environment();
    let work = native(move |py| {
        let result: Result<(), Error> = block_on(py, &environment, async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            panic!("on purpose")
        });
        assert_eq!(result.unwrap_err().kind(), Kind::Internal);
        ok()
    });
    assert_eq!(status(&answer(submit(&turns, &work))), 200);
}

#[test]
fn cancelling_ends_a_wait_for_a_future() {
    let turns = turns(limits());
    let (_runtime, environment) = environment();
    let kind = Arc::new(Mutex::new(None));
    let work = native({
        let kind = kind.clone();
        move |py| {
            let result: Result<(), Error> = block_on(py, &environment, async {
                tokio::time::sleep(LONG * 10).await;
                Ok(())
            });
            *kind.lock().unwrap() = Some(result.unwrap_err().kind());
            ok()
        }
    });
    let call = call();
    let cid = call.cid;
    let waiting = submit_call(&turns, &work, call);
    until("it waits", || turns.health().running == 1);
    turns.cancel(cid);
    assert_eq!(status(&answer(waiting)), 504);
    assert_eq!(*kind.lock().unwrap(), Some(Kind::Cancelled));
}

#[test]
fn a_wait_ends_with_the_deadline() {
    let turns = turns(limits());
    let (_runtime, environment) = environment();
    let work = native(move |py| {
        for _ in 0..2 {
            let result: Result<(), Error> = block_on(py, &environment, std::future::pending());
            assert_eq!(result.unwrap_err().kind(), Kind::Cancelled);
        }
        ok()
    });
    let mut call = call();
    call.deadline = Instant::now() + Duration::from_millis(50);
    let start = Instant::now();
    assert_eq!(status(&answer(submit_call(&turns, &work, call))), 200);
    // the second wait had a second of grace
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn cancelling_stops_an_endless_loop_and_nothing_else() {
    let turns = turns(limits());
    let endless = code("while True:\n  try:\n    pass\n  except Exception:\n    pass");
    let short = code("answer = sum(range(100))");
    for _ in 0..5 {
        let call = call();
        let cid = call.cid;
        let running = submit_call(&turns, &endless, call);
        until("it runs", || turns.health().running >= 1);
        turns.cancel(cid);
        assert_eq!(status(&answer(running)), 504);
        for receiver in (0..20).map(|_| submit(&turns, &short)).collect::<Vec<_>>() {
            assert_eq!(status(&answer(receiver)), 200);
        }
    }
}

#[test]
fn a_cancelled_call_never_harms_the_next_one() {
    let turns = turns(Limits {
        max_threads: 2,
        ..limits()
    });
    // ends by itself at about the time when the exception is raised
    let brief = code("import time\nend = time.perf_counter() + 0.002\nwhile time.perf_counter() < end: pass");
    let short = code("answer = sum(range(1000))");
    for round in 0..200 {
        let call = call();
        let cid = call.cid;
        let first = submit_call(&turns, &brief, call);
        let others: Vec<_> = (0..5).map(|_| submit(&turns, &short)).collect();
        std::thread::sleep(Duration::from_micros(round * 20));
        turns.cancel(cid);
        assert!([200, 504].contains(&status(&answer(first))));
        for receiver in others {
            let outcome = answer(receiver);
            assert_eq!(status(&outcome), 200, "{outcome:?}");
        }
    }
}

#[test]
fn a_call_that_waits_in_the_queue_is_forgotten() {
    let turns = turns(Limits {
        max_threads: 1,
        ..limits()
    });
    let slow = code("import time; time.sleep(0.2)");
    let ran = Arc::new(AtomicU32::new(0));
    let counts = native({
        let ran = ran.clone();
        move |_| {
            ran.fetch_add(1, Ordering::Relaxed);
            ok()
        }
    });
    let first = submit(&turns, &slow);
    until("it runs", || turns.health().running == 1);
    let call = call();
    let cid = call.cid;
    let queued = submit_call(&turns, &counts, call);
    turns.cancel(cid);
    assert_eq!(status(&answer(queued)), 504);
    assert_eq!(status(&answer(first)), 200);
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn a_call_that_swallows_the_exception_is_stuck() {
    let turns = turns(limits());
    let stubborn = code(
        "import time\nend = time.monotonic() + 6.5\nwhile time.monotonic() < end:\n  try:\n    time.sleep(0.01)\n  except BaseException:\n    pass",
    );
    let call = call();
    let cid = call.cid;
    let running = submit_call(&turns, &stubborn, call);
    until("it runs", || turns.health().running == 1);
    turns.cancel(cid);
    assert_eq!(turns.health().stuck, 0);
    until("it is stuck", || turns.health().stuck == 1);
    assert_eq!(status(&answer(running)), 504);
    until("it is over", || turns.health().stuck == 0);
}

#[test]
fn replies_are_flushed_when_nothing_waits_and_when_the_next_call_is_long() {
    #[derive(Default)]
    struct Sink {
        replies: AtomicU32,
        flushed: AtomicU32,
    }
    impl ReplySink for Sink {
        fn reply(&self, _id: u64, _outcome: Outcome) -> bool {
            self.replies.fetch_add(1, Ordering::SeqCst);
            false
        }

        fn flush(&self) {
            self.flushed
                .store(self.replies.load(Ordering::SeqCst), Ordering::SeqCst);
        }

        fn try_flush(&self) -> bool {
            self.flush();
            true
        }
    }
    let turns = turns(limits());
    let sink = Arc::new(Sink::default());
    let short = code("answer = 1");
    let long = code("import time; time.sleep(0.5)");
    let send = |work: &Arc<dyn Work>, id| {
        turns.submit(Job {
            call: call(),
            work: work.clone(),
            reply: ReplyTo::Sink { sink: sink.clone(), id },
        });
    };
    send(&short, 1);
    until("one is flushed", || sink.flushed.load(Ordering::SeqCst) == 1);
    let start = Instant::now();
    send(&short, 2);
    send(&long, 3);
    until("two are flushed", || sink.flushed.load(Ordering::SeqCst) == 2);
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    until("three are flushed", || sink.flushed.load(Ordering::SeqCst) == 3);
}

#[test]
fn a_reader_that_is_late_holds_up_nobody_else() {
    /// Much is always kept back, and nothing leaves until it is let go.
    #[derive(Default)]
    struct Stuck {
        flushing: AtomicU32,
        let_go: AtomicBool,
    }
    impl ReplySink for Stuck {
        fn reply(&self, _id: u64, _outcome: Outcome) -> bool {
            true
        }

        fn flush(&self) {
            self.flushing.fetch_add(1, Ordering::SeqCst);
            until("the reader goes on", || self.let_go.load(Ordering::SeqCst));
        }

        fn try_flush(&self) -> bool {
            self.let_go.load(Ordering::SeqCst)
        }
    }
    let turns = turns(limits());
    let sink = Arc::new(Stuck::default());
    turns.submit(Job {
        call: call(),
        work: code("answer = 1"),
        reply: ReplyTo::Sink {
            sink: sink.clone(),
            id: 1,
        },
    });
    until("an answer is on its way", || sink.flushing.load(Ordering::SeqCst) > 0);
    assert_eq!(status(&answer(submit(&turns, &code("answer = 1")))), 200);
    sink.let_go.store(true, Ordering::SeqCst);
}

#[test]
fn idle_threads_retire_and_stopped_ones_end() {
    let turns = turns(Limits {
        idle: Duration::from_millis(100),
        ..limits()
    });
    let sleeper = code("import time; time.sleep(0.2)");
    for receiver in (0..10).map(|_| submit(&turns, &sleeper)).collect::<Vec<_>>() {
        answer(receiver);
    }
    assert!(turns.health().threads >= 5, "{:?}", turns.health());
    until("most have retired", || turns.health().threads <= 2);
    assert_eq!(status(&answer(submit(&turns, &code("answer = 1")))), 200);
    turns.stop();
    until("all have ended", || turns.health().threads == 0);
    assert_eq!(status(&answer(submit(&turns, &sleeper))), 503);
}

#[test]
fn deep_recursion_is_an_exception_and_not_a_crash() {
    let turns = turns(limits());
    for text in [
        "def f(): f()\ntry:\n  f()\nexcept RecursionError:\n  answer = 'deep'",
        // through C at every level
        "class A:\n  def __getattr__(self, name): return getattr(self, name + 'x')\ntry:\n  A().y\nexcept RecursionError:\n  answer = 'deep'",
        "class A:\n  def __repr__(self): return repr([self])\ntry:\n  repr(A())\nexcept RecursionError:\n  answer = 'deep'",
        "class A:\n  def __lt__(self, other): return sorted([A(), A()])\ntry:\n  A() < A()\nexcept RecursionError:\n  answer = 'deep'",
        "import json\nx = []\nfor i in range(100000): x = [x]\ntry:\n  json.dumps(x)\nexcept RecursionError:\n  answer = 'deep'",
        "import json\ntry:\n  json.loads('[' * 100000)\nexcept RecursionError:\n  answer = 'deep'",
        "import functools\ndef f(x): return functools.reduce(lambda a, b: f(x), [1, 2])\ntry:\n  f(1)\nexcept RecursionError:\n  answer = 'deep'",
        "import copy\nx = []\nfor i in range(100000): x = [x]\ntry:\n  copy.deepcopy(x)\nexcept RecursionError:\n  answer = 'deep'",
        "import pickle\nx = []\nfor i in range(100000): x = [x]\ntry:\n  pickle.dumps(x)\nexcept RecursionError:\n  answer = 'deep'",
        "try:\n  eval('-' * 50000 + '1')\nexcept (RecursionError, MemoryError, SyntaxError):\n  answer = 'deep'",
        "import re\ntry:\n  re.compile('(' * 5000 + ')' * 5000)\nexcept (RecursionError, re.error):\n  answer = 'deep'",
    ] {
        let outcome = answer(submit(&turns, &code(text)));
        let Outcome::Reply(reply) = &outcome else {
            panic!("{text}: {outcome:?}")
        };
        assert_eq!(&reply.body[..], b"deep", "{text}");
    }
}
