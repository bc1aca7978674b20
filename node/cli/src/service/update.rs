//! `edgectl service update`: reads the spec, changes it as the flags say, and sends it back with
//! the version that was read.

use std::path::PathBuf;

use clap::Args;

use super::change::{change_list, change_map};
use super::endpoint::PortChanges;
use super::flags::SharedFlags;
use super::lists::ListChanges;
use super::networks::KnownNetworks;
use super::placement::PlacementChanges;
use super::rename::NewName;
use super::{autoscale, container, endpoint, replace, rollout, schedule, spec};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::progress::{self, Goal};
use crate::value::{self, Pair};
use crate::{resolve, words};
use node_docker::service::ServiceSpec;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Service, by name or id
    service: String,
    /// New image
    #[arg(long, value_name = "IMAGE", help_heading = "Image", conflicts_with = "program")]
    image: Option<String>,
    /// New program, of a service that runs a program of the host
    #[arg(long, value_name = "PROGRAM")]
    program: Option<String>,
    /// New arguments, as one text: 'httpd -f -p 8081'
    #[arg(long, value_name = "ARGS", value_parser = words::split, allow_hyphen_values = true)]
    args: Option<words::Words>,
    /// Add or change a variable
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::env)]
    env_add: Vec<Pair>,
    /// File of variables to add or change, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Remove a variable
    #[arg(long, value_name = "NAME")]
    env_rm: Vec<String>,
    /// Add or change a label of the service
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    label_add: Vec<Pair>,
    /// Remove a label of the service
    #[arg(long, value_name = "NAME")]
    label_rm: Vec<String>,
    /// Add or change a label of the tasks
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::label)]
    container_label_add: Vec<Pair>,
    /// Remove a label of the tasks
    #[arg(long, value_name = "NAME")]
    container_label_rm: Vec<String>,
    #[command(flatten)]
    placement: PlacementChanges,
    /// Go back to what the service was before its last update, as `service rollback`
    #[arg(long)]
    rollback: bool,
    /// Replace all tasks even if nothing changed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    name: NewName,
    #[command(flatten)]
    ports: PortChanges,
    #[command(flatten)]
    lists: ListChanges,
    #[command(flatten)]
    shared: SharedFlags,
}

/// Changes it, and waits.
pub async fn run(args: UpdateArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.shared.dry_run);
    let service = resolve::service(&mut client, &args.service).await?;
    let known = args.lists.networks.look_up(&mut client).await?;
    let mut spec = changed(&args, &service.spec, &known)?;
    if args.shared.scale.replicas.is_some() {
        autoscale::check_by_hand(&service, &spec)?;
    }
    args.shared.partition.look_up(&mut client, &mut spec).await?;
    if args.rollback {
        check_alone(&service.spec, &spec, &args.service)?;
        return rollout::roll_back(&args.service, &args.shared.wait, client).await;
    }
    container::say_auth(&args.shared.container);
    replace::send(&mut client, &service, &spec, resolve(&args)).await?;
    print(&args.service)?;
    let is_later = schedule::is_scheduled(&spec) && !args.force;
    if is_later && !args.shared.wait.detach {
        return schedule::tell(&mut client, &service.id).await;
    }
    let goal = Goal::Change(service.update_status);
    progress::wait(&mut client, &service.id, &args.shared.wait, goal).await
}

/// Going back and changing at once would be two updates.
fn check_alone(before: &ServiceSpec, after: &ServiceSpec, typed: &str) -> Result<(), Failure> {
    let unchanged = {
        let mut spec = before.clone();
        spec.task_template.container_spec.get_or_insert_default();
        spec
    };
    if *after == unchanged {
        return Ok(());
    }
    Err(Failure::new("other flags may not be combined with --rollback")
        .why("it takes the service back as a whole")
        .hint(format!("edgectl service rollback {typed}, then the change")))
}

/// A name that is given again may have another digest by now.
fn resolve(args: &UpdateArgs) -> &'static str {
    match (args.shared.container.no_resolve_image, &args.image) {
        (true, _) => "never",
        (false, Some(_)) => "always",
        (false, None) => "changed",
    }
}

/// The spec with the changes of the flags.
pub fn changed(
    args: &UpdateArgs,
    before: &ServiceSpec,
    known: &KnownNetworks,
) -> Result<ServiceSpec, Failure> {
    let mut spec = before.clone();
    spec::apply(&args.shared, &mut spec)?;
    args.name.apply(&mut spec);
    change_map(&mut spec.labels, &args.label_add, &args.label_rm);
    args.lists.apply(&mut spec.task_template, known)?;
    change_image(args, &mut spec)?;
    let container = spec.task_template.container_spec.get_or_insert_default();
    if let Some(words::Words(words)) = &args.args {
        container.args = words.clone();
    }
    let (add, remove) = (&args.container_label_add, &args.container_label_rm);
    change_map(&mut container.labels, add, remove);
    change_env(&mut container.env, args)?;
    args.placement.apply(&mut spec.task_template);
    args.placement.relations.apply_to_service(&mut spec);
    args.ports.apply(&mut spec.endpoint_spec);
    endpoint::check(&spec)?;
    if args.force {
        spec.task_template.force_update = spec.task_template.force_update.wrapping_add(1);
    }
    Ok(spec)
}

/// The arguments stay: another flag changes them.
fn change_image(args: &UpdateArgs, spec: &mut ServiceSpec) -> Result<(), Failure> {
    let container = spec.task_template.container_spec.get_or_insert_default();
    let is_process = container::program(&container.image).is_some();
    if let Some(program) = &args.program {
        if !is_process {
            return Err(Failure::new(format!("{} runs an image, not a program", args.service))
                .why(format!("its image is {}", container.image))
                .hint("--image IMAGE, or --entrypoint for another program of the image"));
        }
        let program_args = container.args.clone();
        spec::set_program(container, std::slice::from_ref(program));
        container.args = program_args;
    }
    let Some(image) = &args.image else { return Ok(()) };
    if container::program(image).is_none() {
        container::check_image(image)?;
    }
    container.image.clone_from(image);
    // They belonged to the previous image.
    if let Some(placement) = &mut spec.task_template.placement {
        placement.platforms.clear();
    }
    Ok(())
}

/// A variable that is given wins over one of a file.
fn change_env(env: &mut Vec<String>, args: &UpdateArgs) -> Result<(), Failure> {
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let mut pairs = Vec::new();
    for file in &args.env_file {
        pairs.extend(value::env_file(file)?);
    }
    pairs.extend(args.env_add.iter().cloned());
    let add: Vec<String> = pairs.iter().map(ToString::to_string).collect();
    change_list(env, &add, &args.env_rm, name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::parse_for_tests;
    use node_docker::container_spec::ContainerSpec;
    use node_docker::task_spec::{NetworkAttachment, Platform};

    fn before() -> ServiceSpec {
        let mut spec = ServiceSpec { name: "web".to_owned(), ..ServiceSpec::default() };
        spec.labels.insert("tier".to_owned(), "front".to_owned());
        spec.task_template.container_spec = Some(ContainerSpec {
            image: "process:busybox".to_owned(),
            args: vec!["httpd".to_owned()],
            env: vec!["A=1".to_owned(), "B=2".to_owned()],
            ..ContainerSpec::default()
        });
        spec.task_template.placement.get_or_insert_default().constraints =
            vec!["node.labels.zone == a".to_owned()];
        spec
    }

    fn after(line: &[&str]) -> Result<ServiceSpec, String> {
        let line = [&["service", "update"], line, &["web"]].concat();
        let args: UpdateArgs = parse_for_tests(&line)?;
        changed(&args, &before(), &KnownNetworks::default()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_no_flag_names_stays_as_it_is() {
        assert_eq!(
            after(&[]),
            Ok(ServiceSpec { task_template: after(&[]).expect("ok").task_template, ..before() })
        );
        assert_eq!(after(&["--replicas", "4"]).expect("valid").labels, before().labels);
    }

    #[test]
    fn lists_are_added_to_and_removed_from() {
        let spec = after(&[
            "--env-add",
            "A=9",
            "--env-add",
            "C=3",
            "--env-rm",
            "B",
            "--label-add",
            "x=y",
            "--label-rm",
            "tier",
            "--constraint-rm",
            "node.labels.zone==a",
            "--constraint-add",
            "node.hostname!=n1",
            "--args",
            "httpd -f -p '80 81'",
            "--force",
        ])
        .expect("valid");
        let container = spec.task_template.container_spec.expect("set");
        assert_eq!(container.env, ["A=9", "C=3"]);
        assert_eq!(container.args, ["httpd", "-f", "-p", "80 81"]);
        assert_eq!(spec.labels, BTreeMap::from([("x".to_owned(), "y".to_owned())]));
        assert_eq!(spec.task_template.placement.expect("set").constraints, ["node.hostname!=n1"]);
        assert_eq!(spec.task_template.force_update, 1);
    }

    #[test]
    fn a_new_program_keeps_the_arguments() {
        let spec = after(&["--program", "/bin/sh"]).expect("valid");
        let container = spec.task_template.container_spec.expect("set");
        assert_eq!(
            (container.image.as_str(), container.args),
            ("process:/bin/sh", vec!["httpd".to_owned()])
        );
    }

    fn container() -> ServiceSpec {
        let mut spec = before();
        let container = spec.task_template.container_spec.get_or_insert_default();
        container.image = "nginx:1.27@sha256:00".to_owned();
        container.capability_drop = vec!["CAP_CHOWN".to_owned()];
        container.hosts = vec!["10.0.0.7 printer".to_owned(), "10.0.0.8 printer".to_owned()];
        container.sysctls.insert("kernel.shmmax".to_owned(), "1".to_owned());
        container.edge.get_or_insert_default().privileged = true;
        spec.task_template.networks =
            vec![NetworkAttachment { target: "host".to_owned(), ..NetworkAttachment::default() }];
        let placement = spec.task_template.placement.get_or_insert_default();
        placement.platforms = vec![Platform { os: "linux".to_owned(), ..Platform::default() }];
        spec
    }

    fn container_after(line: &[&str]) -> Result<ServiceSpec, String> {
        let line = [&["service", "update"], line, &["web"]].concat();
        let args: UpdateArgs = parse_for_tests(&line)?;
        changed(&args, &container(), &KnownNetworks::default())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn lists_of_a_container_are_added_to_and_removed_from() {
        let line = "--mount-add source=pg,target=/data/ --mount-add source=new,target=/data \
             --device-add /dev/a:r --ulimit-add nofile=9 --group-add dialout --sysctl-rm \
             kernel.shmmax --sysctl-add kernel.msgmax=2 --host-rm printer:10.0.0.7 \
             --host-add cam:10.0.0.9 --dns-add 10.0.0.1 --dns-search-add lan --network-add \
             none --cap-add CHOWN --cap-drop NET_RAW --privileged=false --init";
        let spec = container_after(&line.split(' ').collect::<Vec<_>>()).expect("valid");
        assert_eq!(spec.task_template.networks[0].target, "none");
        let container = spec.task_template.container_spec.expect("set");
        assert_eq!(container.mounts.len(), 1, "one per target");
        assert_eq!(container.mounts[0].source, "new");
        let edge = container.edge.expect("set");
        assert_eq!(edge.devices[0].cgroup_permissions, "r");
        assert!(!edge.privileged);
        assert_eq!(container.ulimits[0].hard, 9);
        assert_eq!(container.groups, ["dialout"]);
        assert_eq!(container.sysctls, BTreeMap::from([("kernel.msgmax".into(), "2".into())]));
        assert_eq!(container.hosts, ["10.0.0.8 printer", "10.0.0.9 cam"]);
        assert_eq!(container.dns_config.expect("set").search, ["lan"]);
        assert!(container.capability_add.is_empty(), "it is only no longer dropped");
        assert_eq!(container.capability_drop, ["CAP_NET_RAW"]);
        assert_eq!(container.init, Some(true));
    }

    #[test]
    fn a_new_image_forgets_the_platforms_of_the_one_before() {
        let spec = container_after(&["--image", "nginx:1.28"]).expect("valid");
        assert!(spec.task_template.placement.expect("set").platforms.is_empty());
        let container = spec.task_template.container_spec.expect("set");
        assert_eq!(
            (container.image.as_str(), container.args),
            ("nginx:1.28", vec!["httpd".into()])
        );
        let error = container_after(&["--image", "/opt/x"]).expect_err("a path");
        assert!(error.contains("--runtime process /opt/x"), "{error}");
        let error = container_after(&["--program", "/opt/x"]).expect_err("an image");
        assert!(error.contains("web runs an image, not a program"), "{error}");
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        let line = "--env-rm Z --label-rm z --container-label-rm z --constraint-rm node.id==x \
                    --publish-rm 80 --mount-rm /old --host-rm z --sysctl-rm z --ulimit-rm core \
                    --dns-rm 10.0.0.1 --group-rm z";
        let unchanged = after(&[]).expect("valid");
        let spec = after(&line.split_whitespace().collect::<Vec<_>>()).expect("no error");
        assert_eq!(spec.task_template.container_spec, unchanged.task_template.container_spec);
        assert_eq!((spec.labels, spec.task_template.placement), {
            (unchanged.labels, unchanged.task_template.placement)
        });
    }

    #[test]
    fn a_variable_that_is_given_wins_over_one_of_a_file() {
        let file = std::env::temp_dir().join(format!("edgectl-env-{}", std::process::id()));
        std::fs::write(&file, "A=7\nC=7\n").expect("written");
        let path = file.display().to_string();
        let spec = after(&["--env-file", &path, "--env-add", "C=8", "--env-rm", "B"]);
        std::fs::remove_file(&file).expect("it was there");
        let container = spec.expect("valid").task_template.container_spec.expect("set");
        assert_eq!(container.env, ["A=7", "C=8"]);
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_sent() {
        for (line, words) in [
            (["--publish-add", "8080:80"], "mode=host,published=8080,target=80"),
            (["--network-rm", "back"], "there is no network \"back\""),
            (["--args", "a 'b"], "a quote is not closed"),
            (["--env-file", "/nowhere"], "cannot read the environment file /nowhere"),
        ] {
            let error = after(&line).expect_err("refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
