//! `self.email.smtp`, against a mail server of another make.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use busbar_testkit::wait_until;
use serde_json::{Value, json};

use crate::{python, server};

/// Keeps every message as a line of JSON; lets in `me` with `hunter2`, and refuses messages for `nobody@example.com`.
const PEER: &str = "
import asyncio, json, sys
from email import message_from_bytes, policy
from aiosmtpd.smtp import SMTP, AuthResult

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('nobody@'):
            return '550 no such user'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        body = message.get_body(('html', 'plain'))
        with open(sys.argv[1], 'a') as f:
            f.write(json.dumps({
                'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'subject': message['Subject'], 'cc': message['Cc'],
                'bcc': message['Bcc'], 'mine': message['X-Mine'], 'body': body.get_content().strip(), 'type': body.get_content_type(),
                'files': [[part.get_filename(), part.get_payload(decode=True).decode()] for part in message.iter_attachments()],
            }) + '\\n')
        return '250 OK'

def check(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b'me', b'hunter2'), handled=False)

async def main():
    make = lambda: SMTP(Handler(), authenticator=check, auth_required=True, auth_require_tls=False)
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
";

pub struct Peer {
    child: Child,
    pub port: u16,
}

impl Peer {
    pub fn start(messages: &std::path::Path) -> Self {
        let mut child = Command::new(python())
            .args(["-c", PEER])
            .arg(messages)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().expect("aiosmtpd is in requirements.txt");
        Self { child, port }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const SERVICE: &str = "
from zato.common.api import SMTPMessage
from zato.server.service import Service

class Send(Service):
    def handle(self):
        conn = self.email.smtp.get('Mail').conn
        message = SMTPMessage('Me <me@example.com>', ['a@example.com', 'B <b@example.com>'], 'Zażółć', '<p>gęślą</p>', cc='c@example.com',
            bcc=['d@example.com'], is_html=True, headers={'X-Mine': 'yes'}, attachments=[{'name': 'żółw.csv', 'contents': 'a,ą'}])
        message.attach('b.bin', b'bytes')
        assert conn.send(message) is True
        plain = SMTPMessage(to='a@example.com', subject='Plain', body='text')
        assert conn.send(plain, from_='other@example.com')
        assert self.email.smtp['Mail'].send(plain) is False, 'nobody sends it'
        assert conn.send(SMTPMessage('me@example.com', 'nobody@example.com', 's', 'b')) is False
        assert conn.send(SMTPMessage('me@example.com', subject='nobody')) is False
        assert conn.send(SMTPMessage('me@example.com', 'a@example.com', 'one\\nBcc: x@example.com')) is False
        assert self.email.smtp.get('Wrong').conn.send(plain, 'me@example.com') is False
        assert self.email.smtp.get('Gone').conn.send(plain, 'me@example.com') is False
        assert conn.ping()
        for name, expected in ('No', 'KeyError'), ('Off', 'Inactive'):
            try: self.email.smtp.get(name)
            except Exception as e: assert type(e).__name__ == expected, e
            else: assert False
        assert self.email.smtp.get('Off', True).conn.send(plain, 'me@example.com') is False
        self.response.payload = 'fine'
";

#[test]
fn messages_are_sent_and_failures_are_no_exceptions() {
    let home = tempfile::tempdir().unwrap();
    let messages = home.path().join("messages");
    let peer = Peer::start(&messages);
    let mail = |name: &str, port: u16, password: &str, is_active: bool| {
        json!({"name": name, "is_active": is_active, "host": "127.0.0.1", "port": port, "mode": "plain", "username": "me",
            "password": password, "timeout": 10})
    };
    let server = server()
        .service("mail.py", SERVICE)
        .enmasse(
            &json!({"email_smtp": [
                mail("Mail", peer.port, "hunter2", true), mail("Wrong", peer.port, "other", true), mail("Gone", 1, "a", true),
                mail("Off", peer.port, "hunter2", false),
            ]})
            .to_string(),
        )
        .start();
    let answer = server.invoke("mail.send", "");
    assert_eq!(answer.text(), "fine", "{}", server.log());
    let received = wait_until("the messages", || {
        let text = std::fs::read_to_string(&messages).ok()?;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(
        received[0],
        json!({
            "from": "me@example.com", "to": ["a@example.com", "b@example.com", "c@example.com", "d@example.com"],
            "subject": "Zażółć", "cc": "c@example.com", "bcc": null, "mine": "yes", "body": "<p>gęślą</p>", "type": "text/html",
            "files": [["żółw.csv", "a,ą"], ["b.bin", "bytes"]],
        })
    );
    assert_eq!(
        (&received[1]["from"], &received[1]["type"]),
        (&json!("other@example.com"), &json!("text/plain"))
    );
    assert_eq!(received.len(), 2);
    // an export keeps the password to itself
    server.wait_log(&["permanent error (550)"]);
    let exported = server.enmasse(&["--export"], "").expect_code(0);
    assert!(!exported.stdout.contains("hunter2"), "{}", exported.stdout);
}
