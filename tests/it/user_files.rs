//! `self.user_config` and `self.static_config`: files that users keep for their services.

use serde_json::json;

use crate::server;

const SERVICE: &str = "
from zato.server.service import Service

class Config(Service):
    def handle(self):
        assert self.config is self.user_config
        self.response.payload = {name: self.user_config.get(name) for name in ('user', 'crm', 'late')}

class Attribute(Service):
    def handle(self):
        crm = self.user_config.crm.main
        self.response.payload = [crm.host, crm.port, crm.is_on, crm.ratio, crm.secret, crm['a b']]

class Static(Service):
    def handle(self):
        self.response.payload = [self.static_config.html['index.html'], self.static_config['top.txt']]
";

#[test]
fn services_read_files_that_change_while_they_run() {
    let mut server = server()
        .workers(2)
        .service("my.py", SERVICE)
        .variable("CRM_SECRET", "hunter2")
        .prepare();
    let write = |server: &busbar_testkit::TestServer, path: &str, text: &str| {
        let path = server.directory().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let crm = "[main]\nhost = crm.example.com\nport = 443\nis_on = True\nratio = 0.5\nsecret = $CRM_SECRET\na b = c\n";
    write(&server, "user-conf/user.conf", "[a]\nb = 1\n");
    write(&server, "pickup-dir/crm.ini", crm);
    write(&server, "static/html/index.html", "<p>1</p>");
    write(&server, "static/top.txt", "top");
    server.start();
    server
        .import(
            &json!({"channel_rest": [
                {"name": "c", "url_path": "/config", "service": "my.config", "data_format": "json"},
                {"name": "a", "url_path": "/attribute", "service": "my.attribute", "data_format": "json"},
                {"name": "s", "url_path": "/static", "service": "my.static", "data_format": "json"},
            ]})
            .to_string(),
        )
        .expect_code(0);
    assert_eq!(
        server.get("/attribute").expect(200).json(),
        json!(["crm.example.com", 443, true, 0.5, "hunter2", "c"])
    );
    assert_eq!(server.get("/static").expect(200).json(), json!(["<p>1</p>", "top"]));
    let seen = |server: &busbar_testkit::TestServer| server.get("/config").expect(200).json();
    let before = seen(&server);
    assert_eq!(
        (&before["user"], &before["late"]),
        (&json!({"a": {"b": 1}}), &json!(null))
    );

    // a broken file changes nothing and is named in the log; another that comes with it is read
    write(&server, "user-conf/user.conf", "[a\nb = 2\n");
    server.wait_log(&["user.conf", "line 1", "not closed"]);
    write(&server, "user-conf/late.ini", "x = 1\n");
    write(&server, "static/html/index.html", "<p>2</p>");
    let settled = || {
        // every worker has to know
        (0..6).all(|_| {
            let seen = seen(&server);
            seen["late"] == json!({"x": 1}) && seen["user"] == json!({"a": {"b": 1}})
        })
    };
    busbar_testkit::wait_until("the new file", || settled().then_some(()));
    server.wait_answer("/static", r#"["<p>2</p>","top"]"#);
    write(&server, "user-conf/user.conf", "[a]\nb = 3\n");
    busbar_testkit::wait_until("the mended file", || {
        (0..6).all(|_| seen(&server)["user"]["a"]["b"] == 3).then_some(())
    });

    // a worker that is started later knows them too
    busbar_testkit::process::kill(server.worker_pids()[0]);
    busbar_testkit::wait_until("another worker", || (server.worker_pids().len() == 2).then_some(()));
    for _ in 0..6 {
        assert_eq!(seen(&server)["user"], json!({"a": {"b": 3}}));
    }
}
