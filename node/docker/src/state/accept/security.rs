//! A container's profiles: of system calls, and of AppArmor.

use crdt_state::limits::EXTENSION_BYTES_MAX;
use crdt_state::spec::Extension;

use super::super::BadSpec;
use super::{bad_value, bad_word};
use crate::container_spec::ContainerSpec;

const MODE: &str = "Privileges.Seccomp.Mode";
const PROFILE: &str = "Privileges.Seccomp.Profile";
const APPARMOR: &str = "Edge.AppArmorProfile";

/// Room for what else a template may have beyond its frozen fields.
const ROOM_BYTES: usize = 2_000;

/// The profile of system calls, without blanks, if it is one of its own, and that of AppArmor. `kept`
/// is what the service has now, as Docker's clients lose the second one.
pub(super) fn accept(
    sent: &ContainerSpec,
    kept: Option<&Extension>,
) -> Result<(Option<String>, Option<String>), BadSpec> {
    let privileges = sent.privileges.clone().unwrap_or_default();
    let mode = privileges.app_armor.unwrap_or_default().mode;
    if !["", "default", "disabled"].contains(&mode.as_str()) {
        return Err(bad_word("Privileges.AppArmor.Mode", &mode, "default, disabled"));
    }
    let apparmor = match &sent.edge {
        _ if mode == "disabled" => None,
        Some(edge) => Some(edge.app_armor_profile.clone()).filter(|name| !name.is_empty()),
        None => kept.and_then(|kept| kept.apparmor.clone()),
    };
    if let Some(name) = apparmor.as_deref().filter(|name| name.contains(char::is_control)) {
        return Err(bad_value(APPARMOR, name, "it is the name of a profile that the nodes loaded"));
    }
    let seccomp = privileges.seccomp.unwrap_or_default();
    let refuse_mode = |hint| bad_value(MODE, &seccomp.mode, hint);
    match (seccomp.mode == "custom", seccomp.profile.is_empty()) {
        (false, true) => return Ok((None, apparmor)),
        (true, false) => {}
        (true, true) => {
            let hint = "it is a profile of one's own, and there is none; give it, or write default";
            return Err(refuse_mode(hint));
        }
        (false, false) => {
            let hint =
                "a profile goes with the mode `custom`; write that, or leave the profile out";
            return Err(refuse_mode(hint));
        }
    }
    let text = String::from_utf8(seccomp.profile.0);
    let text = text.map_err(|_| bad_value(PROFILE, "", "it is no text (UTF-8)"))?;
    let refuse = |hint: String| bad_value(PROFILE, &beginning(&text), &hint);
    let profile = runtime::seccomp_check::check(&text).map_err(|bad| refuse(bad.to_string()))?;
    let most = EXTENSION_BYTES_MAX - ROOM_BYTES;
    if profile.len() > most {
        return Err(refuse(format!(
            "it has {} bytes without blanks, and at most {most} fit; leave out rules for other \
             processors and comments",
            profile.len()
        )));
    }
    Ok((Some(profile), apparmor))
}

/// Enough of a profile to know it again.
fn beginning(text: &str) -> String {
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::state::{BadSpec, accept, read_spec, show};

    fn sent(container: Value) -> Result<node_core::ServiceSpec, BadSpec> {
        let mut container = container;
        container["Image"] = json!("a");
        let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": container}});
        accept(read_spec(spec.to_string().as_bytes())?, None)
    }

    #[test]
    fn a_profile_is_shown_as_it_is_kept_without_blanks() {
        // {"defaultAction": "SCMP_ACT_ALLOW"}
        let profile = "eyJkZWZhdWx0QWN0aW9uIjogIlNDTVBfQUNUX0FMTE9XIn0=";
        let seccomp = json!({"Seccomp": {"Mode": "custom", "Profile": profile}});
        let edge = json!({"AppArmorProfile": "shop"});
        let kept = sent(json!({"Privileges": seccomp, "Edge": edge})).expect("it is one");
        let extension = &kept.template.extension;
        assert_eq!(extension.seccomp.as_deref(), Some(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#));
        let shown = show(&kept);
        assert_eq!(accept(shown.clone(), None), Ok(kept.clone()));
        // A client that does not know our own fields leaves that of AppArmor as it is.
        let mut other = shown;
        other.task_template.container_spec.as_mut().expect("some").edge = None;
        let other = accept(other, Some(&kept)).expect("it is one");
        assert_eq!(other.template.extension.apparmor.as_deref(), Some("shop"));
    }

    #[test]
    fn a_profile_that_is_none_is_refused_with_what_to_write() {
        for (privileges, words) in [
            (json!({"AppArmor": {"Mode": "x"}}), "Privileges.AppArmor.Mode"),
            (json!({"Seccomp": {"Mode": "x"}}), "default, unconfined, custom"),
            (json!({"Seccomp": {"Mode": "custom"}}), "give it, or write default"),
            (json!({"Seccomp": {"Profile": "e30="}}), "write that, or leave the profile out"),
            (json!({"Seccomp": {"Mode": "custom", "Profile": "e30="}}), "missing field"),
            (json!({"Seccomp": {"Mode": "custom", "Profile": "/w=="}}), "no text"),
        ] {
            let said = sent(json!({"Privileges": privileges})).expect_err(words).to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
