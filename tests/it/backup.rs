//! Everything that makes a server, in one file and back; and what is left of an import that was cut off.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use busbar_testkit::{Request, TestServer, process};

use crate::{ECHO, server};

const PASSPHRASE: &str = "correct horse battery staple";

const OBJECTS: &str = "
security:
  - {name: shop, type: basic_auth, username: ann, password: c4nary}
channel_rest:
  - {name: orders, url_path: /orders, service: echo.echo, data_format: json, security_name: shop}
";

fn order() -> Request {
    Request::new("POST", "/orders").basic("ann", "c4nary").body("1")
}

fn run(server: &TestServer, command: &str, passphrase: &str, arguments: &[&str]) -> process::Output {
    let mut command = server.command(command);
    command
        .arg(server.directory())
        .args(arguments)
        .env("BUSBAR_PASSPHRASE", passphrase);
    process::run(&mut command)
}

#[test]
fn a_server_comes_back_on_an_empty_machine() {
    let here = server().service("echo.py", ECHO).start();
    here.import(OBJECTS).expect_code(0);
    here.send(&order()).expect(200);
    let file = here.scratch().join("server1.backup");
    let path = file.to_str().unwrap();
    let refused = run(&here, "backup", "", &[path]).expect_code(15);
    assert!(refused.stderr.contains("BUSBAR_PASSPHRASE"), "{}", refused.stderr);
    // it runs meanwhile
    let made = run(&here, "backup", PASSPHRASE, &[path]).expect_code(0);
    assert!(made.stdout.contains(" and 1 module(s) of revision "), "{}", made.stdout);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(6).any(|it| it == b"c4nary"));

    let mut there = server().prepare();
    let wrong = run(&there, "restore", "another passphrase", &["--force", path]).expect_code(15);
    assert!(
        wrong.stderr.contains("the passphrase is another one"),
        "{}",
        wrong.stderr
    );
    let cut = here.scratch().join("cut.backup");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    run(&there, "restore", PASSPHRASE, &["--force", cut.to_str().unwrap()]).expect_code(15);
    // quickstart made an object
    let full = run(&there, "restore", PASSPHRASE, &[path]).expect_code(15);
    assert!(full.stderr.contains("--force"), "{}", full.stderr);
    run(&there, "restore", PASSPHRASE, &["--force", path]).expect_code(0);
    there.start();
    there.send(&order()).expect(200);
    let export = |server: &TestServer| {
        server
            .run("enmasse", &["--export", "--with-secrets"])
            .expect_code(0)
            .stdout
    };
    assert_eq!(export(&here), export(&there));
    let running = run(&there, "restore", PASSPHRASE, &["--force", path]).expect_code(9);
    assert!(running.stderr.contains("runs already"), "{}", running.stderr);
}

/// Fifty connections that all hold the same number.
fn generation(number: usize) -> String {
    let mut text = "outgoing_rest:\n".to_owned();
    for index in 0..50 {
        text.push_str(&format!(
            "  - {{name: 'back-end {index}', host: 'http://127.0.0.1:9', url_path: /{number}}}\n"
        ));
    }
    text
}

#[test]
fn an_import_that_was_killed_is_whole_or_not_there() {
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = server().start();
    let begin = Instant::now();
    server.import(&generation(0)).expect_code(0);
    let duration = begin.elapsed();
    let file = server.scratch().join("next.yaml");
    let mut last = 0;
    let mut made = [0, 0];
    for number in 1..=12 {
        fs::write(&file, generation(number)).unwrap();
        let mut import = server.command("enmasse");
        import
            .arg(server.directory())
            .args(["--import", "--replace", "--input"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut import = import.spawn().unwrap();
        // any step of the import may be the one at which it ends
        std::thread::sleep(duration.mul_f64(random.f64() * 1.2));
        server.signal(libc::SIGKILL);
        server.wait();
        let answered = process::wait(&mut import, Duration::from_secs(60)).expect("it ends with its server");
        server.start();
        let export = server.run("enmasse", &["--export", "--include-type", "outgoing_rest"]);
        let export = export.expect_code(0).stdout;
        let count = |number: usize| {
            export
                .lines()
                .filter(|it| it.trim() == format!("url_path: /{number}"))
                .count()
        };
        let is_made = count(number) == 50;
        assert!(is_made || count(last) == 50, "neither {last} nor {number}:\n{export}");
        assert!(is_made || !answered.success(), "what was answered is there");
        made[usize::from(is_made)] += 1;
        if is_made {
            last = number;
        }
    }
    println!("{} not there, {} whole", made[0], made[1]);
}
