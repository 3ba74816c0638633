//! A PostgreSQL of a test's own, that it may stop and start.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::place::free_port;

pub struct OwnPostgres {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

/// Where Debian keeps the newest one's programs.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .expect("the test needs PostgreSQL's own programs: scripts/test installs them");
    versions
        .map(|entry| entry.unwrap().path().join("bin"))
        .max()
        .unwrap()
}

impl OwnPostgres {
    pub fn start() -> OwnPostgres {
        let server = OwnPostgres {
            folder: tempfile::tempdir().unwrap(),
            bin: bin(),
            port: free_port(),
        };
        if is_root() {
            let given = Command::new("chown")
                .arg("postgres")
                .arg(server.folder.path())
                .status();
            assert!(given.unwrap().success());
        }
        let data = server.data();
        server.run(
            "initdb",
            &["-U", "root", "-A", "trust", "-E", "UTF8"],
            &data,
        );
        server.again();
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, where it was before.
    pub fn again(&self) {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off",
            self.port
        );
        let log = format!("{folder}/log");
        let data = self.data();
        self.run(
            "pg_ctl",
            &["start", "-w", "-l", &log, "-o", &options],
            &data,
        );
    }

    /// Ends it at once, as if its machine had crashed.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "-m", "immediate"], &self.data());
    }

    /// PostgreSQL does not run as root.
    fn run(&self, program: &str, arguments: &[&str], data: &Path) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        // To files, not pipes: the server would hold them open.
        let log = std::fs::File::create(self.folder.path().with_extension("tools")).unwrap();
        let done = command
            .args(arguments)
            .arg("-D")
            .arg(data)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(self.folder.path().with_extension("tools"));
        assert!(done.success(), "{arguments:?}: {}", said.unwrap());
    }

    pub fn url(&self) -> String {
        format!("postgres://root@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.stop();
        }
        let _ = std::fs::remove_file(self.folder.path().with_extension("tools"));
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
