//! Files of objects that are dropped into the pickup directory.

use std::fs;

use busbar_testkit::{run, wait_until};

use crate::{OK, server};

fn channel(name: &str, path: &str) -> String {
    format!("channel_rest: [{{name: {name}, url_path: {path}, service: ok.ok, data_format: json}}]")
}

#[test]
fn a_dropped_file_is_imported_and_a_wrong_one_makes_nothing() {
    let server = server().service("ok.py", OK).start();
    let folder = server.pickup().join("enmasse");
    let drop = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let answers = |path: &str, status: u16| {
        wait_until(path, || (server.get(path).status == status).then_some(()));
    };
    drop("orders.yaml", &channel("orders", "/orders"));
    answers("/orders", 200);
    server.wait_log(&["created channel.http `orders`", "orders.yaml"]);

    // written again it changes what it made
    drop("orders.yaml", &channel("orders", "/orders/v2"));
    answers("/orders/v2", 200);
    server.get("/orders").expect(404);
    server.wait_log(&["changed channel.http `orders`"]);

    drop(
        "wrong.json",
        r#"{"channel_rest": [{"name": "good", "url_path": "/good", "service": "ok.ok"}, {"name": "bad", "url_path": "x"}]}"#,
    );
    let log = server.wait_log(&["wrong.json", "channel_rest `bad`", "E11"]);
    assert!(!log.contains("panicked"), "{log}");
    server.get("/good").expect(404);
    drop("notes.txt", "nothing");
    // files that need each other may come in any order
    let parts = server.scratch().join("parts");
    fs::create_dir(&parts).unwrap();
    fs::write(
        parts.join("a.yaml"),
        channel("guarded", "/guarded").replace("data_format: json", "security_name: shop"),
    )
    .unwrap();
    fs::write(
        parts.join("b.yaml"),
        "security: [{name: shop, type: basic_auth, username: ann, password: s3cret}]",
    )
    .unwrap();
    let copied = std::process::Command::new("cp")
        .args([parts.join("a.yaml"), parts.join("b.yaml"), folder.clone()])
        .status();
    assert!(copied.unwrap().success());
    answers("/guarded", 401);
    // the file that is gone takes nothing with it
    fs::remove_file(folder.join("orders.yaml")).unwrap();
    server.wait_log(&["ignored", "notes.txt", "only .yaml"]);
    server.get("/orders/v2").expect(200);
    assert!(!server.log().contains("s3cret"));
}

#[test]
fn a_file_that_was_imported_is_not_again_after_a_restart() {
    let mut server = server().service("ok.py", OK).start();
    let folder = server.pickup().join("enmasse");
    fs::write(folder.join("orders.yaml"), channel("orders", "/orders")).unwrap();
    wait_until("the channel", || (server.get("/orders").status == 200).then_some(()));
    server
        .enmasse(&["--import", "--replace"], &channel("orders", "/orders/v2"))
        .expect_code(0);
    server.stop();
    fs::write(folder.join("prices.yml"), channel("prices", "/prices")).unwrap();
    server.start();
    // what was dropped while nobody looked is there with the first answer
    server.get("/prices").expect(200);
    server.get("/orders/v2").expect(200);
    server.get("/orders").expect(404);
}

#[test]
fn a_history_says_whose_files_and_commands_changed_what() {
    let server = server().service("ok.py", OK).start();
    // SAFETY: geteuid cannot fail
    let is_root = unsafe { libc::geteuid() } == 0;
    let me = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let me = me.trim();
    let file = server.scratch().join("orders.yaml");
    fs::write(&file, channel("orders", "/orders")).unwrap();
    let owner = if is_root {
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        "nobody"
    } else {
        me
    };
    fs::rename(&file, server.pickup().join("enmasse/orders.yaml")).unwrap();
    wait_until("the channel", || (server.get("/orders").status == 200).then_some(()));
    server
        .enmasse(&["--import", "--replace"], &channel("orders", "/orders/v2"))
        .expect_code(0);
    let one = ["--type", "channel-rest", "--name", "orders"];
    server
        .run("rollback", &[&one[..], &["--version", "1"]].concat())
        .expect_code(0);
    let history = server
        .run("history", &[&one[..], &["--json"]].concat())
        .expect_code(0)
        .json();
    let seen: Vec<_> = history.as_array().unwrap().iter().map(|it| &it["changed_by"]).collect();
    let cli = format!("cli:{me}");
    assert_eq!(seen, [&cli, &cli, &format!("pickup:{owner}")]);
    // a service that the command line calls changes for whoever calls it
    let input = r#"{"name": "shop", "is_active": true, "username": "shop", "realm": "Shop"}"#;
    let mut invoke = server.command("service");
    invoke.arg("invoke").arg(server.directory());
    invoke.args(["zato.security.basic-auth.create", "--payload", input]);
    run(&mut invoke).expect_code(0);
    let shop = ["--type", "security basic-auth", "--name", "shop", "--json"];
    let history = server.run("history", &shop).expect_code(0).json();
    assert_eq!(history[0]["changed_by"], *cli);
    let revisions = server.run("history", &[]).expect_code(0).stdout;
    assert!(revisions.contains(&format!("by {cli}\n")), "{revisions}");
}
