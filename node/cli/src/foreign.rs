//! Words of Docker's command line that this one does not have: why, and what to type instead.
//! Without this a user would get the nearest spelling of an unrelated word.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use node_docker::swarm_options::NO_EFFECT;

use super::failure::Failure;

/// Subcommands: the parent command, their name, why they do not exist, what to type.
const COMMANDS: &[(&str, &str, &str, &str)] = &[
    ("", "compose", "a Compose file is deployed as a stack", "edgectl stack deploy -c FILE NAME"),
    (
        "network",
        "connect",
        "containers are the tasks of services",
        "edgectl service update --network-add NETWORK SERVICE",
    ),
    (
        "network",
        "disconnect",
        "containers are the tasks of services",
        "edgectl service update --network-rm NETWORK SERVICE",
    ),
    ("", "run", "containers are made by services", "edgectl service create --name NAME IMAGE"),
    ("", "create", "containers are made by services", "edgectl service create --name NAME IMAGE"),
    ("", "container", "containers are the tasks of services", "edgectl service ps NAME"),
    ("", "rm", "a task goes with its service", "edgectl service rm NAME"),
    ("", "stop", "a task goes with its service", "edgectl service scale NAME=0"),
    ("", "start", "a task starts with its service", "edgectl service scale NAME=1"),
    ("", "restart", "a task is replaced by its service", "edgectl service update --force NAME"),
    ("", "kill", "a task is replaced by its service", "edgectl service update --force NAME"),
    (
        "",
        "attach",
        "nobody is attached to a task",
        "edgectl logs -f TASK, or edgectl exec -it TASK sh",
    ),
    ("", "images", "it is a command of image", "edgectl image ls"),
    ("", "rmi", "it is a command of image", "edgectl image rm IMAGE"),
    ("", "pull", "it is a command of image", "edgectl image pull IMAGE"),
    ("", "push", "it is a command of image", "edgectl image push IMAGE"),
    ("", "load", "it is a command of image", "edgectl image load -i FILE"),
    ("", "save", "it is a command of image", "edgectl image save -o FILE IMAGE"),
    ("", "tag", "it is a command of image", "edgectl image tag IMAGE NAME"),
    (
        "",
        "build",
        "images are built elsewhere",
        "edgectl image load -i FILE, of any builder's archive",
    ),
    (
        "",
        "login",
        "agents use the login that Docker's client wrote on their node",
        "docker login, or docker_config in edge.toml",
    ),
    ("", "info", "the fleet has a screen of its own", "edgectl status"),
    (
        "",
        "inspect",
        "it is a command of each kind",
        "edgectl service inspect NAME, or of node, image, network, config, volume",
    ),
    (
        "",
        "system",
        "what uses the disk is removed kind by kind",
        "edgectl image prune, edgectl volume prune, edgectl network prune",
    ),
    ("node", "promote", "every node is equal, there is nothing to promote", "edgectl node ls"),
    (
        "node",
        "demote",
        "every node is equal, there is nothing to demote",
        "edgectl node update --availability drain NODE",
    ),
];

/// Flags of services by their beginning: why they do not exist, what to type.
const FLAGS: &[(&str, &str, &str)] = &[
    ("--credential-spec", "it is for Windows containers", "leave it out"),
    ("--isolation", "it is for Windows containers", "leave it out"),
];

/// The message instead of clap's, if the line has a word of Docker's or a flag that no known flag
/// is near to.
pub fn explained(error: &Error, root: &Command, words: &[String]) -> Option<Failure> {
    let path = path(root, words);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => command(&path, text(ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let flag = text(ContextKind::InvalidArg)?.split('=').next().unwrap_or_default();
            let is_near = error.get(ContextKind::SuggestedArg).is_some();
            if let Some(negative) = negative(flag, words) {
                return Some(negative);
            }
            flag_of(&path, flag).or_else(|| (!is_near).then(|| unknown(&path, flag)))
        }
        _ => None,
    }
}

/// A negative value looks like a flag to the parser.
fn negative(typed: &str, words: &[String]) -> Option<Failure> {
    if !typed.strip_prefix('-')?.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let at = words.iter().position(|word| word.starts_with(typed))?;
    let (flag, value) = (words.get(at.checked_sub(1)?)?, &words[at]);
    let is_flag = flag.starts_with("--");
    is_flag.then(|| {
        Failure::new(format!("{flag} {value}: the value is negative"))
            .why("it is an amount, a number of tasks or a time")
            .hint(format!("{flag} with 0 or more"))
    })
}

/// The commands of a line, as far as they are known: `service create`.
fn path(root: &Command, words: &[String]) -> String {
    let mut path = Vec::new();
    let mut command = root;
    for word in words {
        if let Some(inner) = command.find_subcommand(word) {
            path.push(inner.get_name());
            command = inner;
        }
    }
    path.join(" ")
}

fn command(path: &str, typed: &str) -> Option<Failure> {
    let found = COMMANDS.iter().find(|(under, name, ..)| *under == path && *name == typed);
    let (_, _, why, hint) = found?;
    let typed = [path, typed].join(" ");
    Some(Failure::new(format!("there is no edgectl {}", typed.trim())).why(*why).hint(*hint))
}

fn flag_of(path: &str, flag: &str) -> Option<Failure> {
    if matches!(path, "swarm init" | "swarm join" | "swarm update") {
        let option = NO_EFFECT.iter().find(|option| option.flag == flag)?;
        let refused = Failure::new(format!("{flag} would have no effect"));
        return Some(refused.why(option.why).hint(option.hint));
    }
    if !matches!(path, "service create" | "service update") {
        return None;
    }
    if (path, flag) == ("service update", "--mode") {
        return Some(
            Failure::new("a service keeps its mode")
                .why("tasks of another mode are other tasks")
                .hint("edgectl service rm NAME, then edgectl service create --mode MODE"),
        );
    }
    let (_, why, hint) = FLAGS.iter().find(|(begin, ..)| flag.starts_with(begin))?;
    Some(Failure::new(format!("edgectl {path} has no {flag}")).why(*why).hint(*hint))
}

fn unknown(path: &str, flag: &str) -> Failure {
    let command = ["edgectl", path].join(" ");
    let command = command.trim();
    Failure::new(format!("unexpected argument {flag:?}"))
        .why(format!("{command} has none of this name"))
        .hint(format!("{command} --help"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    use crate::ClientCli as Cli;

    fn said(line: &[&str]) -> String {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let whole = std::iter::once("edgectl").chain(line.iter().copied());
        let error = Cli::try_parse_from(whole).expect_err("refused");
        explained(&error, &Cli::command(), &words).map_or(String::new(), |said| said.to_string())
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        for (line, words) in [
            (&["compose", "up"][..], "edgectl stack deploy -c FILE NAME"),
            (&["network", "connect", "back", "web"], "service update --network-add NETWORK"),
            (&["run", "nginx"], "edgectl service create --name"),
            (&["-H", "/s", "node", "promote", "n1"], "every node is equal"),
            (&["service", "create", "--credential-spec=x", "nginx"], "for Windows containers"),
            (&["service", "create", "--isolation", "hyperv", "nginx"], "for Windows containers"),
            (&["swarm", "init", "--data-path-port", "5789"], "UDP 4789"),
            (&["swarm", "update", "--max-snapshots", "7"], "no Raft log"),
            (&["service", "update", "--mode", "global", "web"], "a service keeps its mode"),
            (
                &["service", "create", "--restart-delay", "-1s", "nginx"],
                "--restart-delay -1s: the value is negative",
            ),
            (&["service", "create", "--limit-cpu", "-1", "nginx"], "--limit-cpu with 0 or more"),
            (&["service", "update", "--limit-pids", "-1", "web"], "--limit-pids with 0 or more"),
        ] {
            let said = said(line);
            assert!(said.contains(words) && said.contains("try:"), "{line:?}: {said}");
        }
    }

    #[test]
    fn a_flag_that_nothing_is_near_to_gets_no_wrong_tip() {
        let said = said(&["service", "create", "--zebra", "nginx"]);
        assert!(said.contains("unexpected argument \"--zebra\""), "{said}");
        assert!(said.ends_with("try: edgectl service create --help"), "{said}");
    }

    #[test]
    fn what_is_merely_mistyped_is_left_to_the_parser() {
        for line in
            [&["sevice", "ls"][..], &["service", "crate"], &["service", "ls", "--fromat", "x"]]
        {
            assert_eq!(said(line), "", "{line:?}");
        }
    }

    #[test]
    fn every_word_in_the_lists_is_one_that_we_do_not_have() {
        let root = Cli::command();
        for (under, name, ..) in COMMANDS {
            let parent = if under.is_empty() { Some(&root) } else { root.find_subcommand(under) };
            let parent = parent.expect("a command");
            assert!(parent.find_subcommand(name).is_none(), "{under} {name}");
        }
        let service = root.find_subcommand("service").expect("a command");
        for command in ["create", "update"].map(|name| service.find_subcommand(name)) {
            for argument in command.expect("a command").get_arguments() {
                let flag = format!("--{}", argument.get_long().unwrap_or_default());
                assert!(!FLAGS.iter().any(|(begin, ..)| flag.starts_with(begin)), "{flag}");
            }
        }
    }
}
