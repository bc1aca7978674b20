//! What is refused, and what is said to have no effect.

use super::given::{Given, refused};
use super::indented;

#[test]
fn what_has_no_effect_is_said_with_its_place() {
    let file = "version: '3.8'\nservices:\n  web:\n    image: a\n    build: .\n    container_name: x\n    \
                develop: {watch: []}\n    volumes: ['/a:/a:z']\n    environment: {A: $NOBODY}\n";
    let notes: Vec<String> =
        Given::file(file).read().notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "c.yaml:5:12: `services.web.build` has no effect: the image a is pulled; build and push it before",
            "c.yaml:6:21: `services.web.container_name` has no effect: a task is named after its service and number",
            "c.yaml:7:14: `services.web.develop` has no effect: it is for developers' machines",
            "c.yaml:8:15: SELinux labels are not set (`z`, `Z`)",
            "c.yaml:9:22: the variable `NOBODY` is not set: nothing stands for it",
        ]
    );
}

#[test]
fn what_cannot_be_obeyed_is_refused_with_its_place() {
    let table = [
        ("imagee: a", "c.yaml:4:5: unknown key `services.web.imagee`; write `image`"),
        (
            "ports: ['127.0.0.1:81:81']",
            "c.yaml:4:13: `services.web.ports`: a service has its ports on all addresses of a node: leave 127.0.0.1 out and write 81:81",
        ),
        (
            "ports: [{target: 80, host_ip: 127.0.0.1}]",
            "c.yaml:4:35: `services.web.ports`: a service has its ports on all addresses of a node: leave out `host_ip`, and close the port to others by a firewall",
        ),
        (
            "ports: ['80:80', '80:81']",
            "c.yaml:4:22: `services.web.ports`: port 80/tcp is published twice",
        ),
        (
            "volumes: ['./x:/x']",
            "c.yaml:4:15: `services.web.volumes`: ./x is relative to this file, and the task runs on any node; write the whole path on the nodes, a named volume, or a config",
        ),
        (
            "volumes: ['data:/x']",
            "c.yaml:4:15: the volume `data` is not in `volumes` of this file; write it there",
        ),
        ("volumes: ['/a:/x', '/b:/x']", "c.yaml:4:24: `services.web.volumes`: two mounts at /x"),
        (
            "networks: [back]",
            "c.yaml:4:16: the network `back` is not in `networks` of this file; write it there",
        ),
        ("depends_on: [db]", "c.yaml:4:18: `services.web.depends_on`: there is no service `db`"),
        (
            "deploy: {replicas: many}",
            "c.yaml:4:24: `services.web.deploy.replicas`: \"many\" is no number",
        ),
        (
            "deploy: {mode: global, replicas: 2}",
            "c.yaml:4:38: `services.web.deploy.replicas`: one task runs on every node that fits",
        ),
        ("deploy: [a]", "c.yaml:4:13: `services.web.deploy` is a map, not a list"),
    ];
    for (keys, wanted) in table {
        let file = format!("services:\n  web:\n    image: a\n{}", indented(keys));
        let problems = refused(&Given::file(&file));
        assert!(problems[0].starts_with(wanted), "{keys}: {problems:?}");
        assert_eq!(problems.len(), 1, "{keys}: {problems:?}");
    }
}

#[test]
fn what_means_nothing_is_refused_with_its_place() {
    let table = [
        ("tty: maybe", "c.yaml:4:10: `services.web.tty`: \"maybe\" is neither true nor false"),
        (
            "command: \"echo 'a\"",
            "c.yaml:4:14: `services.web.command`: a quote in \"echo 'a\" is never closed",
        ),
        (
            "command: []",
            "c.yaml:4:14: `services.web.command` is empty, which takes the image's own command away: write its `entrypoint` too",
        ),
        (
            "restart: sometimes",
            "c.yaml:4:14: `services.web.restart`: there are \"no\", always, unless-stopped and on-failure, not \"sometimes\"",
        ),
        ("env_file: gone.env", "c.yaml:4:15: `services.web.env_file`: gone.env: no such file"),
        ("pid: host", "c.yaml:4:10: `services.web.pid`: services have no such setting"),
        (
            "links: [db]",
            "c.yaml:4:12: `services.web.links`: the name of a service answers on every network that both are on; write further names as `aliases` of its network",
        ),
        (
            "environment: {A: [b]}",
            "c.yaml:4:22: `services.web.environment.A` is a single value, not a list",
        ),
        (
            "stop_grace_period: 10",
            "c.yaml:4:24: `services.web.stop_grace_period`: a unit is missing: did you mean 10s?",
        ),
        ("extends: gone", "c.yaml:4:14: `extends`: there is no service `gone`"),
        ("extends: web", "c.yaml:4:14: `web` extends itself: web → web"),
        (
            "environment: {A: '${B:?the release}'}",
            "c.yaml:4:22: the variable `B` has to be set: the release",
        ),
    ];
    for (keys, wanted) in table {
        let file = format!("services:\n  web:\n    image: a\n{}", indented(keys));
        let problems = refused(&Given::file(&file));
        assert!(problems[0].starts_with(wanted), "{keys}: {problems:?}");
        assert_eq!(problems.len(), 1, "{keys}: {problems:?}");
    }
}

#[test]
fn all_faults_are_told_at_once_and_in_order() {
    let file = "services:\n  web: {iimage: a}\n  db: {image: a, tty: maybe}\nvolume: {}\n";
    assert_eq!(
        refused(&Given::file(file)),
        [
            "c.yaml:2:8: `services.web.image` is missing",
            "c.yaml:2:9: unknown key `services.web.iimage`; write `image`",
            "c.yaml:3:23: `services.db.tty`: \"maybe\" is neither true nor false",
            "c.yaml:4:1: unknown key `volume`; write `volumes`",
        ]
    );
}

#[test]
fn whole_files_that_make_no_stack_are_refused() {
    for (file, wanted) in [
        ("", "there are no services"),
        ("services: {}", "there are no services"),
        ("[a]", "a Compose file is a map, not a list"),
        (
            "services: {a: {image: x, volumes: [{type: bind, source: /a, target: /a, \
             bind: {recursive: readonly}}]}}",
            "there are enabled and disabled, not \"readonly\"",
        ),
        (
            "include: [{path: other.yaml, project_directory: x}]\nservices: {a: {image: x}}",
            "c.yaml:1:30: `include` has no key `project_directory` here: there are path, env_file",
        ),
        (
            "services: {a: {image: x}, b: {extends: {service: a, fil: y}}}",
            "c.yaml:1:53: `extends` has no key `fil` here: there are service, file",
        ),
        (
            "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
            "in a circle: st_a, st_b",
        ),
        ("include: [c.yaml]\nservices: {a: {image: x}}", "includes itself"),
        (
            "include: [other.yaml]\nservices: {web: {image: mine}}",
            "`services.web` is also defined at other.yaml:1:12",
        ),
    ] {
        let given = Given::file(file)
            .beside("other.yaml", "services: {web: {image: theirs}}")
            .beside("c.yaml", file);
        let problems = refused(&given).join("\n");
        assert!(problems.contains(wanted), "{file}: {problems}");
    }
    let mut unnamed = Given::file("services: {a: {image: x}}");
    unnamed.name = None;
    assert!(refused(&unnamed)[0].contains("the stack has no name"));
    unnamed.name = Some("No Name".to_owned());
    assert!(refused(&unnamed)[0].contains("is no name of a stack"));
    let mut named = Given::file("name: shop\nservices: {a: {image: x}}");
    named.name = None;
    assert_eq!(named.read().services[0].name, "shop_a");
}
