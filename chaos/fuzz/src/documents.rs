//! What people and clients write: requests of the API, Compose files, the configuration, tokens.

use std::path::{Path, PathBuf};

use node_agent::config::{Config, FleetKey};
use node_agent::join_token::TokenText;
use node_docker::state;
use node_stack::interpolate::Variables;
use node_stack::{File, Files, Input};

/// A service as Docker's clients ask for it, and what it is as an edit.
pub fn api(bytes: &[u8]) {
    let accepted = state::read_spec(bytes).and_then(|spec| state::accept(spec, None));
    if let Ok(spec) = accepted {
        // What is taken can be shown again.
        let _ = state::show(&spec);
    }
}

/// No file lies beside the Compose file.
struct Nothing;

impl Files for Nothing {
    fn read(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        Err(format!("{} is not there", path.display()))
    }
}

/// A Compose file.
pub fn compose(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = File { path: PathBuf::from("stack.yaml"), text: text.to_owned() };
    let input = Input {
        name: Some("stack".to_owned()),
        files: vec![file],
        variables: &Variables::default(),
        profiles: vec!["*".to_owned()],
        beside: &Nothing,
    };
    if let Ok(stack) = node_stack::read(&input) {
        let _ = stack.version();
    }
}

/// `edge.toml`.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Config::from_sources(Some((Path::new("edge.toml"), text)), |_| None, &[]);
}

/// A join token, and the key of a fleet.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<TokenText>() {
        assert_eq!(token.reveal().parse::<TokenText>().ok(), Some(token));
    }
    let _ = FleetKey::from_token(text);
}
