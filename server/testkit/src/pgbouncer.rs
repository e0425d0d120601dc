//! A proxy that shares the connections of a database of PostgreSQL among its clients.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::OwnServer;
use crate::own_server::run_as_other;
use crate::wait::wait_until;

/// pgbouncer before a server of the test. Its database `transaction` gives a connection to a client for a transaction at a time, `session`
/// for as long as the client stays. It ends with this value.
#[derive(Debug)]
pub struct Pgbouncer {
    port: u16,
    child: Child,
    _home: tempfile::TempDir,
}

impl Pgbouncer {
    /// Starts one, with two connections to each of its databases.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    #[track_caller]
    pub fn before(server: &OwnServer) -> Self {
        let home = tempfile::tempdir().expect("the system has a temporary directory");
        let port = crate::free_port();
        let to = server.port();
        let settings = home.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n\
             transaction = host=127.0.0.1 port={to} dbname=postgres user=postgres pool_mode=transaction\n\
             session = host=127.0.0.1 port={to} dbname=postgres user=postgres pool_mode=session\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\ndefault_pool_size = 2\n"
        );
        fs::write(&settings, text).expect("the directory is ours");
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg(&settings).stdout(Stdio::null()).stderr(Stdio::null());
        run_as_other(home.path(), &mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        wait_until("pgbouncer to let clients in", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            port,
            child,
            _home: home,
        }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
