//! What is accepted, what is refused, and that nothing is lost on the way there and back.

use crdt_state::spec::{Runtime, Scale, UpdateOrder};

use super::{BadSpec, accept, show};
use crate::docker::read;
use crate::docker::service::ServiceSpec;
use crate::docker::tests::CREATE;

fn spec(json: &str) -> ServiceSpec {
    read(json.as_bytes()).expect("a spec")
}

fn refusal(json: &str) -> String {
    accept(spec(json), None).expect_err("refused").to_string()
}

#[test]
fn a_process_named_in_place_of_an_image_is_accepted_whole() {
    let accepted = accept(spec(CREATE), None).expect("accepted");
    let template = &accepted.template;
    assert_eq!(template.runtime, Runtime::Process);
    assert_eq!(template.command, ["/usr/bin/busybox"]);
    assert_eq!(template.args, ["httpd", "-f"]);
    assert_eq!(template.stop_grace_ms, 10_000);
    assert_eq!(template.limits.nano_cpus, 500_000_000);
    assert_eq!(template.restart.max_attempts, None, "0 is without limit");
    assert_eq!(accepted.scale, Scale::Replicated { replicas: 3 });
    assert_eq!(accepted.placement.constraints, ["node.labels.zone==a"]);
    assert_eq!(accepted.placement.preferences, ["spread=node.labels.rack"]);
    assert_eq!(accepted.placement.max_per_node, 2);
    assert_eq!(accepted.update_policy.order, UpdateOrder::StartFirst);
    assert_eq!(accepted.endpoint.ports[0].published, 8080);
    assert!(accepted.endpoint.ports[0].host);
}

#[test]
fn what_is_shown_is_accepted_as_the_same() {
    let accepted = accept(spec(CREATE), None).expect("accepted");
    let sent = serde_json::to_vec(&show(&accepted)).expect("JSON");
    let again: ServiceSpec = read(&sent).expect("a spec");
    assert_eq!(accept(again, None), Ok(accepted));
}

#[test]
fn the_priority_that_dockers_client_loses_is_kept() {
    let mut current = accept(spec(CREATE), None).expect("accepted");
    current.placement.priority = 7;
    let mut sent = show(&current);
    sent.task_template.placement.as_mut().expect("a placement").priority = None;
    assert_eq!(accept(sent, Some(&current)), Ok(current));
}

#[test]
fn a_program_may_come_as_command_or_as_first_argument() {
    for (command, args) in
        [(r#"["sleep"]"#, r#"["9"]"#), ("[]", r#"["sleep", "9"]"#), (r#"["sleep", "9"]"#, "null")]
    {
        let json = format!(
            r#"{{"TaskTemplate": {{"Runtime": "process",
                "ContainerSpec": {{"Command": {command}, "Args": {args}}}}}}}"#
        );
        let template = accept(spec(&json), None).expect("accepted").template;
        let all: Vec<_> = template.command.iter().chain(&template.args).collect();
        assert_eq!(all, ["sleep", "9"]);
        assert!(!template.command.is_empty());
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let container = |fields: &str| {
        format!(r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "process:/a", {fields}}}}}}}"#)
    };
    for (json, names) in [
        (container(r#""Mounts": [{"Target": "/a"}]"#), "TaskTemplate.ContainerSpec.Mounts"),
        (container(r#""Secrets": [{}, {"SecretID": "a"}]"#), "TaskTemplate.ContainerSpec.Secrets"),
        (container(r#""Init": true"#), "TaskTemplate.ContainerSpec.Init"),
        (r#"{"Networks": [{"Target": "a"}]}"#.to_owned(), "Networks"),
        (r#"{"Mode": {"ReplicatedJob": {}}}"#.to_owned(), "ReplicatedJob"),
        (r#"{"UpdateConfig": {"FailureAction": "rollback"}}"#.to_owned(), "rollback"),
        (r#"{"EndpointSpec": {"Ports": [{"TargetPort": 80}]}}"#.to_owned(), "ingress"),
    ] {
        let message = refusal(&json);
        assert!(message.contains(names) && message.contains("not supported yet"), "{message}");
    }
}

#[test]
fn a_container_is_refused_with_the_way_to_run_a_program() {
    let json = r#"{"TaskTemplate": {"ContainerSpec": {"Image": "nginx"}}}"#;
    assert_eq!(accept(spec(json), None), Err(BadSpec::Container("nginx".to_owned())));
    assert!(refusal(json).contains("process:/path/to/program"));
    assert_eq!(accept(spec("{}"), None), Err(BadSpec::NoProgram));
}

#[test]
fn a_word_that_docker_does_not_know_is_refused_with_the_words_it_knows() {
    let json = r#"{"TaskTemplate": {"RestartPolicy": {"Condition": "always"},
        "ContainerSpec": {"Image": "process:/a"}}}"#;
    assert!(refusal(json).contains("none, on-failure, any"), "{}", refusal(json));
}

#[test]
fn more_replicas_than_a_slot_number_holds_are_refused() {
    let json = r#"{"Mode": {"Replicated": {"Replicas": 5000000000}}}"#;
    assert!(refusal(json).contains("5000000000 is more than"));
}
