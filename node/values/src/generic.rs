//! Generic resources that a task reserves: `gpu=2`.

use node_docker::task_spec::DiscreteResource;

/// Why a text is no number of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadResource {
    /// No kind, or no number.
    #[error("`{0}` is not a number of a kind; write gpu=2")]
    NoPair(String),
    /// Zero.
    #[error("{0}: a task reserves at least 1; leave it out, or write {1}=1")]
    Zero(String, String),
    /// One of them by name.
    #[error(
        "{text}: a service asks for a number of them, its tasks find in {variable} which they were given; write {kind}=1"
    )]
    Named {
        /// What was typed.
        text: String,
        /// The kind.
        kind: String,
        /// The variable of a task.
        variable: String,
    },
}

/// Reads `gpu=2`.
pub fn generic_resource(text: &str) -> Result<DiscreteResource, BadResource> {
    let pair = text.split_once('=').map(|(kind, value)| (kind.trim(), value.trim()));
    let is_kind = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let Some((kind, value)) = pair
        .filter(|(kind, value)| !kind.is_empty() && kind.chars().all(is_kind) && !value.is_empty())
    else {
        return Err(BadResource::NoPair(text.to_owned()));
    };
    let kind = kind.to_owned();
    match value.parse::<u64>() {
        Ok(0) => Err(BadResource::Zero(text.to_owned(), kind)),
        Ok(value) => Ok(DiscreteResource { kind, value }),
        Err(_) if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            Err(BadResource::NoPair(text.to_owned()))
        }
        Err(_) => {
            let variable = format!("DOCKER_RESOURCE_{}", kind.to_uppercase());
            Err(BadResource::Named { text: text.to_owned(), kind, variable })
        }
    }
}
