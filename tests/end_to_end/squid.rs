//! A real proxy: Debian's squid, on a free port of this machine, with a configuration of
//! its own. `scripts/test` installs it.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::place::{free_port, until};

pub const HELPERS: &str = "/usr/lib/squid";

/// A user that NTLM's and Basic's spelling both take, and a password that has to be
/// escaped in an address.
pub const USER: &str = "ssd";
pub const PASSWORD: &str = "p:ss wörd";

pub struct Squid {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Squid {
    /// Lets everybody through.
    pub fn open() -> Squid {
        Squid::start("http_access allow all")
    }

    /// Lets `USER` with `PASSWORD` through.
    pub fn basic() -> Squid {
        Squid::start(&format!(
            "auth_param basic program {HELPERS}/basic_ncsa_auth FOLDER/passwd\n\
             auth_param basic children 1\nauth_param basic realm csc, test\n\
             {REQUIRED}"
        ))
    }

    /// As `basic`, with a digest of the password.
    pub fn digest() -> Squid {
        Squid::start(&format!(
            "auth_param digest program {HELPERS}/digest_file_auth -c FOLDER/digest\n\
             auth_param digest children 1\nauth_param digest realm csc\n{REQUIRED}"
        ))
    }

    /// Asks for NTLM and believes whoever answers.
    pub fn ntlm() -> Squid {
        Squid::start(&format!(
            "auth_param ntlm program {HELPERS}/ntlm_fake_auth\n\
             auth_param ntlm children 1\n{REQUIRED}"
        ))
    }

    /// Asks for NTLM and believes nobody.
    pub fn ntlm_that_refuses() -> Squid {
        Squid::start(&format!(
            "auth_param ntlm program /bin/sh FOLDER/ntlm-no\n\
             auth_param ntlm children 1\n{REQUIRED}"
        ))
    }

    /// Starts one with these lines; `FOLDER` stands for its own folder. It takes
    /// `receiver.test` for this machine.
    pub fn start(lines: &str) -> Squid {
        Squid::start_in(lines, &[])
    }

    /// As `start`, with an environment for its helpers.
    pub fn start_in(lines: &str, environment: &[(&str, String)]) -> Squid {
        let start = || Squid::start_at(free_port(), lines, environment);
        // Somebody else's server may have been quicker at the port.
        start().or_else(|_| start()).unwrap()
    }

    /// Gives what it said where it ends before it listens.
    fn start_at(port: u16, lines: &str, environment: &[(&str, String)]) -> Result<Squid, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let files = [
            ("hosts", "127.0.0.1 receiver.test\n".to_string()),
            // openssl passwd -1 -salt csc 'p:ss wörd'
            ("passwd", format!("{USER}:$1$csc$z0KebnyLVXIivn506vUjh/\n")),
            // echo -n 'ssd:csc:hush' | md5sum
            (
                "digest",
                "ssd:csc:0fdb61af3228ea740620feffc42382e3\n".to_string(),
            ),
            ("ntlm-no", NTLM_NO.to_string()),
            (
                "squid.conf",
                format!(
                    "http_port 127.0.0.1:{port}\npid_filename none\ncache deny all\n\
                     cache_log {path}/cache.log\naccess_log stdio:{path}/access.log\n\
                     coredump_dir {path}\nhosts_file {path}/hosts\npinger_enable off\n\
                     netdb_filename none\nshutdown_lifetime 0 seconds\nvia off\n\
                     visible_hostname squid.test\n{}\n",
                    lines.replace("FOLDER", &path)
                ),
            ),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        // Started as root it becomes the user `proxy`, who writes its logs there.
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let child = Command::new(program())
            .args(["-N", "-f", &format!("{path}/squid.conf")])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut squid = Squid {
            child,
            port,
            folder,
        };
        let mut has_ended = false;
        until(
            || {
                has_ended = squid.child.try_wait().unwrap().is_some();
                has_ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
            },
            "squid listens",
        );
        if has_ended {
            return Err(squid.read("cache.log"));
        }
        Ok(squid)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it let through or did not, a line each; not who came without a word, as
    /// `start` does.
    pub fn log(&self) -> String {
        let log = self.read("access.log");
        let asked = log.lines().filter(|line| !line.contains("NONE_NONE/000"));
        asked.collect::<Vec<_>>().join("\n")
    }

    /// Waits for a line of the log; a tunnel's is written when it ends.
    pub fn logged(&self, what: &str) {
        let log = self.folder.path().join("access.log");
        until(
            || self.log().contains(what),
            &format!("{what} in {}", log.display()),
        );
    }

    /// How many CONNECTs it has met, once there are so many: it replies before it logs.
    pub fn connects(&self, expected: usize) -> usize {
        let met = || self.log().matches("CONNECT").count();
        until(|| met() >= expected, "squid to log the CONNECTs");
        met()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        // Its helpers end when it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A helper that says no to whatever answers its challenge, which is one of
/// ntlm_fake_auth's.
const NTLM_NO: &str = "while read -r line; do case $line in
YR*) echo 'TT TlRMTVNTUAACAAAACQAJAK6qqqoGgggAbMTmm90djY0AAAAAAAA6AFdPUktHUk9VUA==' ;;
*) echo 'NA NT_STATUS_WRONG_PASSWORD' ;;
esac; done
";

/// Nobody gets through without a logon.
pub const REQUIRED: &str =
    "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all";

fn program() -> PathBuf {
    let path = Path::new("/usr/sbin/squid");
    assert!(
        path.exists(),
        "there is no {}: scripts/test installs the package squid",
        path.display()
    );
    path.to_path_buf()
}
