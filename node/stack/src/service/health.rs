//! `healthcheck`.

use node_docker::container_spec::HealthConfig;
use node_docker::service::ServiceSpec;

use super::container::nanos;
use crate::fields::{Fields, as_text};
use crate::tree::Value;

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    let Some(mut health) = fields.fields("healthcheck") else { return };
    let is_disabled = health.flag("disable").unwrap_or_default();
    let mut config = HealthConfig {
        test: test(&mut health),
        interval: health.read("interval", nanos).unwrap_or_default(),
        timeout: health.read("timeout", nanos).unwrap_or_default(),
        start_period: health.read("start_period", nanos).unwrap_or_default(),
        start_interval: health.read("start_interval", nanos).unwrap_or_default(),
        retries: health
            .read("retries", |text| text.parse().map_err(|_| format!("{text:?} is no number")))
            .unwrap_or_default(),
    };
    let place = health.place.clone();
    let path = health.path("test");
    health.finish();
    if is_disabled {
        config = HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() };
    } else if config.test.is_empty() {
        let what =
            format!("`{path}` is missing: the times of an image's own check cannot be changed");
        fields.log().refuse(&place, what);
        return;
    }
    spec.task_template.container_spec.get_or_insert_default().healthcheck = Some(config);
}

/// A text is a command of the shell; a list begins with `CMD`, `CMD-SHELL` or `NONE`.
fn test(health: &mut Fields<'_>) -> Vec<String> {
    let path = health.path("test");
    let Some(node) = health.take("test") else { return Vec::new() };
    let place = node.place.clone();
    let words: Vec<String> = match node.value {
        Value::List(items) => {
            let texts = items.into_iter().filter_map(|item| as_text(item, &path, health.log()));
            texts.map(|text| text.text).collect()
        }
        _ => {
            let text = as_text(node, &path, health.log()).map(|text| text.text);
            return text.map(|text| vec!["CMD-SHELL".to_owned(), text]).unwrap_or_default();
        }
    };
    match words.first().map(String::as_str) {
        Some("CMD" | "CMD-SHELL" | "NONE") => words,
        _ => {
            let what = format!("`{path}` begins with CMD, CMD-SHELL or NONE where it is a list");
            health.log().refuse(&place, what);
            Vec::new()
        }
    }
}
