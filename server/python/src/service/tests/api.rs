//! Coroutines, jobs, the methods on `self`, payloads that grow, `self.server`.

use busbar_model::{ChannelType, DataFormat, JobType};
use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::{Call, HeadBuilder, Outcome};
use serde_json::json;

use super::with;
use crate::service::run;
use crate::testing::{Request, packed};

#[test]
fn coroutines_run_to_their_end() {
    with(
        "
import asyncio, contextvars
request_id = contextvars.ContextVar('request_id', default=None)
left = []

class S(Service):
    async def before_handle(self):
        self.seen = ['before']
        raise ValueError('ignored')
    async def validate_input(self): self.seen.append('validate')
    async def handle(self):
        assert request_id.get() is None
        request_id.set(self.cid)
        await asyncio.sleep(0.01)
        self.seen += await asyncio.gather(self.give(1), self.give(2))
        self.task = asyncio.create_task(self.for_ever())
        await asyncio.sleep(0)
        self.response.payload = self.seen
    async def give(self, value):
        await asyncio.sleep(0.001 * (3 - value))
        return value
    async def for_ever(self):
        try:
            await asyncio.sleep(1000)
        finally:
            left.append('cancelled')
class Left(Service):
    def handle(self): self.response.payload = left
class Outer(Service):
    async def handle(self):
        await asyncio.sleep(0)
        inner = self.invoke('my-service.s')
        thread = await asyncio.to_thread(lambda: 7)
        self.response.payload = [inner, thread, asyncio.current_task() is not None]
class Refuses(Service):
    async def accept(self): return False
    async def handle(self): assert False
class Fails(Service):
    async def handle_POST(self):
        await asyncio.sleep(0)
        raise NotFound(self.cid, 'nothing')
",
        |py, deployed| {
            let seen = json!(["before", "validate", 1, 2]);
            assert_eq!(deployed.json(py, "s", ""), seen);
            assert_eq!(deployed.json(py, "left", ""), json!(["cancelled"]));
            assert_eq!(deployed.json(py, "outer", ""), json!([seen, 7, true]));
            assert_eq!(deployed.json(py, "outer", ""), json!([seen, 7, true]));
            assert_eq!(deployed.reply(py, "refuses", &Request::default()).status, 400);
            assert_eq!(deployed.fault(py, "fails", &Request::default()).status, 404);
        },
    );
}

#[test]
fn jobs_have_hooks_of_their_type() {
    with(
        "
class Job(Service):
    seen = []
    def before_handle(self): self.note('before_handle')
    def after_handle(self): self.note('after_handle')
    def before_job(self): self.note('before_job'); raise ValueError('ignored')
    def before_one_time_job(self): self.note('before_one_time_job')
    def before_interval_based_job(self): self.note('before_interval_based_job')
    def before_cron_style_job(self): self.note('before_cron_style_job')
    def after_job(self): self.note('after_job')
    def after_one_time_job(self): self.note('after_one_time_job')
    def after_interval_based_job(self): self.note('after_interval_based_job')
    def after_cron_style_job(self): self.note('after_cron_style_job')
    def finalize_handle(self): self.note('finalize_handle')
    def handle(self): self.note([self.job_type, self.channel.type])
    def handle_POST(self): self.note('verb')
    def note(self, what): self.seen.append(what)
class Seen(Service):
    def handle(self): self.response.payload = Job.seen
",
        |py, deployed| {
            for (job_type, name) in [
                (JobType::OneTime, "one_time"),
                (JobType::IntervalBased, "interval_based"),
                (JobType::CronStyle, "cron_style"),
            ] {
                let channel = HeadBuilder::channel(&ChannelFields {
                    channel_type: Some(ChannelType::Scheduler),
                    data_format: DataFormat::Json,
                    job_type: Some(job_type),
                    ..ChannelFields::default()
                });
                let call = Call {
                    head: HeadBuilder::request(&channel, RequestFields::default())
                        .finish([].into_iter(), [].into_iter()),
                    ..packed(&Request::default())
                };
                let outcome = run(py, &deployed.environment, &deployed.class("job"), &call);
                assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
                let mut seen = deployed.json(py, "seen", "");
                let seen: Vec<_> = seen.as_array_mut().unwrap().drain(..).rev().take(8).rev().collect();
                assert_eq!(
                    json!(seen),
                    json!([
                        "before_job",
                        format!("before_{name}_job"),
                        "before_handle",
                        [name, "scheduler"],
                        "after_handle",
                        "after_job",
                        format!("after_{name}_job"),
                        "finalize_handle"
                    ])
                );
            }
            deployed.reply(py, "job", &Request::default());
            let seen = deployed.json(py, "seen", "");
            let last: Vec<_> = seen.as_array().unwrap().iter().rev().take(4).rev().cloned().collect();
            assert_eq!(
                json!(last),
                json!(["before_handle", "verb", "after_handle", "finalize_handle"])
            );
        },
    );
}

#[test]
fn methods_on_self() {
    with(
        "
import logging, time
class S(Service):
    def handle(self):
        began = time.monotonic()
        self.sleep(0.02)
        assert time.monotonic() - began >= 0.02
        for bad in (-1, float('nan')):
            try: self.sleep(bad)
            except ValueError: pass
            else: assert False
        tasks = [self.spawn(pow, 2, 3), self.run_in_thread(sorted, [2, 1], reverse=True)]
        assert [task.get() for task in tasks] == [8, [2, 1]]
        bad = self.spawn(int, 'x')
        try: bad.get(timeout=5)
        except ValueError: pass
        else: assert False
        assert bad.ready() and not bad.successful() and bad.join()
        assert self.extract_target('svc@one') == ('svc', 'one') and self.extract_target('svc') == ('svc', '')
        logged = self.log_input('order', suppress_keys=['password'])
        assert logged['data'] == {'a': 1, 'password': '******'} and logged['cid'] == self.cid, logged
        assert self.request.payload['password'] == 'x'
        self.response.payload = {'b': 2}
        assert self.log_output(level=logging.DEBUG)['data'] == {'b': 2}
        other = self.new_instance('my-service.other')
        assert type(other).__name__ == 'Other' and other.channel == 'new-instance' and other.name == 'my-service.other'
        other.response.payload = 'set'
        assert self.set_response_data(other) == 'set'
        try: self.new_instance('none')
        except KeyError: pass
        else: assert False
        assert self.invokes == [] and self.get_impl_name().endswith('.S')
        server = self.server
        assert server.cluster_name == server.name and server.base_dir is None and server.fs_server_config == {}
        assert server.service_store.name_to_impl_name['my-service.other'] == 'my_service.Other'
        try: self.broker_client.publish({'action': '1'})
        except NotImplementedError: pass
        else: assert False
class Other(Service):
    def handle(self): pass
",
        |py, deployed| {
            assert_eq!(deployed.json(py, "s", r#"{"a": 1, "password": "x"}"#), json!({"b": 2}));
        },
    );
}

#[test]
fn payloads_grow_as_they_are_written() {
    with(
        "
import copy
class S(Service):
    def handle(self):
        payload = self.response.payload
        assert payload == '' and not payload and len(payload) == 0 and str(payload) == ''
        assert not hasattr(payload.user, '__iter__x') and payload == ''
        payload.user.address.city = 'Rome'
        payload.user.name = 'Ann'
        payload['tags'] = [1]
        assert self.response.payload is payload and payload.user.address == {'city': 'Rome'}
        assert copy.deepcopy(payload) == payload
class Nothing(Service):
    def handle(self): self.response.payload.a.b
class Text(Service):
    def handle(self):
        self.response.payload += 'a'
        self.response.payload += 'b'
class Caller(Service):
    def handle(self):
        self.response.payload = self.invoke('my-service.s', as_bunch=True).user.name
        assert self.invoke('my-service.nothing') == ''
",
        |py, deployed| {
            assert_eq!(
                deployed.json(py, "s", ""),
                json!({"user": {"address": {"city": "Rome"}, "name": "Ann"}, "tags": [1]})
            );
            assert_eq!(deployed.text(py, "nothing", ""), "");
            assert_eq!(deployed.text(py, "text", ""), "ab");
            assert_eq!(deployed.text(py, "caller", ""), "Ann");
        },
    );
}
