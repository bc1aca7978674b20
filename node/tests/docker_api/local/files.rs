//! `docker export`, `diff`, `commit` and `cp`, of containers that run or have ended.

use super::*;

/// Adds a file and a folder, changes one and removes one.
const CHANGES: &str = "echo new >/tmp/new; mkdir /more; echo x >/more/deep; rm /bin/ping";

#[test]
fn the_files_of_a_container_are_read_whether_it_runs_or_not() {
    let Some(local) = Local::start(172, 1) else { return };
    local.docker(&["run", "-d", "--name", "fresh", IMAGE, "sleep", "1000"]);
    assert_eq!(local.docker(&["diff", "fresh"]), "", "mount points are no changes");
    let line = format!("{CHANGES}; exec sleep 1000");
    local.docker(&["run", "-d", "--name", "one", "-v", "/data", IMAGE, "sh", "-c", &line]);
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let expected = "C /bin\nD /bin/ping\nA /more\nA /more/deep\nC /tmp\nA /tmp/new";
    local.fleet.until("it made its changes", || local.docker(&["diff", "one"]) == expected);
    for state in ["running", "exited"] {
        if state == "exited" {
            local.docker(&["stop", "-t", "0", "one"]);
        }
        assert_eq!(local.status("one"), state);
        assert_eq!(local.docker(&["diff", "one"]), expected, "{state}");
        local.docker(&["export", "-o", &path("one.tar"), "one"]);
        let listed = std::process::Command::new("tar").args(["-tf", &path("one.tar")]).output();
        let listed = text(&listed.expect("tar runs").stdout);
        let has = |name: &str| listed.lines().any(|line| line.trim_start_matches("./") == name);
        assert!(has("bin/busybox") && has("more/deep") && !has("bin/ping"), "{listed}");
        assert!(!listed.contains("proc/1"), "what is mounted is left out: {listed}");
        local.docker(&["cp", "one:/tmp/new", &path(state)]);
        assert_eq!(std::fs::read_to_string(path(state)).expect("it came"), "new\n");
        let (repo, author) = (format!("team/{state}:1"), "me <me@example.com>");
        let words = ["commit", "-a", author, "-m", "why", "-c", "ENV B=2", "one", &repo];
        assert!(local.docker(&words).starts_with("sha256:"));
        let run = ["run", "--rm", &repo, "sh", "-c"];
        let line = "busybox cat /tmp/new /more/deep; ls /bin/ping 2>&1; echo $B";
        let said = local.try_docker(&[&run[..], &[&line.replace("ls ", "busybox ls ")]].concat());
        let said = text(&said.stdout);
        assert!(said.starts_with("new\nx\n") && said.ends_with("\n2\n"), "{state}: {said}");
        assert!(said.contains("No such file"), "what was removed stays so: {said}");
        let layers = local.docker(&["image", "inspect", "-f", "{{len .RootFS.Layers}}", &repo]);
        assert_eq!(layers, "2", "the image's layer, and one above it");
    }
    assert!(local.docker(&["history", "team/exited:1"]).contains("why"));
    let (said, _) = local.refusal(&["cp", &path("exited"), "one:/tmp/"]);
    assert!(said.contains("not running"), "{said}");
    local.docker(&["create", "--name", "new", IMAGE]);
    let (said, _) = local.refusal(&["export", "new"]);
    assert!(said.contains("docker start new"), "{said}");
    local.docker(&["rm", "-f", "one", "new", "fresh"]);
    assert_eq!(local.runs(), [""; 0]);
}
