//! Logins: those that the docker client sends (`X-Registry-Auth`), and those in Docker's
//! `config.json` of this node, with its credential helpers. A secret must never appear in a message
//! or a log.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// How Docker names its default registry in `config.json`.
const DEFAULT_REGISTRY_KEY: &str = "https://index.docker.io/v1/";

/// A credential helper that takes longer is ended.
const HELPER_TIMEOUT: Duration = Duration::from_secs(10);

/// As whom a registry is asked.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Login {
    /// As nobody.
    #[default]
    Anonymous,
    /// By name and password.
    Basic {
        /// Name.
        user: String,
        /// Password, or what stands for one.
        password: String,
    },
    /// By a token that somebody else gave out.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Anonymous => f.write_str("Anonymous"),
            Login::Basic { user, .. } => write!(f, "Basic({user}, …)"),
            Login::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Why there is no login although one was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The file is there and cannot be used.
    #[error(
        "{path} cannot be read: {why}\n  see its permissions and that it is what `docker login` writes"
    )]
    Config {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// A credential helper is named and does not do its work.
    #[error(
        "the credential helper docker-credential-{helper} does not give the login of {registry}: \
         {why}\n  see that it is in the agent's PATH and works: echo {registry} | \
         docker-credential-{helper} get"
    )]
    Helper {
        /// Its name.
        helper: String,
        /// For which registry.
        registry: String,
        /// Why.
        why: String,
    },
    /// The header is not what Docker sends.
    #[error("X-Registry-Auth is not what Docker sends: {0}")]
    Header(&'static str),
    /// The body is not what `docker login` sends.
    #[error("a login is an object with serveraddress, username and password")]
    Request,
}

/// What `Authorization: Basic` carries.
pub(super) fn basic(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// Docker's form of a login, in the header and in `config.json`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    /// `user:password` in base64.
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

impl Entry {
    fn login(self) -> Login {
        if !self.registrytoken.is_empty() {
            return Login::Token(self.registrytoken);
        }
        if !self.username.is_empty() {
            return Login::Basic { user: self.username, password: self.password };
        }
        let decoded = STANDARD.decode(self.auth.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() => Login::Basic {
                user: user.to_owned(),
                password: password.trim_end_matches('\0').to_owned(),
            },
            _ if !self.identitytoken.is_empty() => {
                Login::Basic { user: "<token>".to_owned(), password: self.identitytoken }
            }
            _ => Login::Anonymous,
        }
    }
}

/// Reads `X-Registry-Auth`. `None`: nothing was sent along.
pub fn from_header(header: &str) -> Result<Option<Login>, LoginError> {
    let header = header.trim();
    if header.is_empty() {
        return Ok(None);
    }
    let engines = [&URL_SAFE, &URL_SAFE_NO_PAD, &STANDARD, &STANDARD_NO_PAD];
    let bytes = engines.iter().find_map(|engine| engine.decode(header).ok());
    let bytes = bytes.ok_or(LoginError::Header("it is not base64"))?;
    let entry: Entry =
        serde_json::from_slice(&bytes).map_err(|_| LoginError::Header("it is not JSON"))?;
    Ok(Some(entry.login()).filter(|login| *login != Login::Anonymous))
}

/// Reads what `docker login` sends: the registry, as people write it, and the login for it.
pub fn from_request(body: &[u8]) -> Result<(String, Login), LoginError> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Request {
        serveraddress: String,
        #[serde(flatten)]
        entry: Entry,
    }
    let sent: Request = serde_json::from_slice(body).map_err(|_| LoginError::Request)?;
    let address = sent.serveraddress.trim();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let registry = match address.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    Ok((registry.to_owned(), sent.entry.login()))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DockerConfig {
    auths: std::collections::BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    creds_store: String,
    #[serde(rename = "credHelpers")]
    cred_helpers: std::collections::BTreeMap<String, String>,
}

/// What `config.json` at `path` says of a registry; a file that is not there says nothing. May wait
/// for a credential helper: call it where waiting is allowed.
pub fn from_docker_config(path: &Path, registry: &str) -> Result<Login, LoginError> {
    let unusable = |why: String| LoginError::Config { path: path.display().to_string(), why };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Login::Anonymous),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let mut config: DockerConfig =
        serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
    let keys = keys(registry);
    let helper = keys.iter().find_map(|key| config.cred_helpers.get(key));
    if let Some(helper) = helper.or(Some(&config.creds_store).filter(|name| !name.is_empty())) {
        let key = if registry == "docker.io" { DEFAULT_REGISTRY_KEY } else { registry };
        return ask_helper(helper, key);
    }
    let entry = keys.iter().find_map(|key| config.auths.remove(key));
    Ok(entry.map_or(Login::Anonymous, Entry::login))
}

/// The names that Docker's file may have for a registry.
fn keys(registry: &str) -> Vec<String> {
    let mut keys = vec![registry.to_owned()];
    keys.extend(["https://", "http://"].map(|scheme| format!("{scheme}{registry}")));
    keys.extend(["/", "/v1/", "/v2/"].map(|path| format!("https://{registry}{path}")));
    if registry == "docker.io" {
        keys.extend([DEFAULT_REGISTRY_KEY, "index.docker.io"].map(str::to_owned));
    }
    keys
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Runs `docker-credential-NAME get`, as Docker does.
fn ask_helper(helper: &str, registry: &str) -> Result<Login, LoginError> {
    let failed = |why: String| LoginError::Helper {
        helper: helper.to_owned(),
        registry: registry.to_owned(),
        why,
    };
    if helper.contains('/') {
        return Err(failed("its name must not have a slash".to_owned()));
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that reads nothing says so by its answer.
        let _ = writeln!(stdin, "{registry}");
    }
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if begun.elapsed() > HELPER_TIMEOUT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("it does not answer".to_owned()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?.stdout;
    let said = String::from_utf8_lossy(&output);
    if said.contains("credentials not found") {
        return Ok(Login::Anonymous);
    }
    if !status.success() {
        return Err(failed(format!("it ends with {status}")));
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output).map_err(|_| failed("its answer is no login".to_owned()))?;
    Ok(Login::Basic { user: answer.username, password: answer.secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic_login(user: &str, password: &str) -> Login {
        Login::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    fn config(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.json");
        std::fs::write(&path, text).expect("written");
        (dir, path)
    }

    #[test]
    fn logins_are_found_by_every_name_docker_gives_a_registry() {
        let auth = STANDARD.encode("ann:s3cret:with:colons");
        let text = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}},"nas:5000":{{"username":"bob","password":"x"}}}}}}"#
        );
        let (_dir, path) = config(&text);
        let of = |registry| from_docker_config(&path, registry).expect("a login");
        assert_eq!(of("docker.io"), basic_login("ann", "s3cret:with:colons"));
        assert_eq!(of("nas:5000"), basic_login("bob", "x"));
        assert_eq!(of("nas:5001"), Login::Anonymous);
    }

    #[test]
    fn no_file_is_no_login_and_a_broken_one_says_so() {
        let missing = std::path::Path::new("/nowhere/config.json");
        assert_eq!(from_docker_config(missing, "a"), Ok(Login::Anonymous));
        let (_dir, path) = config("{");
        assert!(matches!(from_docker_config(&path, "a"), Err(LoginError::Config { .. })));
    }

    #[test]
    fn a_missing_credential_helper_is_named() {
        let (_dir, path) = config(r#"{"credHelpers":{"nas:5000":"no-such-helper"}}"#);
        let error = from_docker_config(&path, "nas:5000").expect_err("there is none");
        assert!(error.to_string().contains("docker-credential-no-such-helper"), "{error}");
    }

    #[test]
    fn dockers_header_is_read_and_an_empty_one_is_none() {
        let encode = |text: &str| URL_SAFE.encode(text);
        let header = encode(r#"{"username":"ann","password":"x","serveraddress":"nas:5000"}"#);
        assert_eq!(from_header(&header), Ok(Some(basic_login("ann", "x"))));
        assert_eq!(from_header(&encode("{}")), Ok(None));
        assert_eq!(from_header(""), Ok(None));
        assert!(from_header("%%%").is_err());
        assert!(from_header(&encode("[")).is_err());
    }

    #[test]
    fn a_login_is_never_shown_with_its_secret() {
        assert_eq!(format!("{:?}", basic_login("ann", "s3cret")), "Basic(ann, …)");
        assert_eq!(format!("{:?}", Login::Token("s3cret".to_owned())), "Token(…)");
    }
}
