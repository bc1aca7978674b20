//! `edgectl stack`: what was deployed together, by its label.

use super::edgectl;
use super::fleet::Fleet;

#[test]
fn stacks_are_listed_and_removed_by_their_label() {
    let fleet = Fleet::start(161, 2);
    let run = |node: usize, line: &[&str]| {
        let said = edgectl(&fleet, node, &[&["stack"][..], line].concat());
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        said
    };
    let none = run(1, &["ls"]);
    assert_eq!(
        (none.out.as_str(), none.err.as_str()),
        ("", "no stacks yet: edgectl stack deploy -c FILE NAME\n")
    );

    for (stack, name, replicas) in [
        ("vote", "vote_web", "2"),
        ("vote", "vote_db", "1"),
        ("shop", "shop_web", "1"),
        ("", "own", "1"),
    ] {
        let label = format!("com.docker.stack.namespace={stack}");
        let create = ["service", "create", "-d", "--runtime", "process", "--label", &label];
        let program = ["--name", name, "--replicas", replicas, "sleep", "1000"];
        let made = edgectl(&fleet, 1, &[&create[..], &program].concat());
        assert_eq!(made.code, 0, "{made:?}");
    }
    let label = "com.docker.stack.namespace=vote";
    let made = edgectl(&fleet, 1, &["network", "create", "--label", label, "vote_back"]);
    assert_eq!(made.code, 0, "{made:?}");
    fleet.until("they run", || fleet.running(2, "vote_web") == 2 && fleet.running(2, "own") == 1);

    assert_eq!(run(2, &["ls"]).out, "NAME   SERVICES\nshop   1\nvote   2\n");
    assert_eq!(run(2, &["list", "--format", "{{.Name}}:{{.Services}}"]).out, "shop:1\nvote:2\n");
    let services = run(2, &["services", "--format", "{{.Name}} {{.Replicas}}", "vote"]);
    assert_eq!(services.out, "vote_db 1/1\nvote_web 2/2\n");
    assert_eq!(run(2, &["services", "-q", "-f", "name=vote_d", "vote"]).out.lines().count(), 1);
    assert_eq!(run(1, &["services", "nothing"]).err, "Nothing found in stack: nothing\n");
    let tasks = ["ps", "--no-trunc", "--format", "{{.Name}} {{.DesiredState}}", "vote"];
    assert_eq!(run(1, &tasks).out, "vote_db.1 Running\nvote_web.1 Running\nvote_web.2 Running\n");
    let ids = run(1, &["ps", "-q", "--no-resolve", "-f", "name=vote_web", "vote"]).out;
    assert_eq!((ids.lines().count(), ids.lines().next().map(str::len)), (2, Some(25)));
    let unknown = edgectl(&fleet, 1, &["stack", "ps", "nothing"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (1, ""), "{unknown:?}");
    assert!(unknown.err.contains("Nothing found in stack: nothing"), "{unknown:?}");

    let removed = run(2, &["rm", "--detach=false", "vote", "nothing"]);
    assert_eq!(
        removed.err,
        "Removing service vote_db\nRemoving service vote_web\nRemoving network vote_back\n\
         Nothing found in stack: nothing\n"
    );
    let left = fleet.get(2, "/tasks").json();
    let left = left.as_array().expect("a list").iter();
    let running = left.filter(|task| task["Status"]["State"] == "running").count();
    assert_eq!(running, 2, "the tasks of the stack have ended, others have not");
    assert_eq!(run(2, &["ls", "-q"]).out, "shop\n");
    let networks = ["network", "ls", "-q", "-f", "name=vote"];
    assert_eq!(edgectl(&fleet, 2, &networks).out, "");
    let down = run(2, &["down", "-d", "shop"]);
    assert_eq!(down.err, "Removing service shop_web\n");
}
