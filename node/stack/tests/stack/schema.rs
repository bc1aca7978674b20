//! Every key of the published schema of Compose files does what `docs/stacks.md` says: it works, has
//! no effect and that is said, or is refused.

use std::collections::BTreeMap;

use super::given::Given;

/// A key of the schema with a value that is right for it.
type Sample = (&'static str, &'static str);

const CONFIG: [Sample; 7] = [
    ("content", "x"),
    ("environment", "FROM_OUTSIDE"),
    ("external", "true"),
    ("file", "web.env"),
    ("labels", "{a: b}"),
    ("name", "a"),
    ("template_driver", "golang"),
];

const SECRET: [Sample; 8] = [
    ("driver", "vault"),
    ("driver_opts", "{a: b}"),
    ("environment", "FROM_OUTSIDE"),
    ("external", "true"),
    ("file", "web.env"),
    ("labels", "{a: b}"),
    ("name", "a"),
    ("template_driver", "golang"),
];

const TOP: [Sample; 9] = [
    ("configs", "{a: {content: x}}"),
    ("include", "[other.yaml]"),
    ("models", "{a: {model: x}}"),
    ("name", "shop"),
    ("networks", "{back: {}}"),
    ("secrets", "{a: {file: web.env}}"),
    ("services", "{web: {image: a}}"),
    ("version", "'3.8'"),
    ("volumes", "{data: {}}"),
];

const SERVICE: [Sample; 98] = [
    ("annotations", "{a: b}"),
    ("attach", "true"),
    ("blkio_config", "{weight: 300}"),
    ("build", "."),
    ("cap_add", "[NET_ADMIN]"),
    ("cap_drop", "[ALL]"),
    ("cgroup", "host"),
    ("cgroup_parent", "a"),
    ("command", "[a]"),
    ("configs", "[a]"),
    ("container_name", "a"),
    ("cpu_count", "1"),
    ("cpu_percent", "50"),
    ("cpu_period", "100"),
    ("cpu_quota", "50"),
    ("cpu_rt_period", "1ms"),
    ("cpu_rt_runtime", "1ms"),
    ("cpu_shares", "10"),
    ("cpus", "0.5"),
    ("cpuset", "0"),
    ("credential_spec", "{file: x}"),
    ("depends_on", "[db]"),
    ("deploy", "{replicas: 2}"),
    ("develop", "{watch: []}"),
    ("device_cgroup_rules", "['c 1:3 mr']"),
    ("devices", "['/dev/null:/dev/x:rw']"),
    ("dns", "9.9.9.9"),
    ("dns_opt", "[ndots:1]"),
    ("dns_search", "a.b"),
    ("domainname", "a.b"),
    ("entrypoint", "[a]"),
    ("env_file", "web.env"),
    ("environment", "{A: b}"),
    ("expose", "['80']"),
    ("extends", "{service: db}"),
    ("external_links", "[a]"),
    ("extra_hosts", "{a: [10.0.0.1, 10.0.0.2]}"),
    ("gpus", "all"),
    ("group_add", "[audio]"),
    ("healthcheck", "{test: [CMD, a], interval: 1s, timeout: 1s, retries: 1, start_period: 1s}"),
    ("hostname", "a"),
    ("image", "a"),
    ("init", "true"),
    ("ipc", "host"),
    ("isolation", "x"),
    ("label_file", "a"),
    ("labels", "{a: b}"),
    ("links", "[db]"),
    ("logging", "{driver: json-file, options: {max-size: 1m}}"),
    ("mac_address", "02:42:ac:11:00:02"),
    ("mem_limit", "64m"),
    ("mem_reservation", "32m"),
    ("mem_swappiness", "10"),
    ("memswap_limit", "-1"),
    ("models", "[a]"),
    ("network_mode", "host"),
    ("networks", "{default: {aliases: [a]}}"),
    ("oom_kill_disable", "true"),
    ("oom_score_adj", "1"),
    ("pid", "host"),
    ("pids_limit", "10"),
    ("platform", "linux/arm64"),
    ("ports", "['80:80']"),
    ("post_start", "[{command: a}]"),
    ("pre_start", "[{command: a}]"),
    ("pre_stop", "[{command: a}]"),
    ("privileged", "true"),
    ("profiles", "[]"),
    ("provider", "{type: x}"),
    ("pull_policy", "always"),
    ("pull_refresh_after", "1d"),
    ("read_only", "true"),
    ("restart", "always"),
    ("runtime", "runc"),
    ("scale", "2"),
    ("secrets", "[a]"),
    ("security_opt", "['no-new-privileges:true']"),
    ("shm_size", "64m"),
    ("stdin_open", "true"),
    ("stop_grace_period", "5s"),
    ("stop_signal", "SIGINT"),
    ("storage_opt", "{size: 1G}"),
    ("sysctls", "{net.core.somaxconn: 1024}"),
    ("tmpfs", "/run"),
    ("tty", "true"),
    ("ulimits", "{nofile: {soft: 1, hard: 2}}"),
    ("use_api_socket", "true"),
    ("user", "a"),
    ("userns_mode", "host"),
    ("uts", "host"),
    ("volumes", "['/a:/a']"),
    ("volumes_from", "[db]"),
    ("working_dir", "/a"),
    ("x-edge", "{priority: 1}"),
    // Keys inside of those above that have another fate than they.
    ("deploy.resources", "{reservations: {devices: [{capabilities: [gpu]}]}}"),
    ("networks.default", "{ipv4_address: 10.0.0.1}"),
    ("ports.host_ip", "127.0.0.1"),
    ("volumes.volume", "{subpath: x}"),
];

const NETWORK: [Sample; 11] = [
    ("attachable", "true"),
    ("driver", "overlay"),
    ("driver_opts", "{encrypted: ''}"),
    ("enable_ipv4", "true"),
    ("enable_ipv6", "true"),
    ("external", "true"),
    ("internal", "true"),
    ("ipam", "{config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.1}]}"),
    ("labels", "{a: b}"),
    ("name", "a"),
    ("ipam.options", "{a: b}"),
];

const VOLUME: [Sample; 5] = [
    ("driver", "local"),
    ("driver_opts", "{type: nfs}"),
    ("external", "true"),
    ("labels", "{a: b}"),
    ("name", "a"),
];

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    NoEffect,
    Refused,
}

/// What a file becomes by this key.
fn fate(file: &str, key: &str) -> Fate {
    let given = Given::file(file).beside("other.yaml", "{}");
    match given.try_read() {
        Err(problems) => {
            let all = problems.join("\n");
            assert!(!all.contains("unknown key"), "{key}: {all}");
            assert!(all.contains(key.rsplit('.').next().unwrap_or(key)), "{key}: {all}");
            Fate::Refused
        }
        Ok(stack) if stack.notes.is_empty() => Fate::Works,
        Ok(_) => Fate::NoEffect,
    }
}

/// The rows of a table of the document: key and fate.
fn rows(heading: &str) -> BTreeMap<String, Fate> {
    let document = include_str!("../../../../docs/stacks.md");
    let section = document.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading}"));
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.strip_suffix('`')?.to_owned();
        let fate = match cells.next()? {
            "works" | "differs" => Fate::Works,
            "no effect" => Fate::NoEffect,
            "refused" => Fate::Refused,
            other => panic!("{key}: {other}"),
        };
        Some((key, fate))
    };
    section.lines().filter_map(row).collect()
}

fn check(heading: &str, samples: &[Sample], file: impl Fn(&str, &str) -> String) {
    let told = rows(heading);
    let found: BTreeMap<String, Fate> = samples
        .iter()
        .map(|(key, value)| ((*key).to_owned(), fate(&file(key, value), key)))
        .collect();
    assert_eq!(told, found, "{heading}");
}

#[test]
fn every_key_of_a_service_does_what_the_table_says() {
    check("Services", &SERVICE, |key, value| {
        let inner = match key {
            "image" => format!("image: {value}"),
            "build" => format!("build: {value}, image: a"),
            "ports.host_ip" => format!("image: a, ports: [{{target: 80, host_ip: {value}}}]"),
            "volumes.volume" => format!(
                "image: a, volumes: [{{type: volume, source: data, target: /x, volume: {value}}}]"
            ),
            "extends" => format!("extends: {value}"),
            key => match key.split_once('.') {
                Some((outer, inner)) => format!("image: a, {outer}: {{{inner}: {value}}}"),
                None => format!("image: a, {key}: {value}"),
            },
        };
        format!(
            "services: {{web: {{{inner}}}, db: {{image: b}}}}\nvolumes: {{data: }}\n\
             configs: {{a: {{content: x}}}}\nsecrets: {{a: {{file: web.env}}}}\n"
        )
    });
}

#[test]
fn every_other_key_does_what_the_tables_say() {
    let used = "services: {web: {image: a, networks: [back], volumes: ['data:/x']}}";
    let inner = |key: &str, value: &str| match key.split_once('.') {
        Some((outer, inner)) => format!("{outer}: {{{inner}: {value}}}"),
        None => format!("{key}: {value}"),
    };
    check("Networks", &NETWORK, |key, value| {
        format!("{used}\nnetworks: {{back: {{{}}}}}\nvolumes: {{data: }}\n", inner(key, value))
    });
    check("Volumes", &VOLUME, |key, value| {
        format!("{used}\nnetworks: {{back: }}\nvolumes: {{data: {{{}}}}}\n", inner(key, value))
    });
    check("Configs", &CONFIG, |key, value| {
        let content = match key {
            "labels" | "name" | "template_driver" => "content: x, ",
            _ => "",
        };
        format!(
            "services: {{web: {{image: a, configs: [a]}}}}\nconfigs: {{a: {{{content}{key}: {value}}}}}\n"
        )
    });
    check("Secrets", &SECRET, |key, value| {
        let content =
            if ["file", "environment", "external"].contains(&key) { "" } else { "file: web.env, " };
        format!(
            "services: {{web: {{image: a, secrets: [a]}}}}\nsecrets: {{a: {{{content}{key}: {value}}}}}\n"
        )
    });
    check("The whole file", &TOP, |key, value| match key {
        "services" => format!("services: {value}\n"),
        _ => format!("services: {{web: {{image: a}}}}\n{key}: {value}\n"),
    });
}
