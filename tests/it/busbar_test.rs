//! `busbar test`: the examples of docs/testing.md, faults, and what a test is told when it forgets to answer.

use std::fs;
use std::path::Path;

use busbar_testkit::run;

use crate::busbar;

/// Writes the files that a page shows into a directory.
pub(crate) fn write_examples(page: &str, home: &Path) -> usize {
    let mut count = 0;
    for block in page.split("```python file=").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        fs::write(home.join(name), text).unwrap();
        count += 1;
    }
    count
}

#[test]
fn the_examples_of_the_page_pass() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(write_examples(include_str!("../../docs/testing.md"), home.path()), 4);
    let output = run(busbar("test", home.path()).current_dir(home.path()).arg("-q"));
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("6 passed"), "{output:?}");
}

const FAULTS: &str = "
import pytest
from zato.server.service import Service


class Ask(Service):
    def handle(self):
        try:
            self.outgoing.plain_http['CRM'].conn.get(self.cid)
        except Exception as error:
            self.response.payload = type(error).__name__


@pytest.mark.parametrize('fault, raised', [
    ('refused', 'ConnectionError'), ('unresolved', 'ConnectionError'), ('connect-timeout', 'ConnectTimeout'),
    ('timeout', 'ReadTimeout'), ('tls', 'SSLError'), ('reset', 'ConnectionError'), ('truncated', 'ChunkedEncodingError'),
    ('garbage', 'ConnectionError'),
])
def test_fault(bus, fault, raised):
    bus.deploy(Ask)
    bus.outgoing('CRM').fails(fault)
    assert bus.call(Ask, data_format='').text == raised


def test_forgotten(bus):
    bus.deploy(Ask)
    bus.outgoing('CRM')
    bus.call(Ask)


@pytest.mark.parametrize('turn', [1, 2])
def test_clean(bus, turn):
    sent = bus.zmq('Audit')
    assert bus.run(lambda self: self.kvdb.conn.incr('turn')) == 1
    bus.run(lambda self: self.outgoing.zmq.send('hi', 'Audit'))
    assert sent.sent == [b'hi']
    assert bus.request('GET', '/test-faults.ask').status == 404
";

#[test]
fn faults_raise_what_real_ones_do_and_forgotten_answers_fail_the_test() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("test_faults.py"), FAULTS).unwrap();
    let output = run(busbar("test", home.path()).current_dir(home.path()).arg("-q"));
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("1 failed, 10 passed"), "{output:?}");
    assert!(
        output
            .stdout
            .contains("GET http://backend.test/ of outgoing connection `CRM`: no answer is programmed"),
        "{output:?}"
    );
    let nothing = run(busbar("test", home.path())
        .current_dir(home.path())
        .args(["-q", "-k", "nothing"]));
    assert_eq!(nothing.code, 5, "pytest's exit code for no tests: {nothing:?}");
}
