//! `edgectl swarm client-cert`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use node_docker::system::{CertificateAsk, ClientCertificate};

use super::me;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::print;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct CertificateArgs {
    /// The folder for `ca.pem`, `cert.pem` and `key.pem`; files that are there are kept
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Whose it is; for people
    #[arg(value_name = "NAME", default_value = "client")]
    name: String,
}

/// Writes the files, the key readable for nobody else, and says how they are used.
pub async fn create(client: &mut Client, args: &CertificateArgs) -> Result<(), Failure> {
    let ask = CertificateAsk { name: args.name.clone() };
    let made: ClientCertificate = client.post("/edge/client-certificates", &ask).await?;
    let me = me(client).await?;
    let shown = args.output.display();
    std::fs::create_dir_all(&args.output)
        .map_err(|error| Failure::new(format!("cannot make {shown}")).why(error.to_string()))?;
    let files =
        [("key.pem", &made.key), ("cert.pem", &made.certificate), ("ca.pem", &made.authority)];
    for (name, text) in files {
        let path = args.output.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
            Failure::new(format!("cannot write {}", path.display()))
                .why(error.to_string())
                .hint("--output DIR, a folder of its own for each client")
        })?;
    }
    let port = made.api.rsplit_once(':').map_or("2376", |(_, port)| port);
    print(format!(
        "Whoever has {shown}/key.pem has all of this fleet. On the other machine:\n\n    \
         export DOCKER_CERT_PATH={shown} DOCKER_TLS_VERIFY=1 DOCKER_HOST=tcp://{0}:{port}\n    \
         edgectl -H tcp://{0}:{port} node ls",
        me.status.addr
    ))?;
    if made.api.is_empty() {
        return Err(Failure::new("this node does not serve the API over TLS")
            .hint("api = \"0.0.0.0:2376\" in edge.toml, and a restart of the agent"));
    }
    Ok(())
}
