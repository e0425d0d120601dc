//! `self.commands`: commands of the operating system.

use serde_json::json;

use crate::server;

const SERVICE: &str = "
import os
from zato.server.service import Service
from busbar.facilities.commands import CommandResult

class Run(Service):
    def handle(self):
        invoke = self.commands.invoke
        result = invoke('cat; echo no >&2; exit 3', stdin='zażółć', timeout=60)
        assert isinstance(result, CommandResult)
        assert (result.stdout, result.stderr, result.exit_code, result.is_ok) == ('zażółć', 'no\\n', 3, False), result
        assert result.cid == self.cid and result.command.startswith('cat') and result.timeout == 60
        assert result.len_stdout_bytes == 10 and result.len_stdout_human == '10 Bytes' and not result.is_async
        assert result.start_time < result.end_time and result.total_time_sec > 0 and result.start_time_iso
        assert invoke('true', cid='mine').cid == 'mine' and invoke('true').is_ok
        assert invoke(r\"printf 'a\\377b'\", replace_char='?').stdout == 'a?b'
        assert invoke(r\"printf 'a\\377b'\", encoding='latin1').stdout == 'aÿb'
        assert len(invoke('head -c 20000000 /dev/zero').stdout) == 16 << 20

        late = invoke('echo a; sleep 300', timeout=0.3)
        assert late.is_timeout and '0.3' in late.timeout_msg and late.exit_code == -1 and not late.is_ok and late.stdout == 'a\\n'

        seen = []
        invoke('echo b', callback=seen.append)
        assert seen[0].stdout == 'b\\n'
        for wrong in dict(callback=5), dict(use_pubsub=True), dict(timeout=0), dict(encoding='no-such'):
            try: invoke('echo wrong > wrong', **wrong)
            except (TypeError, NotImplementedError, ValueError, LookupError): pass
            else: raise AssertionError(wrong)
        assert not os.path.exists('wrong')
        self.response.payload = 'fine'

class Async(Service):
    def handle(self):
        result = self.commands.invoke_async('echo from the background', callback='commands.done')
        assert result.is_async and result.exit_code == -1 and not result.stdout
        self.commands.invoke_async('echo by class', callback=Done)
        self.commands.invoke_async('false', callback='no.such')

class Done(Service):
    def handle(self):
        result = self.request.payload
        self.logger.info('Got %s %s', result.stdout.strip(), result.exit_code)

class Slow(Service):
    deadline_secs = 1
    def handle(self):
        self.commands.invoke('echo $$ > slow.pid; sleep 300')
";

#[test]
fn commands_run_now_or_in_the_background() {
    let server = server().service("commands.py", SERVICE).start();
    assert_eq!(server.invoke("commands.run", "").expect(200).text(), "fine");
    server.invoke("commands.async", "").expect(200);
    server.wait_log(&["Got from the background 0"]);
    server.wait_log(&["Got by class 0"]);
    server.wait_log(&["`false` or its callback failed"]);
}

#[test]
fn a_command_ends_with_the_call_that_waits_for_it() {
    let server = server().service("commands.py", SERVICE).start();
    let answer = server.invoke("commands.slow", "").expect(504);
    assert_eq!(answer.json()["result"], json!("Error"));
    let pid = std::fs::read_to_string(server.directory().join("slow.pid")).unwrap();
    let process = format!("/proc/{}", pid.trim());
    busbar_testkit::wait_until("the end of the command", || {
        (!std::path::Path::new(&process).exists()).then_some(())
    });
}
