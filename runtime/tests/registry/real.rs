//! Debian's `docker-registry` on a loopback port, until the guard is dropped. Shared with the
//! agent's tests; not every suite uses all of it.
#![allow(dead_code)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub host: String,
    dir: tempfile::TempDir,
    child: Child,
}

impl Registry {
    pub async fn plain() -> Registry {
        Registry::start(|_| String::new()).await
    }

    pub async fn with_login(user: &str, password: &str) -> Registry {
        Registry::start(|dir| {
            let path = dir.join("htpasswd");
            std::fs::write(&path, htpasswd(user, password)).expect("written");
            format!("auth:\n  htpasswd:\n    realm: shop\n    path: {}\n", path.display())
        })
        .await
    }

    pub async fn with_tls() -> Registry {
        Registry::start(|dir| {
            let (key, certificate) = (dir.join("key.pem"), dir.join("ca.crt"));
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
                .args(["-nodes", "-days", "2", "-subj", "/CN=shop"])
                .args(["-addext", "subjectAltName=IP:0.0.0.0"])
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&certificate)
                .stderr(Stdio::null())
                .status();
            assert!(made.is_ok_and(|status| status.success()), "openssl makes a certificate");
            format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                certificate.display(),
                key.display()
            )
        })
        .await
    }

    /// An address that leads to loopback and is not recognised as loopback.
    pub fn tls_name(&self) -> String {
        let port = self.host.rsplit_once(':').expect("a port").1;
        format!("0.0.0.0:{port}")
    }

    /// A folder like `/etc/docker/certs.d` with its certificate.
    pub fn certificates(&self) -> PathBuf {
        let folder = self.dir.path().join("certs.d");
        let own = folder.join(self.tls_name());
        std::fs::create_dir_all(&own).expect("a folder");
        std::fs::copy(self.dir.path().join("ca.crt"), own.join("ca.crt")).expect("copied");
        folder
    }

    /// How often a path that contains this text was read.
    pub fn reads(&self, part: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("\"GET /v2/") && line.contains(part)).count()
    }

    /// How often a part of such a path was requested, instead of all of it.
    pub fn partial_reads(&self, part: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let is_partial = |line: &&str| line.contains(part) && line.contains("HTTP/1.1\" 206 ");
        log.lines().filter(is_partial).count()
    }

    /// Where it keeps a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let folder = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        folder.join(&hex[..2]).join(hex).join("data")
    }

    async fn start(extra: impl Fn(&Path) -> String) -> Registry {
        let dir = tempfile::tempdir().expect("a folder");
        let extra = extra(dir.path());
        let begun = Instant::now();
        loop {
            let host = free_host();
            let config = format!(
                "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n{extra}",
                dir.path().join("data").display()
            );
            let path = dir.path().join("config.yml");
            std::fs::write(&path, config).expect("written");
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&path)
                .stdout(std::fs::File::create(dir.path().join("access.log")).expect("a log"))
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry is installed: cargo xtask setup");
            // Another process may take the port first: then the registry ends, and the next port is
            // tried.
            while begun.elapsed() < DEADLINE && child.try_wait().expect("its state").is_none() {
                if std::net::TcpStream::connect(&host).is_ok() {
                    return Registry { host, dir, child };
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let _ = child.kill();
            let _ = child.wait();
            assert!(begun.elapsed() < DEADLINE, "docker-registry does not start");
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of loopback where nobody listened a moment ago.
pub fn free_host() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// One line with bcrypt, the only form that the registry accepts.
fn htpasswd(user: &str, password: &str) -> Vec<u8> {
    let output = Command::new("htpasswd").args(["-Bbn", user, password]).output();
    let output = output.expect("apache2-utils' htpasswd runs");
    assert!(output.status.success(), "htpasswd makes a line");
    output.stdout
}
