//! Volumes of real agents: Docker's own requests on one node, and tasks that wait for data on
//! another node.

use super::{Fleet, has_docker};

/// Its image does not exist: only its placement is checked.
const DATABASE: &str = r#"{
    "Name": "db",
    "TaskTemplate": {"ContainerSpec": {
        "Image": "127.0.0.1:1/db:1", "StopGracePeriod": 1000000000,
        "Mounts": [{"Type": "volume", "Source": "pgdata", "Target": "/data"}]}},
    "Mode": {"Replicated": {"Replicas": 1}}}"#;

/// The node of the database's one task that should run, and its error.
fn task(fleet: &Fleet, asked: usize) -> (String, String) {
    let tasks = fleet.get(asked, "/tasks").json();
    let tasks = tasks.as_array().cloned().unwrap_or_default();
    let wanted = tasks.iter().find(|task| task["DesiredState"] == "running");
    let text = |pointer: &str| {
        let found = wanted.and_then(|task| task.pointer(pointer)).and_then(|text| text.as_str());
        found.unwrap_or_default().to_owned()
    };
    (text("/NodeID"), text("/Status/Err"))
}

fn id(fleet: &Fleet, asked: usize) -> String {
    let node = fleet.get(asked, "/nodes/self").json();
    node["ID"].as_str().expect("an id").to_owned()
}

#[test]
fn volumes_are_made_shown_and_removed_as_dockers_client_does() {
    let fleet = Fleet::start(97, 1);
    let created = fleet.ask(
        1,
        "POST",
        "/v1.44/volumes/create",
        r#"{"Name": "pgdata", "Labels": {"tier": "db"}}"#,
    );
    assert_eq!((created.status, created.json()["Driver"].as_str()), (201, Some("local")));
    let shown = fleet.get(1, "/volumes/pgdata").json();
    assert_eq!(shown["Labels"]["tier"], "db");
    let data = shown["Mountpoint"].as_str().expect("a path").to_owned();
    assert!(data.ends_with("/volumes/pgdata/_data") && std::path::Path::new(&data).is_dir());
    assert_eq!(fleet.get(1, "/volumes").json()["Volumes"].as_array().map(Vec::len), Some(1));
    fleet.until("the fleet knows it", || {
        fleet.get(1, "/edge/volumes").json()[0]["Hostname"] == "shop-1"
    });

    let create = |body: &str| fleet.ask(1, "POST", "/volumes/create", body);
    for (body, says) in [
        (r#"{"Name": "a/b"}"#, "no name for a volume"),
        (r#"{"Name": "x1", "Driver": "nfs"}"#, "--driver"),
        (r#"{"Name": "x1", "DriverOpts": {"type": "nfs"}}"#, "type=bind"),
    ] {
        let refused = create(body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.message().contains(says), "{}", refused.message());
    }
    assert_eq!(create("{}").json()["Name"].as_str().map(str::len), Some(64));
    let pruned = fleet.ask(1, "POST", "/volumes/prune", "").json();
    assert_eq!(pruned["VolumesDeleted"].as_array().map(Vec::len), Some(1), "{pruned}");
    if has_docker() {
        let docker = |words: &[&str]| {
            let output = fleet.docker(1, words);
            assert!(output.status.success(), "{words:?}: {output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_eq!(docker(&["volume", "create", "--label", "a=b", "logs"]), "logs\n");
        assert_eq!(docker(&["volume", "ls", "-q"]), "logs\npgdata\n");
        assert_eq!(docker(&["volume", "ls", "-q", "-f", "label=a=b"]), "logs\n");
        let place = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "pgdata"]);
        assert_eq!(place.trim_end(), data);
        assert_eq!(docker(&["volume", "rm", "logs"]), "logs\n");
    }
    assert_eq!(fleet.ask(1, "DELETE", "/volumes/pgdata", "").status, 204);
    assert_eq!(fleet.ask(1, "DELETE", "/volumes/pgdata", "").status, 404);
    fleet.until("the fleet forgets it", || {
        fleet.get(1, "/edge/volumes").json() == serde_json::json!([])
    });
}

#[test]
fn a_database_waits_for_its_volume_until_somebody_gives_it_up() {
    let mut fleet = Fleet::start(98, 3);
    fleet.ask(3, "POST", "/volumes/create", r#"{"Name": "pgdata"}"#);
    fleet.until("node 1 knows of it", || {
        fleet.get(1, "/edge/volumes").json()[0]["Hostname"] == "shop-3"
    });
    let (holder, other) = (id(&fleet, 3), id(&fleet, 1));
    assert_eq!(fleet.ask(1, "POST", "/services/create", DATABASE).status, 201);
    fleet.until("it goes where its data is", || {
        task(&fleet, 1).0 == holder && task(&fleet, 3).0 == holder
    });

    let kept = fleet.ask(3, "DELETE", "/volumes/pgdata", "");
    assert_eq!(kept.status, 409);
    let kept = fleet.ask(1, "DELETE", "/edge/volumes/shop-3/pgdata", "");
    assert!(kept.status == 409 && kept.message().contains("--force --node shop-3"));

    fleet.kill(3);
    fleet.until("it waits and says for what", || {
        let tasks = fleet.get(1, "/tasks").json().to_string();
        tasks.contains("volume pgdata is on shop-3 (unreachable for")
    });
    let why = fleet.get(1, "/edge/why/service/db").json().to_string();
    assert!(why.contains("volume-elsewhere"), "{why}");

    let given_up = fleet.ask(1, "DELETE", "/edge/volumes/shop-3/pgdata?force=1", "");
    assert_eq!(given_up.status, 204);
    fleet.until("it begins anew elsewhere", || {
        let tasks = fleet.get(1, "/tasks").json().to_string();
        [&other, &id(&fleet, 2)].iter().any(|node| tasks.contains(*node))
    });
    let volumes = fleet.get(2, "/edge/volumes").json();
    let lost = volumes.as_array().expect("a list").iter().find(|v| v["Hostname"] == "shop-3");
    fleet.until("node 2 hears of it", || {
        let volumes = fleet.get(2, "/edge/volumes").json().to_string();
        volumes.contains("given-up")
    });
    assert!(lost.is_some(), "{volumes}");
}

#[test]
fn a_removed_volume_is_not_missed_after_a_crash() {
    let mut fleet = Fleet::start(106, 1);
    assert_eq!(fleet.ask(1, "POST", "/volumes/create", r#"{"Name": "pgdata"}"#).status, 201);
    // The answer says that the record without it is on the disk.
    assert_eq!(fleet.ask(1, "DELETE", "/volumes/pgdata", "").status, 204);
    fleet.kill(1);
    fleet.restart(106, 1);
    assert_eq!(fleet.get(1, "/edge/volumes").json(), serde_json::json!([]));
}

#[test]
fn a_volume_whose_disk_is_gone_is_missing_and_not_begun_anew() {
    let mut fleet = Fleet::start(99, 1);
    let made = fleet.ask(1, "POST", "/volumes/create", r#"{"Name": "pgdata"}"#).json();
    // The answer says that the record of it is on the disk.
    let data = made["Mountpoint"].as_str().expect("a path").to_owned();
    let folder = std::path::Path::new(&data).parent().expect("a folder");
    fleet.kill(1);
    let elsewhere = folder.parent().expect("a folder").with_file_name("elsewhere");
    std::fs::rename(folder, elsewhere).expect("the disk is unmounted");
    fleet.restart(99, 1);
    fleet.until("it is missed", || fleet.get(1, "/edge/volumes").json()[0]["State"] == "missing");
    assert_eq!(fleet.ask(1, "POST", "/services/create", DATABASE).status, 201);
    fleet.until("it waits", || task(&fleet, 1).1.contains("not on its disk"));
    let refused = fleet.ask(1, "POST", "/volumes/create", r#"{"Name": "pgdata"}"#);
    assert!(refused.status == 409 && refused.message().contains("edgectl volume rm pgdata"));
    assert!(!folder.exists(), "nothing was begun anew");
}
