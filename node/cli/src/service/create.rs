//! `edgectl service create`

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::endpoint::NewPorts;
use super::flags::SharedFlags;
use super::lists::NewLists;
use super::networks::is_first_on_default;
use super::placement::NewPlacement;
use super::{autoscale, container, endpoint, schedule, spec};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::value::{self, Pair};
use node_docker::service::{Empty, ReplicatedJob, ServiceCreated, ServiceMode, ServiceSpec};
use node_docker::task_spec::{PROCESS_SCHEME, RUNTIME_PROCESS};

const MODES: [&str; 4] = ["replicated", "global", "replicated-job", "global-job"];

/// Flags and operands.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the service [default: that of the image]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What runs a task: a container, or a program of the host [default: container]
    #[arg(long, value_name = "RUNTIME",
        value_parser = PossibleValuesParser::new(["container", "process"]))]
    runtime: Option<String>,
    /// A number of tasks anywhere, or one on every node; the tasks of a job run to their end
    #[arg(long, value_name = "MODE", default_value = "replicated",
        value_parser = PossibleValuesParser::new(MODES))]
    mode: String,
    /// Variable of the tasks; a bare name takes its value from here
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = value::env)]
    env: Vec<Pair>,
    /// File of variables, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Label of the service
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = value::label)]
    label: Vec<Pair>,
    /// Label of its tasks
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    container_label: Vec<Pair>,
    #[command(flatten)]
    placement: NewPlacement,
    #[command(flatten)]
    ports: NewPorts,
    #[command(flatten)]
    lists: NewLists,
    #[command(flatten)]
    shared: SharedFlags,
    /// Image and its arguments; with --runtime process a program, by path or by name
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE [ARG]")]
    image: Vec<String>,
}

/// Creates it, and waits.
pub async fn run(args: CreateArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.shared.dry_run);
    let mut spec = spec_of(&args)?;
    args.shared.partition.look_up(&mut client, &mut spec).await?;
    let resolve = if args.shared.container.no_resolve_image { "never" } else { "changed" };
    let path = format!("/services/create?resolve={resolve}");
    let created: ServiceCreated = client.post(&path, &spec).await?;
    for warning in &created.warnings {
        say(format!("warning: {}", warning.trim_end()));
    }
    container::say_auth(&args.shared.container);
    if has_default_network(&args) && is_first_on_default(&mut client, &spec).await {
        say("note: a service without --network is now on the network default, with addresses of \
             its own; its node's network is --network host");
    }
    print(&created.id)?;
    schedule::wait_for_new(&mut client, (&created.id, &spec), &args.shared.wait).await
}

/// The spec that the flags describe.
pub fn spec_of(args: &CreateArgs) -> Result<ServiceSpec, Failure> {
    let mut env = Vec::new();
    for file in &args.env_file {
        env.extend(value::env_file(file)?);
    }
    env.extend(args.env.iter().cloned());

    let mut spec =
        ServiceSpec { name: name_of(args)?, labels: value::map(&args.label), ..Default::default() };
    spec.mode = mode_of(&args.mode);
    spec::apply(&args.shared, &mut spec)?;
    if args.mode.starts_with("replicated") && args.shared.scale.replicas.is_none() {
        let first = autoscale::first(&spec);
        spec::set_replicas(&mut spec, first)?;
    }
    args.lists.apply(&mut spec.task_template)?;
    set_image(args, &mut spec)?;
    let container = spec.task_template.container_spec.get_or_insert_default();
    container.env = by_name(&env);
    container.labels = value::map(&args.container_label);
    args.placement.apply(&mut spec.task_template);
    args.placement.relations.apply_to_service(&mut spec);
    args.ports.apply(&mut spec.endpoint_spec);
    endpoint::check(&spec)?;
    Ok(spec)
}

fn mode_of(word: &str) -> ServiceMode {
    let mut mode = ServiceMode::default();
    match word {
        "global" => mode.global = Some(Empty {}),
        "replicated-job" => mode.replicated_job = Some(ReplicatedJob::default()),
        "global-job" => mode.global_job = Some(Empty {}),
        _ => {}
    }
    mode
}

/// Is a note due if the service is the first on the network default? It was on its node's network
/// in earlier versions.
fn has_default_network(args: &CreateArgs) -> bool {
    !is_process(args) && !args.lists.networks.is_chosen() && !args.shared.wait.quiet
}

fn is_process(args: &CreateArgs) -> bool {
    let named = args.image.first().and_then(|image| container::program(image));
    args.runtime.as_deref() == Some("process") || named.is_some()
}

fn set_image(args: &CreateArgs, spec: &mut ServiceSpec) -> Result<(), Failure> {
    let (image, arguments) = args.image.split_first().expect("clap asks for at least one");
    let is_process = is_process(args);
    if is_process && args.runtime.as_deref() == Some("container") {
        let program = image.strip_prefix(PROCESS_SCHEME).unwrap_or(image);
        return Err(Failure::new(format!("{image} is a program of the host, not an image"))
            .why("--runtime container was asked for")
            .hint(format!("--runtime process {program}")));
    }
    let container = spec.task_template.container_spec.get_or_insert_default();
    if is_process {
        if args.shared.container.entrypoint.is_some() {
            return Err(Failure::new("a program of the host has no entrypoint")
                .why("--entrypoint replaces that of an image")
                .hint("--runtime process PROGRAM [ARG]..."));
        }
        spec.task_template.runtime = RUNTIME_PROCESS.to_owned();
        spec::set_program(container, &args.image);
    } else {
        container::check_image(image)?;
        container.image.clone_from(image);
        container.args = arguments.to_vec();
    }
    Ok(())
}

/// The last value of a name wins, at the place of the first one.
fn by_name(pairs: &[Pair]) -> Vec<String> {
    let mut kept: Vec<&Pair> = Vec::new();
    for pair in pairs {
        match kept.iter_mut().find(|known| known.name == pair.name) {
            Some(known) => *known = pair,
            None => kept.push(pair),
        }
    }
    kept.iter().map(ToString::to_string).collect()
}

fn name_of(args: &CreateArgs) -> Result<String, Failure> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let image = args.image.first().map_or("", String::as_str);
    let named = match is_process(args) {
        true => container::program(image).unwrap_or(image).to_owned(),
        false => container::check_image(image)?.repository,
    };
    let base = named.rsplit('/').next().unwrap_or_default();
    let name: String = base
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    match name.trim_matches('-') {
        "" => Err(Failure::new(format!("cannot name a service after {image:?}"))
            .hint("--name NAME along with it")),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use serde_json::json;

    fn sent(line: &[&str]) -> Result<serde_json::Value, String> {
        let line = [&["service", "create"], line].concat();
        let args: CreateArgs = parse_for_tests(&line)?;
        let spec = spec_of(&args).map_err(|failure| failure.to_string())?;
        Ok(serde_json::to_value(spec).expect("JSON"))
    }

    #[test]
    fn flags_become_docker_s_spec() {
        let spec = sent(&[
            "--name",
            "web",
            "--replicas",
            "3",
            "-e",
            "A=1",
            "-e",
            "B=2",
            "-e",
            "A=3",
            "-l",
            "tier=front",
            "--constraint",
            "node.labels.zone==a",
            "--limit-memory",
            "64m",
            "--reserve-cpu",
            "0.5",
            "--restart-delay",
            "2s",
            "--update-order",
            "start-first",
            "--publish",
            "mode=host,published=8080,target=80",
            "--stop-grace-period",
            "1m",
            "--log-opt",
            "max-size=1m",
            "--health-cmd",
            "true",
            "--health-retries",
            "2",
            "--runtime",
            "process",
            "busybox",
            "httpd",
            "-f",
            "--name",
            "not-ours",
        ])
        .expect("valid");
        assert_eq!(
            spec,
            json!({
                "Name": "web", "Labels": {"tier": "front"},
                "Mode": {"Replicated": {"Replicas": 3}},
                "TaskTemplate": {
                    "ContainerSpec": {
                        "Image": "process:busybox",
                        "Args": ["httpd", "-f", "--name", "not-ours"],
                        "Env": ["A=3", "B=2"], "StopGracePeriod": 60_000_000_000_u64,
                        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 0,
                            "Timeout": 0, "StartPeriod": 0, "StartInterval": 0, "Retries": 2},
                    },
                    "Resources": {"Limits": {"MemoryBytes": 67_108_864},
                        "Reservations": {"NanoCPUs": 500_000_000}},
                    "RestartPolicy": {"Delay": 2_000_000_000_u64},
                    "Placement": {"Constraints": ["node.labels.zone==a"], "MaxReplicas": 0},
                    "LogDriver": {"Options": {"max-size": "1m"}},
                    "ForceUpdate": 0, "Runtime": "process",
                },
                "UpdateConfig": {"Parallelism": 1, "Delay": 0, "Monitor": 0,
                    "MaxFailureRatio": 0.0, "Order": "start-first"},
                "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80,
                    "PublishedPort": 8080, "PublishMode": "host"}]},
            })
        );
    }

    #[test]
    fn a_service_may_be_on_several_networks_with_ports_of_every_node() {
        let spec = sent(&[
            "--network",
            "front",
            "--network",
            "name=back,alias=shop,driver-opt=a=b",
            "--endpoint-mode",
            "vip",
            "-p",
            "8080-8081:80-81",
            "nginx",
        ])
        .expect("valid");
        let port = |published, target| {
            json!({"Protocol": "tcp", "TargetPort": target, "PublishedPort": published,
                "PublishMode": "ingress"})
        };
        assert_eq!(
            spec["TaskTemplate"]["Networks"],
            json!([{"Target": "front"},
                {"Target": "back", "Aliases": ["shop"], "DriverOpts": {"a": "b"}}])
        );
        assert_eq!(
            spec["EndpointSpec"],
            json!({"Mode": "vip", "Ports": [port(8080, 80), port(8081, 81)]})
        );
        let spec = sent(&["nginx"]).expect("the agent puts it on the network default");
        assert_eq!(spec["TaskTemplate"]["Networks"], json!(null));
    }

    #[test]
    fn a_service_is_named_after_its_image_or_program() {
        for (image, name) in [
            ("nginx:1.27", "nginx"),
            ("localhost:5000/team/my_app", "my-app"),
            ("docker.io/library/redis", "redis"),
        ] {
            assert_eq!(sent(&[image]).expect("valid")["Name"], name);
        }
        let process = |program| sent(&["--runtime", "process", program]);
        assert_eq!(process("/usr/bin/busybox").expect("valid")["Name"], "busybox");
        let spec = sent(&["process:/usr/bin/busybox"]).expect("as Docker's client writes it");
        assert_eq!(spec["Name"], "busybox");
        let image = &spec["TaskTemplate"]["ContainerSpec"]["Image"];
        assert_eq!(image, "process:/usr/bin/busybox");
        assert_eq!(process("./My_App.sh").expect("valid")["Name"], "my-app-sh");
        assert!(process("/").expect_err("no name").contains("--name NAME"));
    }

    #[test]
    fn a_global_service_has_no_number_of_replicas() {
        let spec = sent(&["--mode", "global", "probe"]).expect("valid");
        assert_eq!(spec["Mode"], json!({"Global": {}}));
        let error = sent(&["--mode", "global", "--replicas", "2", "probe"]).expect_err("refused");
        assert!(error.starts_with("a global service has no number of replicas"), "{error}");
    }

    #[test]
    fn a_job_has_a_number_of_completions_and_how_many_run_at_a_time() {
        let mode = |line: &[&str]| sent(line).map(|spec| spec["Mode"].clone());
        let job =
            |all, most| json!({"ReplicatedJob": {"TotalCompletions": all, "MaxConcurrent": most}});
        let line = ["--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2", "x"];
        assert_eq!(mode(&line), Ok(job(5, 2)));
        assert_eq!(mode(&["--mode", "replicated-job", "--replicas", "5", "x"]), Ok(job(5, 5)));
        assert_eq!(mode(&["--mode", "replicated-job", "x"]), Ok(job(1, 1)));
        assert_eq!(mode(&["--mode", "global-job", "x"]), Ok(json!({"GlobalJob": {}})));
        for (line, words) in [
            (["--mode", "global-job", "--replicas", "2", "x"], "a global job has no number"),
            (["--mode", "global", "--max-concurrent", "2", "x"], "the mode is global"),
        ] {
            let said = mode(&line).expect_err("refused");
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_sent() {
        for (line, words) in [
            (&["--replica", "3", "x"][..], "'--replicas'"),
            (&["--replicas", "-1", "x"], "--replicas"),
            (&["--replicas", "many", "x"], "invalid digit"),
            (&["--limit-memory", "64x", "x"], "64m"),
            (&["--restart-delay", "5", "x"], "did you mean 5s?"),
            (&["--restart-condition", "allways", "x"], "on-failure"),
            (&["--publish", "8o80:80", "x"], "is not a port"),
            (&["--runtime", "process", "-p", "8080:80", "x"], "mode=host,published=8080,target=80"),
            (&["--endpoint-mode", "vpi", "x"], "vip, dnsrr"),
            (&["--no-healthcheck", "--health-cmd", "true", "x"], "cannot be used with"),
            (&["--health-interval", "5s", "x"], "--health-cmd"),
            (&["--env-file", "/nowhere", "x"], "cannot read the environment file /nowhere"),
            (&["--name", "web"], "IMAGE"),
            (&["Nginx"], "\"Nginx\" is no image\n  why: the image \"Nginx\" has upper-case"),
            (&["/usr/bin/busybox", "sh"], "try: --runtime process /usr/bin/busybox"),
            (&["http://lan:5000/app"], "try: lan:5000/app: an image has no scheme"),
            (&["--runtime", "container", "process:/a"], "try: --runtime process /a"),
            (&["--runtime", "process", "--entrypoint", "x", "/a"], "has no entrypoint"),
            (&["--runtime", "wasm", "x"], "container, process"),
            (&["--mount", "/srv:/data", "x"], "write type=bind,source=/srv,target=/data"),
            (&["--mount", "targt=/data", "x"], "did you mean target?"),
            (&["--cap-add", "NET_ADMEN", "x"], "did you mean NET_ADMIN?"),
            (&["--ulimit", "nofiles=1", "x"], "did you mean nofile?"),
            (&["--sysctl", "vm.swappiness=1", "x"], "/etc/sysctl.d"),
            (&["--device", "ttyUSB0", "x"], "/dev/ttyUSB0"),
            (&["--network", "alias=db", "x"], "write back, or name=back,alias=db"),
            (&["--network", "a", "--network", "host", "x"], "leave host or a out"),
            (&["--network", "a", "--network", "name=a,alias=b", "x"], "a is given twice"),
            (&["--network", "none", "-p", "8080:80", "x"], "the service is on the network none"),
            (&["--network", "back", "process:x"], "a program of the host is on no network"),
            (&["--host", "printer", "x"], "printer:10.0.0.7"),
            (&["--dns", "dns.lan", "x"], "write it like 10.0.0.1"),
            (&["--stop-signal", "SIGFOO", "x"], "write a name like SIGTERM"),
            (&["--oom-score-adj", "5000", "x"], "-1000"),
            (&["--security-opt", "seccomp=x.json", "x"], "cannot read the profile x.json"),
            (&["--init=maybe", "x"], "true, false"),
            (&["--log-driver", "syslog", "x"], "json-file, local"),
            (&["--entrypoint", "a 'b", "x"], "a quote is not closed"),
        ] {
            let error = sent(line).expect_err("refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
