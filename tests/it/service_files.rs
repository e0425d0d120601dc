//! Service files over the management API, for editors.

use std::fs;
use std::os::unix::fs::symlink;

use busbar_testkit::{Request, Response, TestServer};
use serde_json::{Value, json};

use crate::{ECHO, OK, server};

fn ask_as(server: &TestServer, user: &str, password: &str, service: &str, input: &Value) -> Response {
    let request = Request::new("POST", &format!("/zato/json/zato.service.ide.{service}")).body(input.to_string());
    server.send_admin(&request.basic(user, password))
}

fn ask(server: &TestServer, service: &str, input: &Value) -> Response {
    ask_as(server, "pubapi", server.password(), service, input)
}

#[track_caller]
fn ok(server: &TestServer, service: &str, input: &Value) -> Value {
    let element = format!("zato_service_ide_{}_response", service.replace('-', "_"));
    ask(server, service, input).expect(200).json()[element].take()
}

fn names(server: &TestServer) -> Vec<String> {
    let list = ok(server, "get-file-list", &json!({}));
    let files = list.as_array().unwrap().iter();
    files.map(|it| it["file_name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn files_are_made_read_renamed_and_deleted() {
    let server = server().service("echo.py", ECHO).start();
    let pickup = server.pickup();
    let root = pickup.to_str().unwrap();
    let list = ok(&server, "get-file-list", &json!({}));
    let path = pickup.join("echo.py");
    assert_eq!(
        list[0],
        json!({
            "root_directory": root, "file_name": "echo.py", "full_path": path, "services": ["echo.echo"],
            "full_path_url_safe": list[0]["full_path_url_safe"],
        })
    );
    assert!(
        list[0]["full_path_url_safe"]
            .as_str()
            .unwrap()
            .ends_with("%2Fecho%2Epy"),
        "{list}"
    );
    assert_eq!(ok(&server, "get-file", &json!({"fs_location": path}))["data"], ECHO);
    let service = ok(&server, "get-service", &json!({"name": "echo.echo"}));
    assert_eq!((&service["data"], &service["full_path"]), (&json!(ECHO), &json!(path)));

    let made = ok(
        &server,
        "create-file",
        &json!({"root_directory": root, "file_name": "src/shop/ok.py", "data": OK}),
    );
    assert_eq!(
        (&made["services"], &made["full_path"]),
        (&json!(["shop.ok.ok"]), &json!(pickup.join("src/shop/ok.py")))
    );
    server.invoke("shop.ok.ok", "").expect(200);
    assert_eq!(fs::read_to_string(pickup.join("src/shop/ok.py")).unwrap(), OK);
    // one without services yet
    ok(
        &server,
        "create-file",
        &json!({"root_directory": "", "file_name": "empty.py"}),
    );
    assert_eq!(names(&server), ["echo.py", "empty.py", "src/shop/ok.py"]);

    let renamed =
        json!({"root_directory": format!("{root}/src/shop"), "current_file_name": "ok.py", "new_file_name": "fine.py"});
    assert_eq!(
        ok(&server, "rename-file", &renamed)["services"],
        json!(["shop.fine.ok"])
    );
    server.invoke("shop.fine.ok", "").expect(200);
    server.invoke("shop.ok.ok", "").expect(400);
    assert_eq!(names(&server), ["echo.py", "empty.py", "src/shop/fine.py"]);
    ok(&server, "delete-file", &json!({"fs_location": "src/shop/fine.py"}));
    server.invoke("shop.fine.ok", "").expect(400);
    assert_eq!(names(&server), ["echo.py", "empty.py"]);
}

#[test]
fn what_cannot_be_deployed_changes_nothing() {
    let server = server().service("echo.py", ECHO).start();
    let broken = json!({"root_directory": "", "file_name": "broken.py", "data": "import nothing_like_this\n"});
    let refused = ask(&server, "create-file", &broken).expect(400).text();
    assert!(
        refused.contains("Traceback") && refused.contains("nothing_like_this"),
        "{refused}"
    );
    assert_eq!(names(&server), ["echo.py"]);

    // nor is anything renamed to what it cannot be deployed as
    let own_name = "assert __name__ == 'shop.own', __name__\n";
    let own = json!({"root_directory": "src/shop", "file_name": "own.py", "data": own_name});
    ok(&server, "create-file", &own);
    let rename = json!({"root_directory": "src/shop", "current_file_name": "own.py", "new_file_name": "other.py"});
    let refused = ask(&server, "rename-file", &rename);
    assert_eq!(names(&server), ["echo.py", "src/shop/own.py"], "{}", refused.text());
    assert!(refused.expect(400).text().contains("shop.other"));
    ok(&server, "delete-file", &json!({"fs_location": "src/shop/own.py"}));

    // one that lies there and was never deployed can be read and deleted
    server.deploy("broken.py", "import nothing_like_this\n");
    server.wait_log(&["cannot deploy `broken`"]);
    let file = json!({"fs_location": "broken.py"});
    assert_eq!(ok(&server, "get-file", &file)["services"], json!([]));
    ok(&server, "delete-file", &file);
    assert!(!server.pickup().join("broken.py").exists());
    fs::write(server.pickup().join("latin.py"), b"# -*- coding: latin-1 -*-\n# \xe9\n").unwrap();
    let refused = ask(&server, "get-file", &json!({"fs_location": "latin.py"})).expect(409);
    assert!(refused.text().contains("UTF-8"), "{}", refused.text());
}

#[test]
fn no_other_files_are_reached() {
    let server = server().service("echo.py", ECHO).start();
    let pickup = server.pickup();
    let outside = server.directory().join("outside.py");
    fs::write(&outside, OK).unwrap();
    symlink(&outside, pickup.join("link.py")).unwrap();
    fs::create_dir(pickup.join("src")).unwrap();
    symlink(server.directory(), pickup.join("src/up")).unwrap();
    for place in [
        "../outside.py",
        "src/../../outside.py",
        outside.to_str().unwrap(),
        "link.py",
        "src/up/outside.py",
        "../config/server.toml",
        ".hidden.py",
        "",
    ] {
        for (service, input) in [
            ("get-file", json!({"fs_location": place})),
            ("delete-file", json!({"fs_location": place})),
            (
                "create-file",
                json!({"root_directory": pickup, "file_name": place, "data": OK}),
            ),
            (
                "rename-file",
                json!({"root_directory": "", "current_file_name": "echo.py", "new_file_name": place}),
            ),
            (
                "rename-file",
                json!({"root_directory": "", "current_file_name": place, "new_file_name": "new.py"}),
            ),
        ] {
            let refused = ask(&server, service, &input);
            assert_eq!(refused.status, 400, "{service} {input}: {}", refused.text());
        }
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), OK);
    assert_eq!(names(&server), ["echo.py"]);
    for (service, input, status) in [
        ("get-file", json!({"fs_location": "nobody.py"}), 404),
        ("delete-file", json!({"fs_location": "nobody.py"}), 404),
        ("get-service", json!({"name": "nobody"}), 404),
        ("get-service", json!({"name": "zato.helpers.echo"}), 404),
        (
            "create-file",
            json!({"root_directory": "", "file_name": "echo.py", "data": OK}),
            409,
        ),
        (
            "rename-file",
            json!({"root_directory": "", "current_file_name": "echo.py", "new_file_name": "echo.py"}),
            409,
        ),
        (
            "rename-file",
            json!({"root_directory": "", "current_file_name": "nobody.py", "new_file_name": "a.py"}),
            404,
        ),
    ] {
        let refused = ask(&server, service, &input);
        assert_eq!(refused.status, status, "{service} {input}: {}", refused.text());
    }
    server.invoke("echo.echo", "1").expect(200);
}

#[test]
fn whoever_may_not_deploy_may_not_write() {
    let objects = "
security:
  - {name: editor, type: basic_auth, username: editor, password: s3cret}
rbac_role:
  - {name: Editor, parent: Root}
rbac_role_permission:
  - {name: editors create, role: Editor, service: 'zato.service.ide.*', permission: Create}
  - {name: editors read, role: Editor, service: 'zato.service.ide.*', permission: Read}
rbac_client_role:
  - {name: editor is one, client_def: editor, role: Editor}
";
    let server = server().service("echo.py", ECHO).enmasse(objects).start();
    let file = json!({"root_directory": "", "file_name": "ok.py", "data": OK});
    let as_editor = |service: &str, input: &Value| ask_as(&server, "editor", "s3cret", service, input);
    as_editor("get-file", &json!({"fs_location": "echo.py"})).expect(200);
    as_editor("create-file", &file).expect(403);
    as_editor("delete-file", &json!({"fs_location": "echo.py"})).expect(403);
    let deploy = "
rbac_role_permission:
  - {name: editors deploy, role: Editor, service: zato.service.upload-package, permission: Update}
";
    server.import(deploy).expect_code(0);
    as_editor("create-file", &file).expect(200);
    server.invoke("ok.ok", "").expect(200);
}
