//! Images through Docker's own client, and through our commands.

use std::fs;
use std::process::{Command, Output};

use super::fleet::Fleet;

fn text(output: &Output) -> String {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", shown(&output.stdout), shown(&output.stderr));
    shown(&output.stdout)
}

/// The tar of a file system with one file.
fn write_tar(path: &std::path::Path, content: &str) {
    let root = path.with_extension("root");
    fs::create_dir_all(&root).expect("a folder");
    fs::write(root.join("hello"), content).expect("a file");
    let done = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(path).arg(".").status();
    assert!(done.expect("tar runs").success());
}

fn edgectl(fleet: &Fleet, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
    command.env("EDGECTL_SOCKET", fleet.socket(1)).args(arguments);
    command.output().expect("edgectl runs")
}

#[test]
fn dockers_own_client_handles_images() {
    if !super::has_docker() {
        return;
    }
    let fleet = Fleet::start(91, 1);
    let docker = |arguments: &[&str]| text(&fleet.docker(1, arguments));
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    write_tar(&dir.path().join("root.tar"), "hello");

    let change = "CMD [\"/hello\"]";
    let id = docker(&["import", "-m", "by hand", "-c", change, &path("root.tar"), "team/app:1"]);
    let id = id.trim();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    let format = "{{.Repository}} {{.Tag}} {{.ID}}";
    let listed = docker(&["images", "--no-trunc", "--format", format]);
    assert_eq!(listed.trim(), format!("team/app 1 {id}"));
    let cmd = docker(&["image", "inspect", "-f", "{{json .Config.Cmd}} {{.Os}}", "team/app:1"]);
    assert_eq!(cmd.trim(), "[\"/hello\"] linux");
    assert!(docker(&["history", "team/app:1"]).contains("by hand"));
    docker(&["tag", &id[7..19], "registry.local:5000/app:2"]);
    assert_eq!(docker(&["images", "-q"]).lines().count(), 2);
    assert_eq!(docker(&["images", "-q", "registry.local:5000/app"]).lines().count(), 1);

    docker(&["save", "-o", &path("saved.tar"), "team/app:1", "registry.local:5000/app:2"]);
    assert!(docker(&["rmi", "team/app:1"]).contains("Untagged: team/app:1"));
    let removed = docker(&["rmi", "registry.local:5000/app:2"]);
    assert!(removed.contains("Deleted: sha256:"), "{removed}");
    assert_eq!(docker(&["images", "-q"]), "");
    let missing = fleet.docker(1, &["rmi", "team/app:1"]);
    assert!(!missing.status.success());

    let loaded = docker(&["load", "-i", &path("saved.tar")]);
    assert!(loaded.contains("Loaded image: team/app:1"), "{loaded}");
    let back = docker(&["images", "--no-trunc", "-q", "team/app"]);
    assert_eq!(back.trim(), id);
    let df = docker(&["system", "df"]);
    assert!(df.lines().any(|line| line.starts_with("Images") && line.contains('1')), "{df}");
    let pruned = docker(&["image", "prune", "-a", "-f"]);
    assert!(pruned.contains("untagged: team/app:1"), "{pruned}");
    assert_eq!(docker(&["images", "-q"]), "");
}

#[test]
fn our_commands_handle_images() {
    let fleet = Fleet::start(92, 1);
    let run = |arguments: &[&str]| text(&edgectl(&fleet, arguments));
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    write_tar(&dir.path().join("root.tar"), "hello");
    assert_eq!(run(&["image", "ls"]), "");
    let id = run(&["image", "import", "-c", "ENV A=1", &path("root.tar"), "app:1"]);
    let format = "{{.Repository}}:{{.Tag}} {{.ID}} {{.Origin}}";
    let listed = run(&["image", "ls", "--format", format]);
    assert_eq!(listed.trim(), format!("app:1 {} loaded", id.trim()));
    run(&["image", "tag", "app:1", "app:2"]);
    run(&["image", "save", "-o", &path("saved.tar"), "app:1"]);
    let many = edgectl(&fleet, &["image", "rm", &id.trim()[7..19]]);
    let said = String::from_utf8_lossy(&many.stderr).into_owned();
    assert!(said.contains("more than one name") && said.contains("--force"), "{said}");
    assert!(run(&["image", "rm", "app:1", "app:2"]).contains("Deleted: sha256:"));
    assert_eq!(run(&["image", "load", "-i", &path("saved.tar")]), "Loaded image: app:1\n");
    assert!(run(&["image", "history", "app:1"]).contains("edgectl image import"));
    assert_eq!(run(&["image", "inspect", "-f", "{{json .Config.Env}}", "app:1"]), "[\"A=1\"]\n");
    assert_eq!(run(&["image", "verify"]), "");
    assert!(run(&["image", "prune", "-a", "-f"]).contains("Untagged: app:1"));

    let junk = path("junk.tar");
    fs::write(&junk, "junk").expect("a file");
    let refused = edgectl(&fleet, &["image", "load", "-i", &junk]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("docker save"), "{said}");
    for (arguments, says) in [
        (["image", "rm", "nothing:1"], "edgectl image load"),
        (["image", "inspect", "Upper"], "type \"upper\""),
        (["image", "load", "-i/nowhere"], "cannot read /nowhere"),
    ] {
        let refused = edgectl(&fleet, &arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(says), "{said}");
    }
}
