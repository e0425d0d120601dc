//! Service files in folders of the pickup directory.

use std::fs;
use std::path::Path;

use busbar_testkit::wait_until;
use serde_json::json;

use crate::{OK, server};

/// Files of a project, by their paths.
const FILES: &[(&str, &str)] = &[
    ("src/crm/__init__.py", "LIMIT = 7\n"),
    ("src/crm/common.py", "def greet(name):\n    return f'Hello {name}'\n"),
    ("src/crm/api/helper.py", "X = 1\n"),
    ("src/crm/api/customer_v2.py", CUSTOMER),
    ("services/billing.py", OK),
    ("src/crm/.drafts/unfinished.py", "raise Exception\n"),
    ("other/nobodys.py", OK),
];

const CUSTOMER: &str = "
import crm.api.helper as h
import crm.common
from crm import LIMIT
from crm.common import greet
from zato.server.service import Service

from . import helper
from ..common import greet as again

class Get(Service):
    def handle(self):
        import crm.api.helper
        assert again is greet and crm.common.greet is greet and h is helper and crm.api.helper is helper
        self.response.payload = [greet('Ann'), helper.X, LIMIT, crm.LIMIT, __package__]
";

fn write(directory: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_project_is_copied_as_it_is() {
    let mut server = server().config("[hot_deploy]\nremove_with_file = true\n").prepare();
    write(&server.pickup(), FILES);
    server.start();
    let answer = server.invoke("crm.api.customer-v2.get", "").expect(200);
    assert_eq!(
        answer.json(),
        json!(["Hello Ann", 1, 7, 7, "crm.api"]),
        "{}",
        server.log()
    );
    server.invoke("billing.ok", "").expect(200);
    server.invoke("nobodys.ok", "").expect(400);
    assert!(!server.log().contains("unfinished"), "{}", server.log());

    // whoever imports what changed is loaded anew, whichever way it is imported
    let changed = [
        ("src/crm/api/helper.py", "X = 2\n"),
        ("src/crm/__init__.py", "LIMIT = 8\n"),
    ];
    write(&server.pickup(), &changed);
    wait_until("the new code", || {
        let answer = server.invoke("crm.api.customer-v2.get", "").expect(200).json();
        (answer == json!(["Hello Ann", 2, 8, 8, "crm.api"])).then_some(())
    });
    // a file that does not import leaves what runs as it is
    write(
        &server.pickup(),
        &[("src/crm/api/helper.py", "from .missing import X\n")],
    );
    server.wait_log(&["No module named 'crm.api.missing'"]);
    server.invoke("crm.api.customer-v2.get", "").expect(200);

    // what the command line deploys lies where it lay
    let helper = server.pickup().join("src/crm/api/helper.py");
    fs::write(&helper, "X = 3\n").unwrap();
    server.run("hot-deploy", &[helper.to_str().unwrap()]).expect_code(0);
    let answer = server.invoke("crm.api.customer-v2.get", "").expect(200);
    assert_eq!(answer.json()[1], 3);
    assert!(!server.pickup().join("helper.py").exists());

    // a folder of its own, later
    write(&server.pickup(), &[("src/erp/orders/list.py", OK)]);
    wait_until("the new service", || {
        (server.invoke("erp.orders.list.ok", "").status == 200).then_some(())
    });
    fs::remove_dir_all(server.pickup().join("src/erp")).unwrap();
    wait_until("the service to go", || {
        (server.invoke("erp.orders.list.ok", "").status == 400).then_some(())
    });
}
