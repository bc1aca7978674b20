//! `edgectl ca client`

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use node_docker::client::{ClientAsk, ClientCertificate};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::swarm::me;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The folder for `ca.pem`, `cert.pem` and `key.pem`; files that are there are kept
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What it allows: operator, everything; reader, to look at what is no secret
    #[arg(long, value_name = "ROLE", default_value = "operator", value_parser = ["operator", "reader"])]
    role: String,
    /// Whose it is, unique among clients: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    name: String,
}

/// Writes the files, the key readable for nobody else, and says how they are used.
pub async fn run(args: &ClientArgs, client: &mut Client) -> Result<Exit, Failure> {
    let shown = args.output.display();
    // Nothing is made that could not be kept.
    let files = Files::create(&args.output)?;
    let ask = ClientAsk { name: args.name.clone(), role: args.role.clone() };
    let made: ClientCertificate = match client.post("/edge/clients", &ask).await {
        Ok(made) => made,
        Err(refused) => {
            files.remove();
            return Err(refused.into());
        }
    };
    files.write(&made)?;
    let me = me(client).await?;
    let port = made.api.rsplit_once(':').map_or("2376", |(_, port)| port);
    let has = if args.role == "reader" { "can look at" } else { "has" };
    print(format!(
        "Whoever has {shown}/key.pem {has} all of this fleet. On the other machine:\n\n    \
         export DOCKER_CERT_PATH={shown} DOCKER_TLS_VERIFY=1 DOCKER_HOST=tcp://{0}:{port}\n    \
         edgectl -H tcp://{0}:{port} node ls\n\n\
         To take it back: edgectl ca revoke {1}",
        me.status.addr, args.name
    ))?;
    if made.api.is_empty() {
        return Err(Failure::new("this node does not serve the API over TLS")
            .hint("api = \"0.0.0.0:2376\" in edge.toml, and a restart of the agent"));
    }
    Ok(Exit::Done)
}

/// The three files, of which none was there before.
struct Files([(PathBuf, File); 3]);

impl Files {
    fn create(folder: &Path) -> Result<Files, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::new(format!("cannot make {}", folder.display())).why(error.to_string())
        })?;
        let mut made = Vec::new();
        for name in ["key.pem", "cert.pem", "ca.pem"] {
            let path = folder.join(name);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => made.push((path, file)),
                Err(error) => {
                    made.iter().for_each(|(path, _)| drop(std::fs::remove_file(path)));
                    return Err(Failure::new(format!("cannot write {}", path.display()))
                        .why(error.to_string())
                        .hint("--output DIR, a folder of its own for each client"));
                }
            }
        }
        Ok(Files(made.try_into().expect("three files")))
    }

    fn write(mut self, made: &ClientCertificate) -> Result<(), Failure> {
        let texts = [&made.key, &made.certificate, &made.authority];
        for ((path, file), text) in self.0.iter_mut().zip(texts) {
            file.write_all(text.as_bytes()).map_err(|error| {
                Failure::new(format!("cannot write {}", path.display())).why(error.to_string())
            })?;
        }
        Ok(())
    }

    /// Nothing was made.
    fn remove(self) {
        self.0.iter().for_each(|(path, _)| drop(std::fs::remove_file(path)));
    }
}
