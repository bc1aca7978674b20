//! Docker's own client and `edgectl`, against the API of whole agents.

use std::path::Path;
use std::process::{Command, Output};

use node_agent::Agent;
use tokio::task::JoinHandle;

use super::{Registry, config, fleet, here, images, make, pull, stop};

/// The API of an agent, until this is dropped.
struct Api {
    socket: std::path::PathBuf,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Api {
    fn serve(agent: &Agent, dir: &Path) -> Api {
        let socket = dir.join(format!("{}.api", agent.handle().me()));
        let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let serving = tokio::spawn(node_api::serve(listener, agent.handle().clone()));
        Api { socket, serving }
    }

    /// Runs a client as a process; the agent runs on this thread.
    async fn run(&self, program: &str, words: &[&str]) -> Output {
        let mut command = Command::new(program);
        let host = format!("unix://{}", self.socket.display());
        command.args(words).env("EDGECTL_SOCKET", &host).env("DOCKER_HOST", &host);
        command.env("DOCKER_CONFIG", self.socket.with_extension("docker"));
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        output.expect("it ran").unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    async fn edgectl(&self, words: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_edgectl"), words).await
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

/// Docker's client is not built here: without it there is nothing to test.
fn has_docker() -> bool {
    Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn dockers_own_client_pushes_and_pulls_with_a_login() {
    if !has_docker() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::with_login("ann", "s3cret").await;
    let name = format!("{}/shop/till:1", registry.host);
    let agents = fleet(dir.path(), 1).await;
    let api = Api::serve(&agents[0], dir.path());
    let (digest, _) = make(images(&agents[0]), &name, &here(), &[400_000, 3_000]);

    let refused = api.run("docker", &["push", &name]).await;
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("wants a login"), "{}", text(&refused));

    let config_dir = api.socket.with_extension("docker");
    let login =
        |password: &'static str| ["login", "-u", "ann", "-p", password, registry.host.as_str()];
    let refused = api.run("docker", &login("wrong")).await;
    assert!(!refused.status.success() && text(&refused).contains("incorrect username or password"));
    assert!(!config_dir.join("config.json").exists(), "a wrong login is not kept");
    let said = done(&api.run("docker", &login("s3cret")).await);
    assert!(said.contains("Login Succeeded"), "{said}");
    let said = done(&api.run("docker", &["push", &name]).await);
    assert!(said.contains(&format!("digest: {digest}")), "{said}");
    let said = done(&api.run("docker", &["pull", &name]).await);
    assert!(said.contains("Image is up to date"), "{said}");
    let said = done(&api.run("docker", &["manifest", "inspect", "--insecure", &name]).await);
    assert!(said.contains("schemaVersion"), "{said}");

    // Another agent has nothing yet.
    let other = Agent::start(config(dir.path(), "other", &[]), None).await;
    let other = other.unwrap_or_else(|error| panic!("{error}"));
    let there = Api::serve(&other, dir.path());
    std::fs::create_dir_all(there.socket.with_extension("docker")).expect("a folder");
    let copied = there.socket.with_extension("docker").join("config.json");
    std::fs::copy(config_dir.join("config.json"), copied).expect("copied");
    let said = done(&there.run("docker", &["pull", &name]).await);
    assert!(said.contains("Downloaded newer image") && said.contains("Pull complete"), "{said}");
    assert!(said.contains(digest.as_str()), "{said}");
    let unknown = format!("{}/shop/nothing:1", registry.host);
    let refused = there.run("docker", &["pull", &unknown]).await;
    assert!(!refused.status.success());
    assert!(text(&refused).contains("does not have shop/nothing:1"), "{}", text(&refused));
    drop((api, there));
    other.stop().await;
    stop(agents).await;
}

#[tokio::test]
async fn an_archive_is_pushed_to_the_fleet_with_one_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let agents = fleet(dir.path(), 3).await;
    let apis: Vec<Api> = agents.iter().map(|agent| Api::serve(agent, dir.path())).collect();
    let archive = dir.path().join("app.tar");
    let archive = archive.to_str().expect("plain");
    let builder = Agent::start(config(dir.path(), "maker", &[]), None).await;
    let builder = builder.unwrap_or_else(|error| panic!("{error}"));
    make_runnable(images(&builder));
    let builder_api = Api::serve(&builder, dir.path());
    done(&builder_api.edgectl(&["image", "save", "-o", archive, "app:1"]).await);
    drop(builder_api);
    builder.stop().await;

    let said = done(&apis[0].edgectl(&["image", "push", archive]).await);
    assert!(said.contains("known to the fleet") && said.contains("Also on"), "{said}");
    for agent in &agents {
        pull(agent, "app:1").await.expect("everybody has it or gets it");
    }
    let missing = apis[0].edgectl(&["image", "push", "nothing.tar"]).await;
    assert!(text(&missing).contains("there is no file nothing.tar"), "{}", text(&missing));
    drop(apis);
    stop(agents).await;
}

/// An image whose layer is a tar with one file, so that it can be saved and loaded.
fn make_runnable(images: &runtime::image::Images) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "hello", &b"hello"[..]).expect("a file");
    let import = runtime::image::Import {
        platform: None,
        changes: Vec::new(),
        name: Some(super::reference("app:1")),
        message: String::new(),
        created: None,
    };
    let root = tar.into_inner().expect("a tar");
    images.import(std::io::Cursor::new(root), &import).expect("imported");
}

#[tokio::test]
async fn fetching_can_be_paused_and_watched_from_the_command_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let agents = fleet(dir.path(), 1).await;
    let api = Api::serve(&agents[0], dir.path());
    done(&api.edgectl(&["image", "pause"]).await);
    let said = done(&api.edgectl(&["image", "pulls"]).await);
    assert!(said.contains("nothing is being fetched") && said.contains("paused"), "{said}");
    let refused = api.edgectl(&["image", "pull", "127.0.0.1:1/a/b:1"]).await;
    assert!(text(&refused).contains("edgectl image resume"), "{}", text(&refused));
    done(&api.edgectl(&["image", "resume"]).await);
    let said = done(&api.edgectl(&["image", "pulls"]).await);
    assert!(!said.contains("paused"), "{said}");
    drop(api);
    stop(agents).await;
}
