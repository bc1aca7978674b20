//! Whose user and group ids a container has, and what does not go with ids of its own.

use crdt_state::spec::{Container, Extension, MountSource, UserNamespace};

use super::super::BadSpec;
use super::bad_value;
use crate::container_spec::{ContainerSpec, USERNS_AUTO};

const FIELD: &str = "Edge.UsernsMode";

/// Capabilities that the kernel does not ask the user namespace of the node for. With any other one a
/// process could do less than its operator expects. Low ports are open to everybody in a network of its own.
const KEPT: [&str; 18] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
];

/// Reads it. `kept` is what the service has now, as Docker's clients lose this field.
pub(super) fn accept(
    sent: &ContainerSpec,
    kept: Option<&Extension>,
) -> Result<Option<UserNamespace>, BadSpec> {
    match sent.edge.as_ref().map(|edge| edge.userns_mode.as_str()) {
        None => Ok(kept.and_then(|kept| kept.users)),
        Some("" | "host") => Ok(None),
        Some(USERNS_AUTO) => Ok(Some(UserNamespace::Own)),
        Some(other) => {
            let hint = "there are auto (ids of its own) and host (those of the node); write \
                        --userns auto or --userns host";
            Err(bad_value(FIELD, other, hint))
        }
    }
}

/// Refuses what a container could not have, or what would be another thing than it is without.
pub(super) fn check(users: Option<UserNamespace>, container: &Container) -> Result<(), BadSpec> {
    if users.is_none() {
        return Ok(());
    }
    let refuse = |hint: &str| Err(bad_value(FIELD, USERNS_AUTO, hint));
    if container.privileged {
        return refuse(
            "a privileged container has the rights of its node, and one with ids of its own has \
             none of them; leave out --privileged, or write --userns host",
        );
    }
    if !container.devices.is_empty() {
        return refuse(
            "the devices of a node belong to its users, and the container's are others; leave \
             out --device, or write --userns host",
        );
    }
    if let Some(name) = container.cap_add.iter().find(|name| !KEPT.contains(&name.as_str())) {
        return refuse(&format!(
            "the capability {name} means less with ids of its own than without; leave out --cap-add \
             {name}, or write --userns host"
        ));
    }
    let follows = |source: &MountSource| {
        let MountSource::Bind { propagation, .. } = source else { return false };
        !matches!(propagation.as_str(), "" | "private" | "rprivate")
    };
    match container.mounts.iter().find(|mount| follows(&mount.source)) {
        None => Ok(()),
        Some(mount) => refuse(&format!(
            "what is mounted later below {} would have the ids of the node; leave out \
             bind-propagation, or write --userns host",
            mount.target
        )),
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::spec::UserNamespace;
    use serde_json::{Value, json};

    use crate::state::{BadSpec, accept, read_spec, show};

    fn sent(container: Value) -> Result<node_core::ServiceSpec, BadSpec> {
        let mut container = container;
        container["Image"] = json!("a");
        let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": container}});
        accept(read_spec(spec.to_string().as_bytes())?, None)
    }

    #[test]
    fn ids_of_its_own_are_shown_and_survive_clients_that_do_not_know_them() {
        let kept = sent(json!({"Edge": {"UsernsMode": "auto"}})).expect("there is such a mode");
        assert_eq!(kept.template.extension.users, Some(UserNamespace::Own));
        let shown = show(&kept);
        assert_eq!(accept(shown.clone(), None), Ok(kept.clone()));
        let mut other = shown.clone();
        other.task_template.container_spec.as_mut().expect("some").edge = None;
        assert_eq!(accept(other, Some(&kept)), Ok(kept.clone()));
        let mut host = shown;
        let edge = host.task_template.container_spec.as_mut().expect("some").edge.as_mut();
        edge.expect("it is shown").userns_mode = "host".to_owned();
        let host = accept(host, Some(&kept)).expect("there is such a mode");
        assert_eq!(host.template.extension.users, None);
    }

    #[test]
    fn what_does_not_go_with_ids_of_its_own_is_refused_with_what_to_type() {
        for (container, words) in [
            (json!({"Edge": {"UsernsMode": "nomap"}}), "--userns auto or --userns host"),
            (json!({"Edge": {"UsernsMode": "auto", "Privileged": true}}), "leave out --privileged"),
            (
                json!({"Edge": {"UsernsMode": "auto", "Devices": [{"PathOnHost": "/dev/a",
                    "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"}]}}),
                "leave out --device",
            ),
            (
                json!({"Edge": {"UsernsMode": "auto"}, "CapabilityAdd": ["CAP_NET_ADMIN"]}),
                "leave out --cap-add CAP_NET_ADMIN",
            ),
            (
                json!({"Edge": {"UsernsMode": "auto"}, "CapabilityAdd": ["ALL"]}),
                "leave out --cap-add ALL",
            ),
            (
                json!({"Edge": {"UsernsMode": "auto"}, "Mounts": [{"Type": "bind",
                    "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rslave"}}]}),
                "leave out bind-propagation",
            ),
        ] {
            let said = sent(container.clone()).expect_err(words).to_string();
            assert!(said.contains(words), "{said}");
        }
        let capability = json!(["CAP_SYS_PTRACE"]);
        let fits = json!({"Edge": {"UsernsMode": "auto"}, "CapabilityAdd": capability});
        assert!(sent(fits).is_ok(), "it means something in its own namespace");
    }
}
