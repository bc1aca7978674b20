//! `edgectl version`: the versions of this command and of the agent.

use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{Template, print};
use node_docker::API_VERSION;
use node_docker::system::VersionInfo;

/// Flags.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// `json`, or a Go template: '{{.Client.Version}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    client: ClientVersion,
    server: Option<VersionInfo>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClientVersion {
    version: &'static str,
    api_version: &'static str,
    os: &'static str,
    arch: &'static str,
}

/// Prints both versions. Without an agent it prints its own, and fails.
pub async fn run(args: VersionArgs, client: Result<Client, Failure>) -> Result<Exit, Failure> {
    let server = match client {
        Ok(mut client) => client.get::<VersionInfo>("/version").await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let (server, failure) = match server {
        Ok(server) => (Some(server), None),
        Err(failure) => (None, Some(failure)),
    };
    let client = ClientVersion {
        version: env!("CARGO_PKG_VERSION"),
        api_version: API_VERSION,
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    };
    let versions = Versions { client, server };
    match args.format.as_deref() {
        None => print(text(&versions))?,
        Some("json") => print(serde_json::to_string(&versions).expect("plain JSON"))?,
        Some(format) => print(Template::lenient(format)?.render(&versions)?)?,
    }
    failure.map_or(Ok(Exit::Done), Err)
}

fn text(versions: &Versions) -> String {
    let ClientVersion { version, api_version, os, arch } = &versions.client;
    let client = format!(
        "Client:\n Version:      {version}\n API version:  {api_version}\n OS/Arch:      {os}/{arch}"
    );
    match &versions.server {
        None => client,
        Some(server) => format!(
            "{client}\n\nAgent:\n Version:      {}\n API version:  {} (minimum version {})\n OS/Arch:      {}/{}",
            server.version, server.api_version, server.min_api_version, server.os, server.arch
        ),
    }
}
