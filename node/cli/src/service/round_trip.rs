//! For any flags: the resulting spec is accepted, shown, and accepted again as the same, even if
//! Docker's own client, which loses unknown fields, sends it back in between.

use proptest::prelude::*;

use super::create::{CreateArgs, spec_of};
use super::networks::KnownNetworks;
use super::update::{UpdateArgs, changed};
use crate::parse_for_tests;
use node_docker::service::ServiceSpec;
use node_docker::state::{accept, read_spec, show};

/// Flags that can be combined in any number and order.
const FLAGS: [&[&str]; 58] = [
    &["--pre-start", "./migrate --to 'a b'", "--pre-start", "warm"],
    &["--autoscale", "min=2,max=10,cpu=60%,memory=80%"],
    &["--schedule", "0 3 * * *", "--schedule-missed", "skip"],
    &["--hostname", "h-{{.Task.Slot}}"],
    &["--entrypoint", "/bin/sh -c 'a b'"],
    &["-e", "A=1"],
    &["-e", "B="],
    &["-w", "/w"],
    &["-u", "1000:dialout"],
    &["--group", "20"],
    &["--init"],
    &["--init=false"],
    &["--tty"],
    &["--interactive"],
    &["--read-only"],
    &["--stop-signal", "SIGRTMIN+3"],
    &["--stop-grace-period", "1500ms"],
    &["--host", "printer:10.0.0.7"],
    &["--host", "v6:fd00::7"],
    &["--dns", "10.0.0.1"],
    &["--dns-search", "lan"],
    &["--dns-option", "ndots:2"],
    &["--cap-add", "net_admin"],
    &["--cap-drop", "ALL"],
    &["--security-opt", "no-new-privileges"],
    &["--security-opt", "seccomp=unconfined"],
    &["--security-opt", r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#],
    &["--security-opt", "apparmor=shop"],
    &["--privileged"],
    &["--userns", "auto"],
    &["--device", "/dev/ttyUSB0:/dev/modem:rw"],
    &["--oom-score-adj", "-500"],
    &["--ulimit", "nofile=1024:2048"],
    &["--ulimit", "core=-1"],
    &["--sysctl", "kernel.shmmax=1"],
    &["--mount", "type=bind,src=/srv,dst=/srv,ro,bind-propagation=rslave,bind-nonrecursive"],
    &["--mount", "type=bind,src=/made,dst=/made,bind-create-src"],
    &["--mount", "source=pgdata,target=/data,volume-nocopy,volume-label=a=b"],
    &["--mount", "target=/scratch"],
    &["--mount", "type=tmpfs,target=/tmp,tmpfs-size=64m,tmpfs-mode=1777"],
    &["--placement-pref", "spread=node.labels.zone"],
    &["--placement-pref", "spread=Engine.Labels.Rack"],
    &["--generic-resource", "gpu=2"],
    &["--priority", "-7"],
    &["--depends-on", "db"],
    &["--slot-order", "ascending"],
    &["--affinity", "service==db"],
    &["--affinity", "Image != redis:7"],
    &["--generic-resource", "can.bus=1"],
    &["--limit-cpu", "0.5", "--limit-memory", "64m", "--limit-pids", "9"],
    &["--limit-memory", "64m", "--memory-swap", "1g", "--memory-swappiness", "0"],
    &["--limit-memory", "64m", "--memory-swap", "-1"],
    &["--reserve-cpu", "0.1"],
    &["--health-cmd", "true", "--health-start-period", "3s"],
    &["--log-opt", "max-size=1m"],
    &["--container-label", "k=v"],
    &["--restart-condition", "on-failure", "--restart-max-attempts", "3"],
    &["--publish", "mode=host,published=8080,target=80"],
];

/// Ways to be reached, of which a service has one. The id of a network is like a name here, which
/// is turned into an id before.
const NETWORKS: [&[&str]; 5] = [
    &[],
    &["--network", "none"],
    &["--network", "host", "--endpoint-mode", "dnsrr"],
    &["--network", "name=000000000000000000000000b,alias=db", "-p", "53:53/udp", "-p", "1-3:80"],
    &["--network", "000000000000000000000000b", "--network", "000000000000000000000000c"],
];

const IMAGES: [&str; 4] = [
    "nginx",
    "localhost:5000/team/app:1.2",
    "app:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// The spec as it arrives: through JSON.
fn arrived(spec: &ServiceSpec) -> ServiceSpec {
    let body = serde_json::to_vec(spec).expect("JSON");
    read_spec(&body).expect("our own spec has no field that is not known")
}

/// The spec as Docker's client sends it back.
fn through_docker(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    let task = &mut spec.task_template;
    task.container_spec.get_or_insert_default().edge = None;
    let placement = task.placement.get_or_insert_default();
    placement.priority = None;
    placement.partition = None;
    spec.schedule = None;
    spec.autoscale = None;
    placement.platforms.iter_mut().for_each(|platform| platform.variant.clear());
    spec
}

proptest! {
    #[test]
    fn what_is_typed_is_what_is_stored_and_shown(
        chosen in proptest::collection::btree_set(0..FLAGS.len(), 0..12),
        network in 0..NETWORKS.len(),
        image in 0..IMAGES.len(),
        arguments in proptest::collection::vec("[ -~]{0,8}", 0..3),
    ) {
        let flags: Vec<&str> = chosen.iter().flat_map(|index| FLAGS[*index]).copied().collect();
        let head = ["service", "create", "--name", "web"];
        let tail: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let line = [&head[..], &flags, NETWORKS[network], &["--", IMAGES[image]], &tail].concat();
        let args: CreateArgs = match parse_for_tests(&line) {
            Ok(args) => args,
            // A flag was given twice that may be given once.
            Err(error) => {
                prop_assert!(error.contains("cannot be used multiple times"), "{error}");
                return Ok(());
            }
        };
        let typed = spec_of(&args).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        let stored = match accept(arrived(&typed), None).map_err(|bad| bad.to_string()) {
            Ok(stored) => stored,
            // Devices and the like do not go with ids of its own.
            Err(bad) if bad.starts_with("Edge.UsernsMode") => return Ok(()),
            Err(bad) => return Err(TestCaseError::fail(bad)),
        };
        prop_assert_eq!(&stored.template.args, &arguments);

        let shown = show(&stored);
        prop_assert_eq!(accept(arrived(&shown), None), Ok(stored.clone()));
        let lossy = arrived(&through_docker(&shown));
        prop_assert_eq!(accept(lossy, Some(&stored)), Ok(stored.clone()));

        let update: UpdateArgs = parse_for_tests(&["service", "update", "web"]).expect("no flags");
        let known = KnownNetworks::default();
        let unchanged = changed(&update, &shown, &known).expect("nothing is changed");
        prop_assert_eq!(accept(arrived(&unchanged), Some(&stored)), Ok(stored.clone()));
    }
}
