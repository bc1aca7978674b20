//! `edgectl image ls`

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::size::size;
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown, age, ago, now};
use node_docker::Timestamp;

const FILTERS: [&str; 3] = ["dangling", "label", "reference"];

/// Flags and operands.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: reference, label, dangling
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show only those of this name: `app`, `app:1`, 'team/*'
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageRow {
    repository: String,
    tag: String,
    digest: String,
    #[serde(rename = "ID")]
    id: String,
    created_since: String,
    created_at: String,
    size: String,
    shared_size: &'static str,
    unique_size: &'static str,
    containers: String,
    origin: String,
    platform: String,
}

impl Row for ImageRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
        ("Origin", "ORIGIN"),
        ("Platform", "PLATFORM"),
    ];
    const TABLE: &'static str =
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.Origin}}";
    const NONE: &'static str = "no images on this node; edgectl image load, or image pull";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, newest first; an image with two names appears twice.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    Filters::parse(&args.filter, &FILTERS)?;
    let mut filters = serde_json::Map::new();
    let typed = args.filter.iter().filter_map(|filter| filter.split_once('='));
    for (key, value) in typed.chain(args.name.as_deref().map(|name| ("reference", name))) {
        let values = filters.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        values.as_array_mut().expect("only lists are put there").push(value.into());
    }
    let path = format!("/images/json?filters={}", escape(&Value::Object(filters).to_string()));
    let images: Vec<Value> = client.get(&path).await?;
    let shown = args.listing.shown();
    let rows: Vec<ImageRow> = images.iter().flat_map(|image| rows(image, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn rows(image: &Value, shown: Shown) -> Vec<ImageRow> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&image["Id"]);
    let row = |name: Option<&str>| {
        let (repository, tag) =
            name.and_then(|name| name.rsplit_once(':')).unwrap_or(("<none>", "<none>"));
        ImageRow {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: text(&image["Edge"]["Digest"]),
            id: match shown {
                Shown::Short => output::id(id.strip_prefix("sha256:").unwrap_or(&id), shown),
                Shown::Whole => id.clone(),
            },
            created_since: since(image["Created"].as_u64().unwrap_or(0)),
            created_at: at(image["Created"].as_u64().unwrap_or(0)),
            // Docker's word for a figure that a plain listing does not compute.
            shared_size: "N/A",
            unique_size: "N/A",
            containers: match image["Containers"].as_i64() {
                Some(number @ 0..) => number.to_string(),
                _ => "N/A".to_owned(),
            },
            size: size(image["Size"].as_u64().unwrap_or(0)),
            origin: text(&image["Edge"]["Origin"]),
            platform: text(&image["Edge"]["Platform"]),
        }
    };
    let names: Vec<&str> =
        image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return vec![row(None)];
    }
    names.into_iter().map(|name| row(Some(name))).collect()
}

/// The time, or nothing if the image has none.
fn at(seconds: u64) -> String {
    match seconds {
        0 => String::new(),
        seconds => Timestamp(seconds.saturating_mul(1000)).to_rfc3339(),
    }
}

/// How long ago, or nothing if the image has no time.
pub fn since(seconds: u64) -> String {
    let then = Timestamp(seconds.saturating_mul(1000));
    age(now(), then).map(ago).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_has_a_line_for_each_of_its_names() {
        let image = json!({
            "Id": format!("sha256:{}", "ab".repeat(32)), "Size": 7_800_000, "Created": 0,
            "RepoTags": ["app:1", "localhost:5000/app:2"],
            "Edge": {"Digest": "sha256:12", "Origin": "loaded", "Platform": "linux/amd64"},
        });
        let rows = rows(&image, Shown::Short);
        assert_eq!(
            Listing::default().lines(&rows).expect("a table"),
            [
                "REPOSITORY           TAG   IMAGE ID       CREATED   SIZE    ORIGIN",
                "app                  1     abababababab             7.8MB   loaded",
                "localhost:5000/app   2     abababababab             7.8MB   loaded",
            ]
        );
    }

    #[test]
    fn an_image_without_a_name_says_so() {
        let image = json!({"Id": "sha256:0123456789abcdef", "RepoTags": []});
        let rows = rows(&image, Shown::Whole);
        assert_eq!((rows[0].containers.as_str(), rows[0].created_at.as_str()), ("N/A", ""));
        assert_eq!((rows[0].repository.as_str(), rows[0].tag.as_str()), ("<none>", "<none>"));
        assert_eq!(rows[0].quiet(), "sha256:0123456789abcdef");
    }
}
