//! `edgectl apply DIR`: a folder of templates of Compose files, with the values of one site.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use node_stack::interpolate::Variables;
use node_stack::template::Templates;
use node_stack::{File, Input, Node, Stack, Value, merge_values, parse_values};

use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{print, say};
use crate::stack::{DeployFlags, Disk, deploy, failure, shell_variables};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A YAML file with the values of the site; of several each is on top of those before it
    #[arg(long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Print what the templates become, and ask no agent
    #[arg(long)]
    render: bool,
    #[command(flatten)]
    flags: DeployFlags,
    /// The folder: each `.yaml` or `.yml` is a stack, named by its `name` or its file; those whose name
    /// begins with `_` are only included
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Renders all stacks, and deploys them if none of them has a fault.
pub async fn run(args: ApplyArgs, client: Result<Client, Failure>) -> Result<Exit, Failure> {
    let rendered = render(&args)?;
    if args.render {
        for file in &rendered {
            print(format!("# {}\n{}", file.path.display(), file.text.trim_end()))?;
        }
        return Ok(Exit::Done);
    }
    let variables = shell_variables();
    let stacks = rendered.iter().map(|file| read(file, &variables));
    let stacks = stacks.collect::<Result<Vec<Stack>, Failure>>()?;
    different_names(&stacks)?;
    let mut client = client?;
    let mut each = Each::new();
    for stack in &stacks {
        say(format!("Stack {}", stack.name));
        let deployed = deploy(&mut client, stack, &args.flags).await;
        let all = |exit| match exit {
            Exit::Done => Ok(()),
            other => {
                Err(Failure::new(format!("not all of {} was applied", stack.name)).exit(other))
            }
        };
        each.take(deployed.and_then(all));
    }
    Ok(each.exit())
}

/// No two of them are one stack.
pub fn different_names(stacks: &[Stack]) -> Result<(), Failure> {
    for (at, stack) in stacks.iter().enumerate() {
        if stacks[..at].iter().any(|other| other.name == stack.name) {
            return Err(Failure::new(format!("two files are the stack {}", stack.name))
                .hint("another `name` in one of them"));
        }
    }
    Ok(())
}

/// A stack, named by its `name` or by its file.
pub fn read(file: &File, variables: &Variables) -> Result<Stack, Failure> {
    let named = Input {
        name: None,
        files: vec![file.clone()],
        variables,
        profiles: Vec::new(),
        beside: &Disk,
    };
    let (tree, _) = node_stack::merged(&named).map_err(failure)?;
    if matches!(&tree.value, Value::Map(map) if map.get("name").is_some()) {
        return node_stack::read(&named).map_err(failure);
    }
    let stem = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    node_stack::read(&Input { name: stem, ..named }).map_err(failure)
}

fn render(args: &ApplyArgs) -> Result<Vec<File>, Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(format!("cannot read {}", path.display())).why(error.to_string())
    };
    let mut values: Option<Node> = None;
    for path in &args.values {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        let more = parse_values(&path.display().to_string(), &text).map_err(one)?;
        values = Some(match values {
            None => more,
            Some(before) => merge_values(before, more),
        });
    }
    let values = match values {
        Some(values) => values,
        None => parse_values("values", "").map_err(one)?,
    };
    let mut sources = BTreeMap::new();
    let entries =
        std::fs::read_dir(&args.folder).map_err(|error| unreadable(&args.folder, error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
        let Some(name) = path.file_name().filter(|_| is_yaml && path.is_file()) else { continue };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        sources.insert(name.to_string_lossy().into_owned(), text);
    }
    let names: Vec<String> =
        sources.keys().filter(|name| !name.starts_with('_')).cloned().collect();
    if names.is_empty() {
        return Err(Failure::new(format!("there is no stack in {}", args.folder.display()))
            .why("a stack is a file whose name ends with .yaml or .yml")
            .hint("edgectl stack deploy -c FILE STACK, for one file"));
    }
    let templates = Templates::new(sources).map_err(|told| in_folder(&args.folder, &told))?;
    let file = |name: &String| {
        let text = templates.render(name, &values);
        let text = text.map_err(|told| in_folder(&args.folder, &told))?;
        Ok(File { path: args.folder.join(name), text })
    };
    names.iter().map(file).collect()
}

fn one(problem: node_stack::Problem) -> Failure {
    failure(vec![problem])
}

fn in_folder(folder: &Path, told: &str) -> Failure {
    Failure::new(format!("{}", folder.join(told).display())).hint("--values FILE, with every value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Result<String, Failure> {
        let file = File { path: PathBuf::from("fleet/site.yaml"), text: text.to_owned() };
        read(&file, &Variables::new()).map(|stack| stack.name)
    }

    #[test]
    fn a_stack_is_named_by_its_file_only_where_it_says_no_name() {
        let services = "services: {a: {image: b}}";
        assert_eq!(named(services), Ok("site".to_owned()));
        assert_eq!(named(&format!("name: shop\n{services}")), Ok("shop".to_owned()));
        let refused = named(&format!("name: A Shop\n{services}")).expect_err("it is no name");
        assert!(refused.to_string().contains("is no name of a stack"), "{refused}");
    }
}
