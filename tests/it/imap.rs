//! `self.email.imap`, against Dovecot.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use busbar_testkit::{free_port, process, wait_until};
use serde_json::json;

use crate::http_protocol::certificate;
use crate::server;

/// Dovecot refuses to serve mail of root: where root runs the tests, `nobody` runs Dovecot.
const NOBODY: u32 = 65534;

/// A mail server in a directory of its own, with the user `me`, whose password is `hunter2`.
pub struct Dovecot {
    home: tempfile::TempDir,
    child: Option<Child>,
    port: u16,
    tls_port: u16,
}

impl Dovecot {
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let mut dovecot = Self {
            home,
            child: None,
            port,
            tls_port,
        };
        dovecot.prepare();
        dovecot.run();
        dovecot
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn is_root() -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    fn prepare(&self) {
        certificate(self.home.path());
        fs::write(self.path("users"), "me:{PLAIN}hunter2\n").unwrap();
        for folder in ["", ".Done", ".Wys&AUI-ane"] {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(self.path("mail").join(folder).join(part)).unwrap();
            }
        }
        let (user, group) = if Self::is_root() {
            ("nobody".to_owned(), "nogroup".to_owned())
        } else {
            let name = |flag| String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap();
            (name("-un").trim().to_owned(), name("-gn").trim().to_owned())
        };
        let home = self.home.path().display();
        let (port, tls_port) = (self.port, self.tls_port);
        let config = format!(
            "base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
disable_plaintext_auth = no
auth_failure_delay = 0
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
first_valid_uid = 1
mail_location = maildir:{home}/mail
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home}
}}
"
        );
        fs::write(self.path("dovecot.conf"), config).unwrap();
        self.give_away(self.home.path());
    }

    /// Lets whoever runs Dovecot have what is in a directory.
    fn give_away(&self, path: &Path) {
        if Self::is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            if path.is_dir() {
                for entry in fs::read_dir(path).unwrap() {
                    self.give_away(&entry.unwrap().path());
                }
            }
        }
    }

    fn run(&mut self) {
        // which is not in everybody's PATH
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(self.path("dovecot.conf"));
        if Self::is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        self.child = Some(
            command
                .spawn()
                .expect("dovecot-imapd is installed: scripts/setup does it"),
        );
        let ports = [self.port, self.tls_port];
        wait_until("Dovecot listens", || {
            let is_up = ports
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
            is_up.then_some(())
        });
    }

    /// Ends it with all its processes, sessions included.
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = i32::try_from(child.id()).unwrap();
            let below = process::descendants(pid);
            process::signal(pid, 15);
            process::wait(&mut child, Duration::from_secs(20));
            below
                .into_iter()
                .filter(|it| process::is_alive(*it))
                .for_each(process::kill);
        }
    }

    /// Lets a message arrive.
    pub fn deliver(&self, folder: &str, name: &str, text: &str) {
        let file = self.path("mail").join(folder).join("new").join(name);
        // Dovecot must not see half of it
        let unfinished = self.path("mail").join(folder).join("tmp").join(name);
        fs::write(&unfinished, text.replace('\n', "\r\n")).unwrap();
        self.give_away(&unfinished);
        fs::rename(unfinished, file).unwrap();
    }

    /// Files of a folder, by what their names say: `1:2,S` is a message that was seen.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        for part in ["cur", "new"] {
            for entry in fs::read_dir(self.path("mail").join(folder).join(part)).unwrap() {
                found.push(entry.unwrap().file_name().into_string().unwrap());
            }
        }
        found.sort();
        found
    }

    /// A connection to it, in an enmasse file.
    pub fn connection(&self, name: &str, more: serde_json::Value) -> serde_json::Value {
        let mut item = json!({
            "name": name, "host": "localhost", "port": self.port, "mode": "plain", "username": "me", "password": "hunter2",
            "timeout": 20,
        });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

const FULL: &str = "From: =?utf-8?q?Za=C5=BC=C3=B3=C5=82=C4=87?= <me@example.com>
To: a@example.com,
 \"B, the second\" <b@example.com>
Cc: c@example.com
Subject: =?utf-8?b?xbzDs8WCdw==?= in
 two lines
Date: Fri, 20 Nov 2026 10:11:12 +0100
Message-ID: <1@example.com>
X-Mine: yes
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-2
Content-Transfer-Encoding: quoted-printable

=BF=F3=B3w
--inner
Content-Type: text/html; charset=utf-8

<p>turtle</p>
--inner--
--outer
Content-Type: text/csv; name=a.csv
Content-Disposition: attachment; filename*=utf-8''%C5%BC.csv
Content-Transfer-Encoding: base64

YSxi
--outer
Content-Type: message/rfc822

Subject: forwarded

not in the body
--outer--
";

const READ: &str = "
from zato.server.service import Service

class Read(Service):
    def handle(self):
        conn = self.email.imap.get('Box').conn
        [(uid, message)] = conn.get()
        data = message.data
        self.response.payload = {
            'uid': [uid, message.uid, uid.folder], 'subject': data.subject, 'from': data.sent_from, 'to': data['sent_to'], 'cc': data.cc,
            'bcc': data.bcc, 'date': data.date, 'parsed': data.parsed_date, 'id': data.message_id, 'plain': data.body.plain,
            'html': data.body['html'], 'mine': [it.Value for it in data.headers if it.Name == 'X-Mine'],
            'files': [[it.filename, it['content-type'], it.size, it.content.read().decode().replace('\\r', '')] for it in data.attachments],
            'raw': data.raw_email == message.raw and message.raw.startswith(b'From: '),
        }
";

#[test]
fn messages_are_read_with_everything_in_them() {
    let dovecot = Dovecot::start();
    dovecot.deliver("", "1", FULL);
    let server = server()
        .service("mail.py", READ)
        .enmasse(&json!({"email_imap": [dovecot.connection("Box", json!({}))]}).to_string())
        .start();
    let answer = server.invoke("mail.read", "");
    assert_eq!(
        answer.expect(200).json(),
        json!({
            "uid": ["1", "1", "INBOX"], "subject": "żółw in two lines", "from": [{"name": "Zażółć", "email": "me@example.com"}],
            "to": [{"name": "", "email": "a@example.com"}, {"name": "B, the second", "email": "b@example.com"}],
            "cc": [{"name": "", "email": "c@example.com"}], "bcc": [], "date": "Fri, 20 Nov 2026 10:11:12 +0100",
            "parsed": "2026-11-20T10:11:12+01:00", "id": "<1@example.com>", "plain": ["żółw"], "html": ["<p>turtle</p>"],
            "mine": ["yes"], "raw": true,
            "files": [["ż.csv", "text/csv", 3, "a,b"], ["", "message/rfc822", 35, "Subject: forwarded\n\nnot in the body"]],
        }),
        "{}",
        server.log()
    );
    // reading is not seeing
    assert_eq!(dovecot.files(""), ["1:2,"]);
}

const WORK: &str = "
from zato.server.service import Service

class Work(Service):
    def handle(self):
        item = self.email.imap['Box']
        conn = item.conn
        assert conn.ping() is True
        found = dict(item.get())
        assert list(found) == ['1', '2', '3', '4', '5', '6'], found
        one, two, three, four, five, six = found.values()
        one.mark_seen()
        two.delete()
        three.move('Done')
        conn.delete(4)
        conn.mark_seen(five.uid, b'6')
        assert list(conn.get()) == [], 'all were seen, deleted or moved'
        [(uid, moved)] = conn.get('Done')
        assert moved.data.subject == '3' and uid.folder == 'Done'
        # a number knows its folder: this is not the first message of INBOX
        conn.move(uid, target='Wysłane')
        [(uid, moved)] = conn.get('Wysłane')
        assert moved.data.subject == '3', moved.data
        assert [message.data.subject for _, message in self.email.imap['All'].get()] == ['1', '5', '6']
        assert [message.data.subject for _, message in self.email.imap['Fives'].get()] == ['5']
        six.delete()
        six.delete()
        for call in [lambda: list(conn.get('No')), lambda: five.move('No')]:
            try: call()
            except Exception as e: assert \"email.imap `Box` refused\" in str(e) and 'No' in str(e), e
            else: assert False
        for name, expected in ('No', 'KeyError'), ('Off', 'Inactive'):
            try: self.email.imap.get(name)
            except Exception as e: assert type(e).__name__ == expected, e
            else: assert False
        assert self.email.imap.get('Off', True).conn.name == 'Off'
        self.response.payload = 'fine'
";

#[test]
fn messages_are_marked_moved_and_deleted() {
    let dovecot = Dovecot::start();
    for number in 1..=6 {
        dovecot.deliver(
            "",
            &number.to_string(),
            &format!("Subject: {number}\n\nBody {number}\n"),
        );
    }
    let server = server()
        .service("mail.py", WORK)
        .enmasse(
            &json!({"email_imap": [
                dovecot.connection("Box", json!({})), dovecot.connection("All", json!({"get_criteria": "ALL"})),
                dovecot.connection("Fives", json!({"get_criteria": "ALL BODY \"Body 5\""})), dovecot.connection("Off", json!({"is_active": false})),
            ]})
            .to_string(),
        )
        .start();
    let answer = server.invoke("mail.work", "");
    assert_eq!(answer.text(), "fine", "{}", server.log());
    assert_eq!(dovecot.files(""), ["1:2,S", "5:2,S"]);
    assert_eq!(dovecot.files(".Done"), [""; 0]);
    assert_eq!(dovecot.files(".Wys&AUI-ane").len(), 1);
}

const TRY: &str = "
from zato.server.service import Service

class Try(Service):
    def handle(self):
        try:
            self.response.payload = str(len(list(self.email.imap[self.request.payload].get())))
        except Exception as e:
            self.response.payload = f'{type(e).__name__}: {e}'
";

#[test]
fn faults_are_told_and_survived() {
    let mut dovecot = Dovecot::start();
    dovecot.deliver("", "1", "Subject: 1\n\nBody\n");
    let certificate = dovecot.path("server.pem").display().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let tls_port = dovecot.tls_port;
    let server = server()
        .config("[log]\nlevel = \"trace\"\n")
        .service("mail.py", TRY)
        .enmasse(
            &json!({"email_imap": [
                dovecot.connection("Box", json!({})),
                dovecot.connection("Wrong", json!({"password": "other"})),
                dovecot.connection("Silent", json!({"port": silent_port, "timeout": 0.3})),
                dovecot.connection("TLS", json!({"mode": "ssl", "port": tls_port, "tls_ca_path": certificate})),
                dovecot.connection("Start", json!({"mode": "starttls", "tls_ca_path": certificate})),
                dovecot.connection("Stranger", json!({"mode": "ssl", "port": tls_port})),
                dovecot.connection("Trusting", json!({"mode": "ssl", "port": tls_port, "tls_verify": false})),
                dovecot.connection("Confused", json!({"mode": "ssl"})),
                dovecot.connection("Odd", json!({"get_criteria": "SOMETIMES"})),
            ]})
            .to_string(),
        )
        .start();
    let ask = |name: &str| server.invoke("mail.try", &json!(name).to_string()).text();
    for name in ["Box", "TLS", "Start", "Trusting"] {
        assert_eq!(ask(name), "1", "{name}: {}", server.log());
    }
    let wrong = ask("Wrong");
    assert!(
        wrong.starts_with("ZatoException: email.imap `Wrong` did not let `me` in: "),
        "{wrong}"
    );
    assert!(ask("Silent").starts_with("TimeoutException: email.imap `Silent` did not answer within 0.3 s"));
    let stranger = ask("Stranger");
    assert!(
        stranger.starts_with("ConnectionException: email.imap `Stranger`: TLS with `localhost` failed"),
        "{stranger}"
    );
    let odd = ask("Odd");
    assert!(
        odd.starts_with("ZatoException: email.imap `Odd` refused searching folder `INBOX`: "),
        "{odd}"
    );
    assert!(ask("Confused").starts_with("ConnectionException: email.imap `Confused`: TLS with `localhost` failed"));

    dovecot.stop();
    let gone = ask("Box");
    assert!(
        gone.starts_with("ConnectionException: email.imap `Box` cannot be reached at localhost:"),
        "{gone}"
    );
    dovecot.run();
    assert_eq!(ask("Box"), "1");

    assert!(!server.log().contains("hunter2"));
    let exported = server.enmasse(&["--export"], "").expect_code(0);
    assert!(!exported.stdout.contains("hunter2"), "{}", exported.stdout);
    let refused = server.import(
        &json!({"email_imap": [dovecot.connection("Bad", json!({"get_criteria": "ALL\nLOGOUT"}))]}).to_string(),
    );
    assert!(
        refused.code != 0 && refused.stderr.contains("get_criteria"),
        "{refused:?}"
    );
}
