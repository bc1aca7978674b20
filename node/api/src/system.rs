//! `/_ping`, `/version`, `/info`, and the answer to unknown paths.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use runtime::cgroup::{CgroupVersion, Controller};

use super::failure::Failure;
use super::nodes::node_object;
use super::snapshot::Snapshot;
use super::swarm::without_tokens;
use super::wall_clock::wall_clock;
use super::warnings::{clock_warning, copied, disk_warning, not_joined, unable};
use super::{Api, containers, tokens};
use node_docker::system::{Component, Info, Peer, PlatformName, Plugins, SwarmInfo, VersionInfo};
use node_docker::{API_VERSION, API_VERSION_MIN};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET` and `HEAD /_ping`: its headers tell Docker's clients about the server.
pub async fn ping() -> Response {
    pong("active/manager")
}

/// The answer to a ping: `state` is what Docker's clients are told of the swarm.
pub fn pong(state: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    let uncached = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(header::CACHE_CONTROL, uncached);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert("Swarm", HeaderValue::from_static(state));
    (headers, "OK").into_response()
}

/// Adds the headers that every answer of Docker has.
pub async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("Api-Version", HeaderValue::from_static(API_VERSION));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert(header::SERVER, HeaderValue::from_static("edgectl (linux)"));
    response
}

/// Answers paths that are not served.
pub async fn unknown(request: Request) -> Failure {
    let (method, path) = (request.method(), request.uri().path());
    Failure::Missing(format!(
        "{method} {path}: page not found; edgectl serves Docker's API of services, tasks and their \
         containers, images, nodes, events and swarm, see the README for what is missing"
    ))
}

/// `POST /build/prune`: nothing is built here, so there is nothing to remove.
pub async fn prune_build() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "CachesDeleted": null, "SpaceReclaimed": 0 }))
}

/// `GET /version`.
pub async fn version() -> Json<VersionInfo> {
    let details = [
        ("ApiVersion", API_VERSION.to_owned()),
        ("MinAPIVersion", API_VERSION_MIN.to_owned()),
        ("Os", "linux".to_owned()),
        ("Arch", docker_arch().to_owned()),
        ("KernelVersion", kernel()),
    ];
    Json(VersionInfo {
        platform: PlatformName { name: "edgectl".to_owned() },
        components: vec![Component {
            name: "Engine".to_owned(),
            version: VERSION.to_owned(),
            details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        }],
        version: VERSION.to_owned(),
        api_version: API_VERSION.to_owned(),
        min_api_version: API_VERSION_MIN.to_owned(),
        git_commit: String::new(),
        go_version: String::new(),
        os: "linux".to_owned(),
        arch: docker_arch().to_owned(),
        kernel_version: kernel(),
    })
}

/// `GET /info`.
pub async fn info(State(api): State<Api>) -> Result<Json<Info>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let me = snapshot.node("self")?;
    let description = me.description.clone();
    let (said, cpus, memory) = match &description {
        Some(said) => {
            (Some(said), said.resources.nano_cpus / 1_000_000_000, said.resources.memory_bytes)
        }
        None => (None, 0, 0),
    };
    let ability = api.handle.ability();
    let cgroup_version = match ability.version {
        Some(CgroupVersion::V1) => "1",
        Some(CgroupVersion::V2) => "2",
        None => "",
    };
    let label = |(key, value): (&String, &String)| format!("{key}={value}");
    let (containers, running) = containers::count(&snapshot);
    let images = api.images(|images| Ok(images.list()?.len())).await?;
    let overused = tokens::overused(&api, &snapshot).await?;
    let overused = overused.into_iter().map(|(_, words)| words);
    let copied = copied(&api, &snapshot).await?.into_iter().map(|(_, words)| words);
    Ok(Json(Info {
        id: snapshot.me.to_string(),
        name: snapshot.hostname(snapshot.me),
        server_version: VERSION.to_owned(),
        containers,
        containers_running: running,
        containers_stopped: containers - running,
        images: u64::try_from(images).unwrap_or(u64::MAX),
        plugins: Plugins { log: vec!["json-file".to_owned()], ..Plugins::default() },
        driver: "none".to_owned(),
        logging_driver: "json-file".to_owned(),
        cgroup_driver: "cgroupfs".to_owned(),
        cgroup_version: cgroup_version.to_owned(),
        memory_limit: ability.limits(Controller::Memory),
        swap_limit: ability.swap,
        cpu_cfs_period: ability.limits(Controller::Cpu),
        cpu_cfs_quota: ability.limits(Controller::Cpu),
        pids_limit: ability.limits(Controller::Pids),
        kernel_version: kernel(),
        operating_system: "Linux (edgectl)".to_owned(),
        os_type: "linux".to_owned(),
        architecture: said.map(|said| said.arch.clone()).unwrap_or_default(),
        ncpu: cpus,
        mem_total: memory,
        docker_root_dir: api.handle.config().data_dir.display().to_string(),
        system_time: wall_clock(),
        labels: said.map(|s| s.engine_labels.iter().map(label).collect()).unwrap_or_default(),
        swarm: swarm_info(&api, &snapshot).await?,
        warnings: warnings(&api, &snapshot)
            .into_iter()
            .chain(ability.words())
            .chain(overused)
            .chain(copied)
            .collect(),
        ..Info::default()
    }))
}

/// Warnings for operators: about this node's disk, and about nodes that could not be joined.
fn warnings(api: &Api, snapshot: &Snapshot) -> Vec<String> {
    let refused = not_joined(api, snapshot);
    let rejected_peers = api.handle.rejected_peers().into_iter().map(|ip| {
        format!(
            "a machine at {ip} wants to join and has another fleet key; edgectl swarm join-token \
             prints what to type on it"
        )
    });
    let skipped_devices = api.handle.skipped_devices().into_iter().map(|device| {
        format!(
            "a device is not offered to services: {device}; give it another link by a rule of udev, or \
             declare it in generic_resources"
        )
    });
    disk_warning(api)
        .into_iter()
        .chain(unable(snapshot))
        .chain(clock_warning(snapshot))
        .chain(refused)
        .chain(rejected_peers)
        .chain(skipped_devices)
        .collect()
}

async fn swarm_info(api: &Api, snapshot: &Snapshot) -> Result<SwarmInfo, Failure> {
    let nodes: Vec<_> = snapshot.nodes.iter().map(|row| node_object(row, snapshot)).collect();
    let members = nodes.iter().filter(|node| node.status.state != "down");
    let count = members.clone().count();
    let me = nodes.iter().find(|node| node.edge.is_me);
    let peer = |node: &node_docker::node::Node| Peer {
        node_id: node.id.clone(),
        addr: node.manager_status.as_ref().map(|status| status.addr.clone()).unwrap_or_default(),
    };
    let has_left = me.is_some_and(|node| node.edge.state == "left");
    Ok(SwarmInfo {
        node_id: snapshot.me.to_string(),
        node_addr: me.map(|node| node.status.addr.clone()).unwrap_or_default(),
        local_node_state: if has_left { "inactive" } else { "active" }.to_owned(),
        control_available: !has_left,
        error: String::new(),
        remote_managers: members.map(peer).collect(),
        nodes: u64::try_from(count).unwrap_or(u64::MAX),
        managers: u64::try_from(count).unwrap_or(u64::MAX),
        cluster: Some(without_tokens(api.clone(), snapshot).await?),
    })
}

/// What can be said of this machine while the agent does not run.
pub fn machine() -> Info {
    let name = nix::sys::utsname::uname();
    Info {
        name: name.map(|name| name.nodename().to_string_lossy().into_owned()).unwrap_or_default(),
        server_version: VERSION.to_owned(),
        driver: "none".to_owned(),
        kernel_version: kernel(),
        operating_system: "Linux (edgectl)".to_owned(),
        os_type: "linux".to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        system_time: wall_clock(),
        ..Info::default()
    }
}

fn kernel() -> String {
    nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Go's name of the architecture, which `docker version` shows.
fn docker_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
