//! Flags that only containers have, where `create` and `update` take the same ones.

use clap::Args;

use crate::value::{self, SecurityOption};
use crate::words;

/// How a container differs from `docker run IMAGE`.
#[derive(Debug, Default, Args)]
pub struct ContainerFlags {
    /// Run this in place of the image's entrypoint: '/bin/sh -c'; '' for the image's own
    #[arg(long, value_name = "COMMAND", value_parser = words::split, allow_hyphen_values = true,
        help_heading = "Container")]
    pub entrypoint: Option<words::Words>,
    /// Host name in the container; {{.Node.Hostname}} and its like are filled in
    #[arg(long, value_name = "NAME", help_heading = "Container")]
    pub hostname: Option<String>,
    /// Run a first process that reaps zombies and forwards signals
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Container")]
    pub init: Option<bool>,
    /// Make the root file system read-only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Container")]
    pub read_only: Option<bool>,
    /// Give it a terminal
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Container")]
    pub tty: Option<bool>,
    /// Keep its standard input open
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Container")]
    pub interactive: Option<bool>,
    /// Give it a capability: NET_ADMIN, or ALL
    #[arg(long, value_name = "CAPABILITY", value_parser = value::capability,
        help_heading = "Security")]
    pub cap_add: Vec<String>,
    /// Take a capability of the default set away: CHOWN, or ALL
    #[arg(long, value_name = "CAPABILITY", value_parser = value::capability,
        help_heading = "Security")]
    pub cap_drop: Vec<String>,
    /// no-new-privileges[=false], seccomp=FILE|unconfined|default or apparmor=PROFILE|unconfined
    #[arg(long, value_name = "OPTION", value_parser = security_option,
        help_heading = "Security")]
    pub security_opt: Vec<SecurityOption>,
    /// Whose users it has: auto (ids of its own) or host (the node's)
    #[arg(long, value_name = "auto|host", value_parser = value::user_namespace,
        help_heading = "Security")]
    pub userns: Option<String>,
    /// Give it every capability and device of the node, and no filter
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", help_heading = "Security")]
    pub privileged: Option<bool>,
    /// Whom the kernel ends when memory runs out: -1000 (never) to 1000 (first)
    #[arg(long, value_name = "SCORE", value_parser = value::oom_score_adj,
        allow_hyphen_values = true, help_heading = "Resources")]
    pub oom_score_adj: Option<i64>,
    /// Do not ask a registry for the digest of the image
    #[arg(long, help_heading = "Image")]
    pub no_resolve_image: bool,
    /// Accepted for Docker's sake: each node pulls with the login in its own config.json
    #[arg(long, help_heading = "Image")]
    pub with_registry_auth: bool,
}

/// Reads an option, and the file of a profile.
fn security_option(text: &str) -> Result<SecurityOption, String> {
    let option = value::security_option(text).map_err(|bad| bad.to_string())?;
    option.with_file(|path| {
        std::fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read the profile {path}: {error}; there are seccomp=FILE, \
                 seccomp=unconfined and seccomp=default"
            )
        })
    })
}
