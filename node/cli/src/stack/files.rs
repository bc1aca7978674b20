//! The files of a stack as they are named on the command line, and what stands beside them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use node_stack::interpolate::Variables;
use node_stack::{File, Files, Input, Problem, env_file};

use crate::failure::Failure;
use crate::output::count;

/// The names that are looked for where none is given.
const NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Which files, and what is put into them.
#[derive(Debug, Args)]
pub struct FileFlags {
    /// A Compose file, or `-`; of several each is on top of those before it [default: compose.yaml,
    /// compose.yml, docker-compose.yaml or docker-compose.yml]
    #[arg(short = 'c', long, value_name = "FILE")]
    compose_file: Vec<PathBuf>,
    /// A file of variables for `${NAME}` [default: .env beside the first file, if it is there]; the
    /// variables of this shell count more
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Services of this profile too; `*` for all
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
}

/// The files beside a Compose file, on the disk of whoever deploys.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What the command line names, read.
pub struct Read {
    files: Vec<File>,
    variables: Variables,
    profiles: Vec<String>,
}

impl Read {
    /// Reads the files and the variables.
    pub fn from(flags: &FileFlags) -> Result<Read, Failure> {
        let files: Result<Vec<File>, Failure> =
            paths(flags)?.into_iter().map(|path| file(&path)).collect();
        let files = files?;
        let variables = variables(flags, &files)?;
        Ok(Read { files, variables, profiles: flags.profile.clone() })
    }

    /// What the reading of a stack is given.
    pub fn input(&self, name: Option<String>) -> Input<'_> {
        Input {
            name,
            files: self.files.clone(),
            variables: &self.variables,
            profiles: self.profiles.clone(),
            beside: &Disk,
        }
    }
}

/// Everything that is wrong with the files.
pub fn failure(problems: Vec<Problem>) -> Failure {
    if let [problem] = problems.as_slice() {
        return Failure::new(problem.to_string());
    }
    let failure = Failure::new(format!("{} in the files", count(problems.len(), "fault")));
    problems.iter().fold(failure, |failure, problem| failure.why(problem.to_string()))
}

fn paths(flags: &FileFlags) -> Result<Vec<PathBuf>, Failure> {
    if !flags.compose_file.is_empty() {
        return Ok(flags.compose_file.clone());
    }
    let found = NAMES.iter().map(PathBuf::from).find(|path| path.exists());
    found.map(|path| vec![path]).ok_or_else(|| {
        Failure::new("there is no Compose file here")
            .why(format!("none of {} is in this folder", NAMES.join(", ")))
            .hint("-c FILE")
    })
}

fn file(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(format!("cannot read {}", path.display())).why(error.to_string())
    };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(File { path: PathBuf::from("stdin"), text });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(File { path: path.to_owned(), text })
}

/// The variables of the shell; what is no text is none.
pub fn shell_variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn variables(flags: &FileFlags, files: &[File]) -> Result<Variables, Failure> {
    let shell = shell_variables();
    let folder = files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
    let beside = folder.join(".env");
    let paths = match flags.env_file.as_slice() {
        [] if beside.exists() => vec![beside],
        given => given.to_vec(),
    };
    let mut variables = Variables::new();
    for path in paths {
        let text = Disk.read(&path).map_err(|why| {
            Failure::new("cannot read a file of variables").why(why).hint("--env-file FILE")
        })?;
        let read = env_file::parse(&text, env_file::Form::Quoted, &shell);
        variables.extend(read.map_err(|bad| Failure::new(format!("{}, {bad}", path.display())))?);
    }
    variables.extend(shell);
    Ok(variables)
}
