//! What of a service is not in its file, and why.

use node_stack::write::Cut;

use super::Report;
use crate::migrate::compare::Lost;
use crate::migrate::stacks::configs::references;
use crate::migrate::stacks::{Moved, Written, is_file};
use crate::migrate::swarm::{Swarm, text};

/// What can be said of a field that has no key, by a part of its path.
const ADVICE: [(&str, &str); 9] = [
    (
        "DriverConfig",
        "a volume is a folder of its node here: mount it on the nodes (/etc/fstab), and bind that path",
    ),
    ("Privileges", "services have no such setting here"),
    ("Ulimits", "there is no such limit here"),
    ("Healthcheck", "write the `test` too: the image's own cannot be changed in parts"),
    (
        "ContainerSpec.Env",
        "a variable without a value takes one of the image away: give it an empty value instead",
    ),
    ("NamedResourceSpec", "reserve a number of them: `discrete_resource_spec`"),
    ("PluginSpec", "there are no plugins here: run what it does as a service"),
    ("NetworkAttachmentSpec", "it is of `docker run`; run it as a service"),
    ("Isolation", "it is a setting of Windows"),
];

/// What differs, service by service.
pub fn write(report: &mut Report, stacks: &[Written]) {
    report.heading("What differs");
    let mut is_all = true;
    for stack in stacks {
        for one in stack.services.iter().filter(|one| !one.lost.is_empty() || one.refusal.is_some())
        {
            is_all = false;
            report.subheading(&format!("{} (`{}`)", one.here, stack.file()));
            one.lost.iter().for_each(|lost| report.item(&told(stack, one, lost)));
            if let Some(refusal) = &one.refusal {
                report.item(&format!("an agent would refuse it as it is in the file: {refusal}"));
            }
        }
        for cut in stack.other_cuts() {
            is_all = false;
            report.item(&format!(
                "`{}` is not in the file: {} It was `{}`",
                cut.path,
                sentence(&cut.why),
                cut.value
            ));
        }
    }
    if is_all {
        report.line("Nothing: all that the services ask for is in the files.");
    }
    report.line(
        "What the files say was read back and compared with the swarm field by field; a field that is \
         not named here is the same.",
    );
}

fn told(stack: &Written, one: &Moved, lost: &Lost) -> String {
    let Lost { path, value } = lost;
    let why = match stack.cut(one, value) {
        Some(cut) => sentence(&cut.why),
        None => {
            let advice = ADVICE.iter().find(|(part, _)| path.contains(part));
            let advice = advice.map(|(_, advice)| *advice);
            sentence(advice.unwrap_or("a Compose file of this fleet has no key for it"))
        }
    };
    format!("`{path}` = `{}` is not in the file: {why}", value.replace('\n', " "))
}

/// Without the keys in front, which are named already.
fn sentence(why: &str) -> String {
    let bare = match why.split_once("`: ") {
        Some((path, rest)) if path.starts_with('`') => rest,
        _ => why,
    };
    format!("{}.", bare.trim_end_matches('.'))
}

/// Configs and secrets.
pub fn files(report: &mut Report, swarm: &Swarm, stacks: &[Written]) {
    let used = |kind: &str, name: &str| {
        let mut rows = Vec::new();
        for one in stacks.iter().flat_map(|stack| &stack.services) {
            for reference in references(&one.original, kind) {
                let mode = reference.pointer("/File/Mode").and_then(serde_json::Value::as_u64);
                rows.push(vec![
                    text(reference, name).to_owned(),
                    one.here.clone(),
                    text(reference, "/File/Name").to_owned(),
                    format!("{}:{}", text(reference, "/File/UID"), text(reference, "/File/GID")),
                    format!("0{:o}", mode.unwrap_or_default()),
                ]);
            }
        }
        rows.sort();
        rows
    };
    let cuts = |kind: &str| -> Vec<String> {
        let cuts = stacks.iter().flat_map(|stack| &stack.fitted.cuts).filter(|cut| is_file(cut));
        let cuts = cuts.filter(|cut| cut.path.split('.').any(|word| word == kind));
        let told = |cut: &Cut| format!("`{}` is not in the file: {}", cut.path, sentence(&cut.why));
        cuts.map(told).collect()
    };
    let head = ["name", "service", "file in the task", "owner", "mode"].map(str::to_owned).to_vec();
    for (kind, name, what) in [
        (
            "Secrets",
            "/SecretName",
            "What is in a secret cannot be read from Docker. Take it from where it came from, and \
             give it to these services anew.",
        ),
        ("Configs", "/ConfigName", "The data of these is below `configs/`."),
    ] {
        let rows = used(kind, name);
        let names: Vec<&str> = match kind {
            "Secrets" => swarm.secrets.iter().map(|one| text(one, "/Spec/Name")).collect(),
            _ => swarm.configs.iter().map(|one| one.spec.name.as_str()).collect(),
        };
        let is_used = |name: &str| rows.iter().any(|row| row[0] == name);
        let unused: Vec<String> = names
            .into_iter()
            .filter(|name| !is_used(name))
            .map(|name| format!("`{name}`"))
            .collect();
        if rows.is_empty() && unused.is_empty() {
            continue;
        }
        report.heading(kind);
        report.line(what);
        cuts(&kind.to_lowercase()).iter().for_each(|cut| report.item(cut));
        if !rows.is_empty() {
            report.table(&[vec![head.clone()], rows].concat());
        }
        if !unused.is_empty() {
            report.line(&format!("No service uses {}: left out.", unused.join(", ")));
        }
    }
}

/// Images whose digest was left out.
pub fn images(report: &mut Report, stacks: &[Written]) {
    let mut rows = Vec::new();
    for one in stacks.iter().flat_map(|stack| &stack.services) {
        let written = text(&one.asked, "/TaskTemplate/ContainerSpec/Image");
        if written != one.image {
            rows.push(vec![one.here.clone(), format!("`{written}`"), format!("`{}`", one.image)]);
        }
    }
    if rows.is_empty() {
        return;
    }
    report.heading("Images");
    report.line(
        "The files name images by their tag, so that the registry is asked for the digest when they \
         are deployed. This is what the swarm runs; `--keep-digest` writes that.",
    );
    let head = ["service", "in the file", "in the swarm"].map(str::to_owned).to_vec();
    report.table(&[vec![head], rows].concat());
}
