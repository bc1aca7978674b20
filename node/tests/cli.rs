//! The command line against real agents: what a person types, what is printed on which stream, and
//! the exit code.

#[allow(dead_code, reason = "the API's tests use the rest of it")]
#[path = "docker_api/fleet.rs"]
mod fleet;
#[path = "cli/stack.rs"]
mod stack;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleet::Fleet;

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: i32,
}

fn edgectl(fleet: &Fleet, node: usize, words: &[&str]) -> Said {
    said(
        Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(words)
            .env("EDGECTL_SOCKET", fleet.socket(node)),
    )
}

fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().expect("edgectl runs");
    Said {
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
        code: output.status.code().expect("it ended by itself"),
    }
}

#[test]
fn a_service_lives_through_all_commands_on_any_node() {
    let fleet = Fleet::start(91, 2);
    let created = edgectl(
        &fleet,
        1,
        &[
            "service",
            "create",
            "--name",
            "web",
            "--replicas",
            "4",
            "-l",
            "tier=front",
            "--runtime",
            "process",
            "sh",
            "-c",
            "echo hello; exec sleep 1000",
        ],
    );
    assert_eq!((created.code, created.out.trim().len()), (0, 25), "{created:?}");
    assert!(created.err.contains("overall progress: 4 out of 4 tasks"), "{}", created.err);
    assert!(created.err.ends_with("verify: Service web converged\n"), "{}", created.err);

    let listed = edgectl(&fleet, 2, &["service", "ls"]);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert_eq!(lines.len(), 2, "{listed:?}");
    assert!(lines[0].starts_with("ID             NAME   MODE         REPLICAS   IMAGE"));
    assert!(lines[1].contains("web    replicated   4/4        process:sh"), "{}", lines[1]);
    let ids = edgectl(&fleet, 2, &["service", "ls", "-q"]);
    assert_eq!(ids.out, created.out);
    let format = ["service", "ls", "--format", "{{.Name}}={{.Replicas}}"];
    assert_eq!(edgectl(&fleet, 2, &format).out, "web=4/4\n");

    let tasks =
        edgectl(&fleet, 2, &["service", "ps", "--format", "{{.Name}} {{.DesiredState}}", "web"]);
    assert_eq!(tasks.out, "web.1 Running\nweb.2 Running\nweb.3 Running\nweb.4 Running\n");
    let label = ["service", "inspect", "--format", "{{.Spec.Labels.tier}}", "web"];
    assert_eq!(edgectl(&fleet, 2, &label).out, "front\n");
    let logs = edgectl(&fleet, 2, &["service", "logs", "--raw", "web"]);
    assert_eq!(logs.out, "hello\n".repeat(4), "{logs:?}");

    let scaled = edgectl(&fleet, 2, &["service", "scale", "web=2"]);
    assert_eq!((scaled.code, scaled.out.as_str()), (0, "web scaled to 2\n"), "{scaled:?}");
    let update = ["service", "update", "--env-add", "A=1", "--update-monitor", "1s", "web"];
    let updated = edgectl(&fleet, 1, &update);
    assert_eq!((updated.code, updated.out.as_str()), (0, "web\n"), "{updated:?}");
    let removed = edgectl(&fleet, 1, &["service", "rm", "web"]);
    assert_eq!((removed.code, removed.out.as_str()), (0, "web\n"), "{removed:?}");
    let none = edgectl(&fleet, 1, &["service", "ls"]);
    assert_eq!((none.out.as_str(), none.code), ("", 0));
    assert!(none.err.starts_with("no services yet: edgectl service create"), "{}", none.err);
}

#[test]
fn what_cannot_run_is_told_with_its_reason_and_its_own_code() {
    let fleet = Fleet::start(92, 1);
    let create = [
        "service",
        "create",
        "--name",
        "cam",
        "--constraint",
        "node.labels.usb==yes",
        "process:sleep",
        "99",
    ];
    let unplaced = edgectl(&fleet, 1, &create);
    assert_eq!(unplaced.code, 2, "{unplaced:?}");
    for words in [
        "error: 1 of 1 tasks of cam fit on no node",
        "why: shop-1: constraint node.labels.usb==yes does not fit",
        "try: edgectl service update --constraint-rm 'node.labels.usb==yes' cam",
    ] {
        assert!(unplaced.err.contains(words), "{}", unplaced.err);
    }
    let status = edgectl(&fleet, 1, &["status"]);
    assert_eq!(status.code, 3);
    assert!(status.out.contains("cam 0/1: edgectl why cam"), "{}", status.out);
    assert!(status.out.lines().all(|line| line.chars().count() <= 80), "{}", status.out);
    let why = edgectl(&fleet, 1, &["why", "cam.1"]);
    assert!(why.out.contains("node.labels.usb==yes"), "{why:?}");

    let label = edgectl(&fleet, 1, &["node", "update", "--label-add", "usb=yes", "self"]);
    assert_eq!(label.code, 0, "{label:?}");
    fleet.until("cam runs where it fits now", || fleet.running(1, "cam") == 1);
    assert_eq!(edgectl(&fleet, 1, &["status", "--brief"]).out, "OK 1/1\n");

    let failing = edgectl(
        &fleet,
        1,
        &[
            "service",
            "create",
            "--restart-delay",
            "100ms",
            "--name",
            "bad",
            "process:sh",
            "-c",
            "exit 3",
        ],
    );
    assert_eq!(failing.code, 1, "{failing:?}");
    assert!(failing.err.contains("error: service bad does not converge: bad.1 has failed"));
    assert!(failing.err.contains("try: edgectl service logs bad"), "{}", failing.err);
}

#[test]
fn nonsense_of_every_kind_ends_with_1_and_what_to_type() {
    let fleet = Fleet::start(93, 1);
    let create =
        ["service", "create", "-d", "--name", "web", "--replicas", "0", "process:sleep", "99"];
    assert_eq!(edgectl(&fleet, 1, &create).code, 0);
    for (words, says) in [
        (&["service", "ps", "wbe"][..], "did you mean web?"),
        (&["service", "rm", "nothing"], "try: edgectl service ls"),
        (&create, "already exists"),
        (&["service", "create", "-d", "--name", "-x", "sleep"], "unexpected argument"),
        (&["service", "create", "-d", "--name", "a b", "sleep"], "not a service name"),
        (&["service", "create", "-d", "--constraint", "zone=a", "sleep"], "node.labels.zone==a"),
        (&["service", "create"], "IMAGE"),
        (&["service", "create", "-d", "/bin/sleep", "9"], "try: --runtime process /bin/sleep"),
        (&["service", "create", "-d", "--init", "process:sleep"], "only a container has it"),
        (&["service", "scale", "web=-1"], "not a number of tasks"),
        (&["service", "scale", "web=999999999"], "100000"),
        (&["service", "promote", "web"], "does not wait to be promoted"),
        (&["service", "rollback", "web"], "does not have a previous spec"),
        (&["service", "ls", "--format", "{{.Nmae}}"], "no field .Nmae"),
        (&["service", "ls", "--filter", "nmae=web"], "--filter name=web"),
        (&["service", "logs", "nothing"], "no service \"nothing\""),
        (&["node", "inspect", "shop-2"], "did you mean shop-1?"),
        (&["node", "update", "--availability", "off", "self"], "drain"),
        (&["node", "rm", "shop-1"], "--force"),
        (&["why", "nothing"], "no service, node or task"),
        (&["conflicts", "pick", "1"], "no value 1"),
        (&["swarm", "join", "a b"], "not an address"),
        (&["events", "--filter", "what=x"], "invalid filter"),
        (&["sevice"], "'service'"),
    ] {
        let said = edgectl(&fleet, 1, words);
        assert_eq!(said.code, 1, "{words:?}: {said:?}");
        assert!(
            said.err.starts_with("error: ") && said.err.contains(says),
            "{words:?}: {}",
            said.err
        );
        assert_eq!(said.out, "", "{words:?}");
        assert!(!said.err.contains("panicked"), "{words:?}: {}", said.err);
    }
}

#[test]
fn of_several_names_each_is_tried_and_none_is_forgotten() {
    let fleet = Fleet::start(95, 1);
    for service in ["web", "db", "cam"] {
        let create =
            ["service", "create", "-d", "--name", service, "--replicas", "0", "process:sleep"];
        assert_eq!(edgectl(&fleet, 1, &[&create[..], &["99"]].concat()).code, 0);
    }
    let name = "{{.Spec.Name}}";
    for (words, out) in [
        (&["service", "inspect", "-f", name, "nosuch", "web", "db"][..], "web\ndb\n"),
        (&["service", "inspect", "-f", name, "web", "nosuch"], "web\n"),
        (&["node", "inspect", "-f", "{{.Description.Hostname}}", "nosuch", "self"], "shop-1\n"),
        (&["service", "scale", "-d", "nosuch=1", "web=0"], "web scaled to 0\n"),
        (&["service", "ps", "nosuch"], ""),
        (&["node", "ps", "nosuch"], ""),
        (&["volume", "inspect", "nosuch"], ""),
        (&["volume", "rm", "nosuch"], ""),
        (&["image", "rm", "nosuch", "other"], ""),
        (&["stats", "--no-stream", "nosuch"], ""),
        (&["service", "rm", "nosuch", "web"], "web\n"),
        (&["service", "rm", "db", "nosuch"], "db\n"),
        (&["node", "rm", "nosuch", "shop-1"], ""),
    ] {
        let said = edgectl(&fleet, 1, words);
        assert_eq!((said.code, said.out.as_str()), (1, out), "{words:?}: {said:?}");
        assert!(said.err.contains("nosuch"), "{words:?}: {said:?}");
    }
    let both = edgectl(&fleet, 1, &["image", "rm", "nosuch", "other"]);
    assert_eq!(both.err.matches("error: ").count(), 2, "{both:?}");
    let done = edgectl(&fleet, 1, &["service", "rm", "cam"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
}

#[test]
fn cp_makes_no_file_of_a_name_that_is_a_folder_s() {
    let fleet = Fleet::start(96, 1);
    let words = ["service", "create", "--name", "web", "--runtime", "process", "sleep", "99"];
    assert_eq!(edgectl(&fleet, 1, &words).code, 0);
    let dir = tempfile::tempdir().expect("a folder");
    let missing = format!("{}/missing/", dir.path().display());
    for (source, says) in
        [("web.1:/etc/hosts", "no such folder"), ("web.1:/etc/nosuch", "/etc/nosuch")]
    {
        let said = edgectl(&fleet, 1, &["cp", source, &missing]);
        assert_eq!(said.code, 1, "{source}: {said:?}");
        assert!(said.err.contains(says), "{source}: {said:?}");
        assert!(!dir.path().join("missing").exists(), "{source}");
    }
    let source = dir.path().join("site");
    std::fs::create_dir(&source).expect("a folder");
    std::fs::write(source.join("index"), "hello").expect("a file");
    let site = format!("web.1:{}", source.display());
    let said = edgectl(&fleet, 1, &["cp", &site, &missing]);
    assert_eq!(said.code, 0, "a folder may become a new one: {said:?}");
    assert!(dir.path().join("missing/index").exists());
    let said = edgectl(&fleet, 1, &["cp", "/etc/hosts", &format!("web.1:{missing}nosuch/")]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("there is no folder"), "{said:?}");
}

#[test]
fn without_an_agent_every_command_says_how_to_start_one() {
    for words in [&["service", "ls"][..], &["status"], &["node", "ls"], &["version"]] {
        let said = said(
            Command::new(env!("CARGO_BIN_EXE_edgectl"))
                .args(["--socket", "/nowhere/edgectl.sock"])
                .args(words),
        );
        assert_eq!(said.code, 1, "{words:?}");
        assert!(said.err.contains("there is no agent at /nowhere/edgectl.sock"), "{}", said.err);
        assert!(said.err.contains("edgectl agent --config"), "{}", said.err);
    }
}

#[test]
fn joining_where_nobody_answers_says_so() {
    let fleet = Fleet::start(94, 1);
    let begun = Instant::now();
    let joined = edgectl(&fleet, 1, &["swarm", "join", "127.94.0.9:7946"]);
    assert_eq!(joined.code, 1, "{joined:?}");
    assert!(joined.err.contains("no answer from 127.94.0.9:7946"), "{}", joined.err);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_dry_run_changes_nothing_and_what_was_expected_is_made() {
    let fleet = Fleet::start(109, 1);
    let create = ["service", "create", "--replicas", "2", "--runtime", "process", "--detach"];
    let line = |flags: &[&str]| {
        let mut words = create.to_vec();
        words.extend_from_slice(flags);
        words.extend(["sleep", "1000"]);
        edgectl(&fleet, 1, &words)
    };
    let tried = line(&["--name", "web", "--dry-run"]);
    assert_eq!(tried.code, 0, "{tried:?}");
    assert!(tried.out.starts_with("web would be created\n"), "{tried:?}");
    assert!(edgectl(&fleet, 1, &["service", "ls", "-q"]).out.is_empty());
    let made = line(&["--name", "web"]);
    assert_eq!(made.code, 0, "{made:?}");
    let scale = |flag: &str| edgectl(&fleet, 1, &["service", "scale", "-d", "web=4", flag]);
    let json = scale("--dry-run=json");
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((&json["Action"], &json["Tasks"][3]["Fate"]), (&"update".into(), &"starts".into()));
    let unexpected = scale("--expect=0123456789ab");
    assert_eq!(unexpected.code, 1);
    assert!(unexpected.err.contains("something else than what --dry-run showed"), "{unexpected:?}");
    assert!(edgectl(&fleet, 1, &["service", "ls"]).out.contains("/2 "), "nothing was changed");
    let digest = json["Digest"].as_str().expect("a digest");
    let expected = scale(&format!("--expect={digest}"));
    assert_eq!((expected.code, expected.out.as_str()), (0, "web scaled to 4\n"), "{expected:?}");
    let full = line(&["--name", "db", "--replicas-max-per-node", "1", "--dry-run"]);
    assert_eq!(full.code, 2, "{full:?}");
    assert!(full.out.contains("no node can take it: "), "{full:?}");
    let network = edgectl(&fleet, 1, &["network", "create", "--dry-run", "site"]);
    assert_eq!(network.code, 1, "only services and nodes are tried: {network:?}");
}

#[test]
fn a_template_that_is_not_whole_prints_nothing_and_says_where() {
    let fleet = Fleet::start(160, 1);
    let made = edgectl(&fleet, 1, &["network", "create", "--label", "a=b", "site"]);
    assert_eq!(made.code, 0, "{made:?}");
    for (format, says) in [
        ("{{.Name}}{{end}}{{.ID}}", "why: {{end}} at character 10 closes nothing"),
        ("{{.Name}}{{if .ID}}x", "why: {{if}} at character 10 is never closed: {{end}} is missing"),
        ("{{.Name}}{{uper .ID}}", "why: there is no function uper; did you mean upper?"),
        ("{{.Name}}{{else}}x", "why: {{else}} at character 10 belongs to no {{if}}"),
    ] {
        for words in [
            &["network", "ls", "--format", format][..],
            &["network", "inspect", "--format", format, "site"],
            &["node", "ls", "--format", &format!("table {format}")],
            &["service", "ls", "--format", format],
            &["events", "--since", "1h", "--until", "0s", "--format", format],
            &["version", "--format", format],
        ] {
            let said = edgectl(&fleet, 1, words);
            assert_eq!((said.code, said.out.as_str()), (1, ""), "{words:?}: {said:?}");
            assert!(said.err.contains("is no Go template") && said.err.contains(says), "{said:?}");
        }
    }
    let inspected =
        |format: &str| edgectl(&fleet, 1, &["network", "inspect", "--format", format, "site"]).out;
    assert_eq!(inspected(r#"{{printf "%q" .Labels}}"#), "map[\"a\":\"b\"]\n");
    assert_eq!(inspected(r#"{{printf "%v|%s" .Labels .Name}}"#), "map[a:b]|site\n");
    assert_eq!(inspected("{{/* {{if */}}{{range $k, $v := .Labels}}{{$k}}{{end}}"), "a\n");
}
