//! `edgectl service update`: reads the spec, changes what the flags say, and sends it back with the
//! version that was read.

use std::collections::BTreeMap;

use clap::Args;

use super::flags::SharedFlags;
use super::spec;
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print, say};
use crate::cli::progress;
use crate::cli::value::{self, HostPort, Pair};
use crate::cli::{resolve, words};
use crate::docker::service::{EndpointSpec, Service, ServiceSpec, ServiceUpdated};

/// Flags and operand.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Service, by name or id
    service: String,
    /// New program [default: as it is]
    #[arg(long, value_name = "PROGRAM")]
    program: Option<String>,
    /// New arguments, as one text: 'httpd -f -p 8081'
    #[arg(long, value_name = "ARGS", value_parser = words::split, allow_hyphen_values = true)]
    args: Option<words::Words>,
    /// Add or change a variable
    #[arg(long, value_name = "NAME=VALUE", value_parser = value::env)]
    env_add: Vec<Pair>,
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
    /// Add a constraint
    #[arg(long, value_name = "CONSTRAINT", value_parser = value::constraint, help_heading = "Placement")]
    constraint_add: Vec<String>,
    /// Remove a constraint
    #[arg(long, value_name = "CONSTRAINT", help_heading = "Placement")]
    constraint_rm: Vec<String>,
    /// Add a port
    #[arg(long, value_name = "PORT", value_parser = value::host_port)]
    publish_add: Vec<HostPort>,
    /// Remove a port, by the number that the task uses
    #[arg(long, value_name = "TARGET")]
    publish_rm: Vec<u16>,
    /// Replace all tasks even if nothing changed
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    shared: SharedFlags,
}

/// Changes it, and waits.
pub async fn run(args: UpdateArgs, mut client: Client) -> Result<Exit, Failure> {
    let service = resolve::service(&mut client, &args.service).await?;
    let spec = changed(&args, &service.spec)?;
    send(&mut client, &service, &spec).await?;
    print(&args.service)?;
    progress::wait(&mut client, &service.id, &args.shared.wait).await
}

/// Sends a spec in place of the one that was read.
pub async fn send(client: &mut Client, read: &Service, spec: &ServiceSpec) -> Result<(), Failure> {
    let path = format!("/services/{}/update?version={}", read.id, read.version.index);
    let updated: ServiceUpdated = client.post(&path, spec).await?;
    for warning in &updated.warnings {
        say(format!("warning: {warning}"));
    }
    Ok(())
}

fn changed(args: &UpdateArgs, before: &ServiceSpec) -> Result<ServiceSpec, Failure> {
    let mut spec = before.clone();
    spec::apply(&args.shared, &mut spec)?;
    change_map(&mut spec.labels, &args.label_add, &args.label_rm, "label")?;
    let container = spec.task_template.container_spec.get_or_insert_default();
    if let Some(program) = &args.program {
        let program_args = container.args.clone();
        spec::set_program(container, std::slice::from_ref(program));
        container.args = program_args;
    }
    if let Some(words::Words(words)) = &args.args {
        container.args = words.clone();
    }
    change_map(
        &mut container.labels,
        &args.container_label_add,
        &args.container_label_rm,
        "container label",
    )?;
    change_env(&mut container.env, args)?;
    change_constraints(&mut spec, args)?;
    change_ports(&mut spec, args)?;
    if args.force {
        spec.task_template.force_update += 1;
    }
    Ok(spec)
}

fn nothing_to_remove<'a>(
    what: &str,
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    Failure::new(format!("there is no {what} {typed:?} to remove")).why(match known.as_slice() {
        [] => format!("the service has no {what}"),
        known => format!("the service has {}", known.join(", ")),
    })
}

fn change_map(
    map: &mut BTreeMap<String, String>,
    add: &[Pair],
    remove: &[String],
    what: &str,
) -> Result<(), Failure> {
    for name in remove {
        if map.remove(name).is_none() {
            return Err(nothing_to_remove(what, name, map.keys().map(String::as_str)));
        }
    }
    map.extend(add.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
    Ok(())
}

fn change_env(env: &mut Vec<String>, args: &UpdateArgs) -> Result<(), Failure> {
    let name_of = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    for name in &args.env_rm {
        let before = env.len();
        env.retain(|variable| name_of(variable) != *name);
        if env.len() == before {
            let known: Vec<String> = env.iter().map(|variable| name_of(variable)).collect();
            return Err(nothing_to_remove("variable", name, known.iter().map(String::as_str)));
        }
    }
    for pair in &args.env_add {
        match env.iter_mut().find(|variable| name_of(variable) == pair.name) {
            Some(variable) => *variable = pair.to_string(),
            None => env.push(pair.to_string()),
        }
    }
    Ok(())
}

fn change_constraints(spec: &mut ServiceSpec, args: &UpdateArgs) -> Result<(), Failure> {
    if args.constraint_add.is_empty() && args.constraint_rm.is_empty() {
        return Ok(());
    }
    let constraints = &mut spec.task_template.placement.get_or_insert_default().constraints;
    let blanks_out = |text: &str| text.split_whitespace().collect::<String>();
    for removed in &args.constraint_rm {
        let before = constraints.len();
        constraints.retain(|held| blanks_out(held) != blanks_out(removed));
        if constraints.len() == before {
            let known = constraints.iter().map(String::as_str);
            return Err(nothing_to_remove("constraint", removed, known));
        }
    }
    for added in &args.constraint_add {
        if !constraints.contains(added) {
            constraints.push(added.clone());
        }
    }
    Ok(())
}

fn change_ports(spec: &mut ServiceSpec, args: &UpdateArgs) -> Result<(), Failure> {
    if args.publish_add.is_empty() && args.publish_rm.is_empty() {
        return Ok(());
    }
    let ports = &mut spec.endpoint_spec.get_or_insert_with(EndpointSpec::default).ports;
    for target in &args.publish_rm {
        let before = ports.len();
        ports.retain(|port| port.target_port != *target);
        if ports.len() == before {
            let known: Vec<String> =
                ports.iter().map(|port| port.target_port.to_string()).collect();
            let known = known.iter().map(String::as_str);
            return Err(nothing_to_remove("port", &target.to_string(), known));
        }
    }
    ports.extend(args.publish_add.iter().map(spec::port));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse_for_tests;
    use crate::docker::task_spec::ContainerSpec;

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
        changed(&args, &before()).map_err(|failure| failure.to_string())
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

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        for (line, words) in [
            (
                ["--env-rm", "Z"],
                "there is no variable \"Z\" to remove\n  why: the service has A, B",
            ),
            (["--label-rm", "z"], "there is no label \"z\" to remove\n  why: the service has tier"),
            (["--constraint-rm", "node.id==x"], "the service has node.labels.zone == a"),
            (["--publish-rm", "80"], "why: the service has no port"),
            (["--args", "a 'b"], "a quote is not closed"),
        ] {
            let error = after(&line).expect_err("refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
