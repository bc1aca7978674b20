//! Images as objects of Docker's API.
//!
//! The id is that of the configuration, as in Docker without containerd's store. `Edge` holds
//! values for which Docker has no field.

use crdt_state::spec::Labels;
use runtime::image::{HistoryRow, ImageRow, Images, Origin};
use serde_json::{Value, json};

use node_docker::Timestamp;

/// No description of an image is longer.
const CONFIG_BYTES_MAX: u64 = runtime::image::manifest::DOCUMENT_BYTES_MAX;

/// An entry of `GET /images/json`.
pub fn summary(row: &ImageRow) -> Value {
    json!({
        "Id": row.image.config_digest,
        "ParentId": "",
        "RepoTags": tags(row),
        "RepoDigests": digests(row),
        "Created": seconds(row.image.config.created().as_deref()),
        "Size": row.size_bytes,
        "SharedSize": -1,
        "VirtualSize": row.size_bytes,
        "Labels": labels(row),
        "Containers": -1,
        "Edge": edge(row),
    })
}

/// The answer to `GET /images/{name}/json`.
pub fn inspected(images: &Images, row: &ImageRow) -> Value {
    let image = &row.image;
    let config = raw_config(images, row);
    let platform = &image.platform;
    let layers: Vec<_> = image.layers.iter().map(|layer| &layer.diff_id).collect();
    json!({
        "Id": image.config_digest,
        "RepoTags": tags(row),
        "RepoDigests": digests(row),
        "Parent": "",
        "Comment": config["comment"].as_str().unwrap_or_default(),
        "Created": image.config.created().clone().unwrap_or_else(|| Timestamp(0).to_rfc3339()),
        "DockerVersion": config["docker_version"].as_str().unwrap_or_default(),
        "Author": image.config.author().clone().unwrap_or_default(),
        "Config": config.get("config").cloned().unwrap_or_else(|| json!({})),
        "Architecture": platform.arch,
        "Variant": platform.variant,
        "Os": platform.os,
        "Size": row.size_bytes,
        "VirtualSize": row.size_bytes,
        "GraphDriver": {"Name": "overlay2", "Data": {}},
        "RootFS": {"Type": "layers", "Layers": layers},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Edge": edge(row),
    })
}

/// The answer to `GET /images/{name}/history`.
pub fn history(row: &ImageRow, lines: &[HistoryRow]) -> Value {
    let line = |(number, line): (usize, &HistoryRow)| {
        let is_top = number == 0;
        json!({
            "Id": if is_top { row.image.config_digest.as_str() } else { "<missing>" },
            "Created": seconds(line.created.as_deref()),
            "CreatedBy": line.created_by,
            "Tags": if is_top { Some(tags(row)) } else { None },
            "Size": line.size_bytes,
            "Comment": line.comment,
        })
    };
    lines.iter().enumerate().map(line).collect()
}

/// The labels that an image gives its containers.
pub fn labels(row: &ImageRow) -> Labels {
    let labels = row.image.config.labels_of_config();
    labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn edge(row: &ImageRow) -> Value {
    json!({
        "Digest": row.digest,
        "Platform": runtime::image::platform::word(&row.image.platform),
        "Origin": match row.origin {
            Origin::Loaded => "loaded",
            Origin::Pulled => "pulled",
            Origin::ForTask => "brought",
        },
    })
}

fn tags(row: &ImageRow) -> Vec<String> {
    row.names.iter().map(ToString::to_string).collect()
}

fn digests(row: &ImageRow) -> Vec<String> {
    let mut digests: Vec<_> =
        row.names.iter().map(|name| format!("{}@{}", name.familiar_name(), row.digest)).collect();
    digests.dedup();
    digests
}

/// Seconds since 1970; 0 if the image has no time.
fn seconds(created: Option<&str>) -> u64 {
    created.and_then(|text| Timestamp::from_rfc3339(text).ok()).map_or(0, |at| at.0 / 1000)
}

/// The raw configuration, with the fields that only Docker knows.
fn raw_config(images: &Images, row: &ImageRow) -> Value {
    use std::io::Read;
    let file = images.read_blob(&row.image.config_digest);
    let read = file.and_then(|file| serde_json::from_reader(file.take(CONFIG_BYTES_MAX)).ok());
    read.unwrap_or_else(|| json!({}))
}
