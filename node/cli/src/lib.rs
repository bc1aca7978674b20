//! The command line of `edgectl`: Docker's spelling where Docker has the feature, and an HTTP
//! client of the agent. It holds no state and decides nothing: it shows what an agent answers.
//!
//! Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 tasks cannot be placed,
//! 3 degraded, 4 island (these two from `status`), 5 removed from the fleet (from `agent`).

mod apply;
mod ca;
mod client;
mod completion;
mod config;
mod conflicts;
mod cp;
mod cut_off;
mod dns;
mod doctor;
mod dry_run;
mod each;
mod events;
mod exec;
mod failure;
mod filter;
mod foreign;
mod help;
mod image;
mod migrate;
mod network;
mod node;
mod output;
mod plan;
mod progress;
mod ps;
mod resolve;
mod secret;
mod service;
mod stack;
mod stats;
mod status;
mod swarm;
mod task;
mod terminal;
mod top;
mod value;
mod version;
mod volume;
mod why;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use client::Client;

pub use failure::{Exit, Failure};
pub use node::RekeyArgs;

/// The default socket of an agent.
const SOCKET_DEFAULT: &str = "/run/edgectl/edgectl.sock";

/// Runs services on a fleet of machines without a leader: any node takes any command
#[derive(Debug, Parser)]
#[command(
    name = "edgectl",
    version,
    infer_subcommands = false,
    help_template = examples!(
        "edgectl lab up -n 3                                  a fleet on this machine, to try",
        "edgectl service create --name web --replicas 3 nginx:1.27",
        "edgectl service ps web                               who runs it",
        "edgectl status                                       the fleet on one screen",
        "edgectl why web                                      why it runs there, or not at all",
    ),
    after_help = "Exit codes: 0 done, 1 failed, 2 tasks cannot be placed, 3 degraded, 4 island, 5 removed from the fleet.",
)]
struct Cli<O: LocalCommands> {
    /// Socket of the agent, or tcp://HOST[:PORT] of a node [default: /run/edgectl/edgectl.sock]
    #[arg(
        short = 'H',
        long,
        global = true,
        env = "EDGECTL_SOCKET",
        value_name = "PATH",
        hide_env_values = true
    )]
    socket: Option<String>,
    #[command(subcommand)]
    command: Command<O>,
}

#[derive(Debug, Subcommand)]
enum Command<O: LocalCommands> {
    /// Services: what shall run
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Stacks: services that are deployed together
    #[command(subcommand)]
    Stack(stack::StackCommand),
    /// Deploy a folder of templates of Compose files, with the values of a site
    #[command(help_template = examples!(
        "edgectl apply --values north.yaml fleet/",
        "edgectl apply --values all.yaml --values north.yaml --dry-run fleet/",
        "edgectl apply --values north.yaml --render fleet/",
    ))]
    Apply(apply::ApplyArgs),
    /// What runs elsewhere, as Compose files for this fleet
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Nodes: what can run it
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Run a command in a running task, on any node
    #[command(
        after_help = "Ends as the command ends: 126 if it cannot be run, 127 if there is none, 125 if its node was lost.",
        help_template = examples!(
            "edgectl exec -it web.2 sh                a shell in a task",
            "edgectl exec web.2 cat /etc/hostname",
            "edgectl exec -i db psql < dump.sql       a service with one task needs no number",
        )
    )]
    Exec(exec::ExecArgs),
    /// Show what a task or a service prints, from any node
    #[command(help_template = examples!(
        "edgectl logs -f web.2",
        "edgectl logs --since 10m web",
    ))]
    Logs(service::LogsArgs),
    /// Volumes: data that outlives tasks
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// Networks: what services reach one another by
    #[command(subcommand, visible_alias = "net")]
    Network(network::NetworkCommand),
    /// Configs: files that services get
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Secrets: files that services get, and that only some nodes can read
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Copy files into a running task, or out of it
    #[command(help_template = examples!(
        "edgectl cp web.2:/etc/nginx ./nginx       out of a task",
        "edgectl cp ./site web.2:/srv              into a task",
        "edgectl cp web.2:/var/log - | tar tv      as a tar archive",
    ))]
    Cp(cp::CpArgs),
    /// Show the processes of a running task
    #[command(help_template = examples!("edgectl top web.2", "edgectl top web.2 -o pid,user,args"))]
    Top(top::TopArgs),
    /// List the containers of a node
    #[command(help_template = examples!(
        "edgectl ps                   those that run on the node that is asked",
        "edgectl ps -a --node pi-3    all of pi-3",
        "edgectl ps -q -f is-task=false  those that were made by hand: docker run",
    ))]
    Ps(ps::PsArgs),
    /// Show what running tasks use
    #[command(help_template = examples!("edgectl stats", "edgectl stats --no-stream web.1 web.2"))]
    Stats(stats::StatsArgs),
    /// Images: what containers are made of
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// The fleet: joining it, leaving it, its settings
    #[command(subcommand)]
    Swarm(swarm::SwarmCommand),
    /// Certificates for clients on other machines
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// The fleet on one screen, as this node sees it
    #[command(after_help = "Exit codes: 0 healthy, 3 degraded, 4 this node hears no other.")]
    Status(status::StatusArgs),
    /// Why a task or service runs where it does, or not at all; what is known of a node
    #[command(help_template = examples!(
        "edgectl why web        a service: what does not run, and what would change that",
        "edgectl why web.2      a task: why it is where it is",
        "edgectl why pi-3       a node",
    ))]
    Why(why::WhyArgs),
    /// What a name leads to, and why
    #[command(
        help_template = examples!(
            "edgectl dns web            what containers of this node are answered, and which tasks that is",
            "edgectl dns --all web      also what the name servers of every node answer",
            "edgectl dns tasks.web.back on one network",
        ),
        after_help = "Exit codes: 0 the name has an address, 1 it has none, or nodes answer differently (--all).",
    )]
    Dns(dns::DnsArgs),
    /// Who should run what
    Plan(plan::PlanArgs),
    /// Edits that lost against a concurrent one
    #[command(help_template = examples!(
        "edgectl conflicts",
        "edgectl conflicts pick 1      what lost under number 1 becomes the winner",
    ))]
    Conflicts(conflicts::ConflictsArgs),
    /// What happens, as it happens
    Events(events::EventsArgs),
    /// Check this node and its agent
    Doctor(doctor::DoctorArgs),
    /// Versions of this command and of the agent
    Version(version::VersionArgs),
    /// Print a script that completes commands in a shell
    #[command(help_template = examples!(
        "source <(edgectl completion bash)",
        "edgectl completion fish > ~/.config/fish/completions/edgectl.fish",
    ))]
    Completion(completion::CompletionArgs),
    /// What the program adds
    #[command(flatten)]
    Own(O),
}

/// Commands that the program adds to those of the client: they use no agent.
pub trait LocalCommands: Subcommand {
    /// Runs the command.
    fn run(self) -> Result<Exit, Failure>;

    /// Runs `edgectl node rekey`.
    fn rekey(args: &RekeyArgs) -> Result<Exit, Failure>;
}

/// Runs the command that was typed, and renders its failure.
pub fn run<O: LocalCommands>() -> ExitCode {
    let cli = match Cli::<O>::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            let words: Vec<String> = words.collect();
            if let Some(failure) = foreign::explained(&error, &Cli::<O>::command(), &words) {
                output::complain(&failure);
                return failure.code().into();
            }
            // An error means that there is no terminal to print to.
            let _ = error.print();
            return if error.use_stderr() { Exit::Failed.into() } else { Exit::Done.into() };
        }
    };
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::complain(&failure);
            failure.code().into()
        }
    }
}

fn dispatch<O: LocalCommands>(cli: Cli<O>) -> Result<Exit, Failure> {
    let socket = socket_path(cli.socket.as_deref())?;
    match cli.command {
        Command::Completion(args) => completion::run(&args, &mut Cli::<O>::command()),
        Command::Own(command) => command.run(),
        Command::Node(node::NodeCommand::Rekey(args)) => O::rekey(&args),
        Command::Migrate(command) => runtime()?.block_on(migrate::run(command)),
        command => runtime()?.block_on(ask_agent(command, &socket)),
    }
}

/// One thread is enough for one connection, and starts at once.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start").why(error.to_string()))
}

async fn ask_agent<O: LocalCommands>(command: Command<O>, socket: &Path) -> Result<Exit, Failure> {
    let client = Client::connect(socket).await.map_err(Failure::from);
    match command {
        Command::Service(command) => service::run(command, client?).await,
        Command::Stack(command) => stack::run(command, client).await,
        Command::Apply(args) => apply::run(args, client).await,
        Command::Node(command) => node::run(command, client?).await,
        Command::Exec(args) => exec::run(args, client?).await,
        Command::Cp(args) => cp::run(args, client?).await,
        Command::Top(args) => top::run(args, client?).await,
        Command::Ps(args) => ps::run(args, client?).await,
        Command::Stats(args) => stats::run(args, client?).await,
        Command::Logs(args) => service::run_logs(args, client?).await,
        Command::Volume(command) => volume::run(command, client?).await,
        Command::Network(command) => network::run(command, client?).await,
        Command::Config(command) => config::run(command, client?).await,
        Command::Secret(command) => secret::run(command, client?).await,
        Command::Image(command) => image::run(command, client?).await,
        Command::Swarm(command) => swarm::run(command, client?).await,
        Command::Ca(command) => ca::run(command, client?).await,
        Command::Status(args) => status::run(args, client?).await,
        Command::Why(args) => why::run(args, client?).await,
        Command::Dns(args) => dns::run(args, client?).await,
        Command::Plan(args) => plan::run(args, client?).await,
        Command::Conflicts(args) => conflicts::run(args, client?).await,
        Command::Events(args) => events::run(args, client?).await,
        Command::Version(args) => version::run(args, client).await,
        Command::Doctor(args) => doctor::run(args, socket, client).await,
        Command::Completion(_) | Command::Own(_) | Command::Migrate(_) => {
            unreachable!("these need no agent, and were run before")
        }
    }
}

fn socket_path(typed: Option<&str>) -> Result<PathBuf, Failure> {
    let typed = typed.filter(|typed| !typed.is_empty()).unwrap_or(SOCKET_DEFAULT);
    let path = typed.strip_prefix("unix://").unwrap_or(typed);
    if path.contains("://") && !path.starts_with("tcp://") {
        return Err(Failure::new(format!("{typed} is neither a unix socket nor a node"))
            .hint("--socket PATH, or --socket tcp://HOST[:PORT]")
            .hint("ssh NODE edgectl …"));
    }
    Ok(PathBuf::from(path))
}

/// The command line without the program's own commands.
#[cfg(test)]
type ClientCli = Cli<Nothing>;

/// A program that adds no command.
#[cfg(test)]
#[derive(Debug, Subcommand)]
enum Nothing {}

#[cfg(test)]
impl LocalCommands for Nothing {
    fn run(self) -> Result<Exit, Failure> {
        match self {}
    }

    fn rekey(_: &RekeyArgs) -> Result<Exit, Failure> {
        Ok(Exit::Failed)
    }
}

/// Parses a line, and returns the arguments of its last command.
#[cfg(test)]
fn parse_for_tests<T: clap::FromArgMatches + clap::Args>(line: &[&str]) -> Result<T, String> {
    let words = std::iter::once("edgectl").chain(line.iter().copied());
    let matches =
        ClientCli::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
    let mut last = &matches;
    while let Some((_, inner)) = last.subcommand() {
        last = inner;
    }
    T::from_arg_matches(last).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        ClientCli::command().debug_assert();
    }

    #[test]
    fn the_socket_may_be_written_as_docker_does() {
        assert_eq!(socket_path(None), Ok(PathBuf::from(SOCKET_DEFAULT)));
        assert_eq!(socket_path(Some("unix:///run/x")), Ok(PathBuf::from("/run/x")));
        assert_eq!(socket_path(Some("/run/x")), Ok(PathBuf::from("/run/x")));
        assert_eq!(socket_path(Some("tcp://pi-1:2376")), Ok(PathBuf::from("tcp://pi-1:2376")));
        assert!(socket_path(Some("ssh://pi-1")).is_err());
    }

    #[test]
    fn the_socket_may_stand_before_or_after_the_command() {
        for line in [["edgectl", "-H", "/s", "status"], ["edgectl", "status", "--socket", "/s"]] {
            let cli = ClientCli::try_parse_from(line).expect("valid");
            assert_eq!(cli.socket.as_deref(), Some("/s"));
        }
    }

    #[test]
    fn a_mistyped_word_is_answered_with_the_nearest() {
        for (line, near) in [
            (&["edgectl", "sevice", "ls"][..], "service"),
            (&["edgectl", "service", "crate"], "create"),
            (&["edgectl", "service", "ls", "--fromat", "json"], "--format"),
        ] {
            let error = ClientCli::try_parse_from(line).expect_err("mistyped").to_string();
            assert!(error.contains("tip:") && error.contains(near), "{error}");
        }
    }

    #[test]
    fn help_begins_with_examples() {
        for line in [&["edgectl", "--help"][..], &["edgectl", "service", "create", "--help"]] {
            let help = ClientCli::try_parse_from(line).expect_err("help").to_string();
            let examples = help.find("Examples:").expect("there are examples");
            assert!(examples < help.find("Usage:").expect("there is a usage"), "{help}");
        }
    }
}
