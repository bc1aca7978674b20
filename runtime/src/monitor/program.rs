//! Prepares what a run executes: everything is looked up and checked before the fork, so that the
//! child only has to make system calls.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crdt_state::spec::Template;
use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};

use crate::cgroup::Cgroup;
use crate::refusal::StartError;
use crate::user::{self, Identity};

/// Where programs are searched unless the template sets PATH. The agent's own environment is not
/// handed on: it may hold the fleet's key.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variable that every process of a run inherits. It identifies the processes of a run whose
/// monitor was killed, where there are no cgroups.
pub const RUN_VARIABLE: &str = "EDGECTL_RUN";

/// The circumstances that the program of a run and its health command share.
#[derive(Debug)]
pub struct Setting {
    /// `NAME=value`.
    pub env: Vec<CString>,
    /// Working directory.
    pub dir: CString,
    /// The user to become; `None`: the agent's own.
    pub identity: Option<Identity>,
    /// The cgroup to start in.
    pub home: Option<CgroupFolder>,
    /// Files of other cgroups to write `0` into.
    pub entrances: Vec<CString>,
    path: String,
}

/// A cgroup of version 2.
#[derive(Debug)]
pub struct CgroupFolder {
    /// Its folder, for a kernel that lets a process start in it.
    pub dir: File,
    /// Its file to write `0` into, for a kernel that does not.
    pub entrance: CString,
}

/// A program with its arguments.
#[derive(Debug)]
pub struct Program {
    /// What is executed.
    pub path: CString,
    /// Its arguments, its name first.
    pub argv: Vec<CString>,
}

impl Setting {
    /// Reads a template. `run` is the name of the run's folder.
    pub fn of(template: &Template, run: &str) -> Result<Setting, StartError> {
        let identity = match &template.user {
            Some(text) => user::look_up(text)?,
            None => user::of_uid(geteuid().as_raw()),
        };
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: &str| {
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_owned(), value.to_owned()));
        };
        set("PATH", PATH_DEFAULT);
        set("HOME", &identity.home);
        if let Some(name) = &identity.name {
            set("USER", name);
            set("LOGNAME", name);
        }
        if let Some(hostname) = &template.hostname {
            set("HOSTNAME", hostname);
        }
        for entry in &template.env {
            let pair = entry.split_once('=').filter(|(name, _)| !name.is_empty());
            let (name, value) = pair.ok_or_else(|| StartError::BadVariable(entry.clone()))?;
            set(name, value);
        }
        set(RUN_VARIABLE, run);
        let path = variables.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.clone()).unwrap_or_default();
        let env = variables
            .iter()
            .map(|(name, value)| c_string("environment", &format!("{name}={value}")));
        Ok(Setting {
            env: env.collect::<Result<_, _>>()?,
            dir: c_string("working directory", template.dir.as_deref().unwrap_or("/"))?,
            identity: switch(template.user.as_deref(), identity)?,
            home: None,
            entrances: Vec::new(),
            path,
        })
    }

    /// Sets the cgroups to join.
    pub fn join(&mut self, cgroup: &Cgroup) {
        let entrance = |dir: &Path, file: &str| {
            let path = dir.join(file).into_os_string().into_vec();
            CString::new(path).expect("mount points hold no NUL")
        };
        let home = |dir: &Path| {
            Some(CgroupFolder {
                dir: File::open(dir).ok()?,
                entrance: entrance(dir, "cgroup.procs"),
            })
        };
        self.home = cgroup.unified().and_then(home);
        // A process that moves its only thread does not wait for a grace period of the kernel.
        self.entrances = cgroup.separate().map(|dir| entrance(dir, "tasks")).collect();
    }

    /// Finds a program: by its path, or by its name in the PATH of the run.
    pub fn find(&self, words: &[String]) -> Result<Program, StartError> {
        let name = words.first().filter(|name| !name.is_empty()).ok_or(StartError::NoCommand)?;
        let path = if name.contains('/') { name.clone() } else { self.search(name)? };
        let argv = words.iter().map(|word| c_string("command", word));
        Ok(Program { path: c_string("command", &path)?, argv: argv.collect::<Result<_, _>>()? })
    }

    fn search(&self, name: &str) -> Result<String, StartError> {
        let mut not_executable = None;
        for folder in self.path.split(':').filter(|folder| folder.starts_with('/')) {
            let candidate = Path::new(folder).join(name);
            let Ok(found) = fs::metadata(&candidate) else { continue };
            let candidate = candidate.display().to_string();
            if found.is_file() && found.permissions().mode() & 0o111 != 0 {
                return Ok(candidate);
            }
            not_executable = not_executable.or(found.is_file().then_some(candidate));
        }
        Err(match not_executable {
            Some(program) => StartError::Exec { program, errno: Errno::EACCES },
            None => StartError::NotInPath { program: name.to_owned(), path: self.path.clone() },
        })
    }
}

/// The command line of a template: `command`, then `args`, as Docker's `Command` and `Args`.
pub fn words(template: &Template) -> Vec<String> {
    template.command.iter().chain(&template.args).cloned().collect()
}

fn switch(asked: Option<&str>, identity: Identity) -> Result<Option<Identity>, StartError> {
    let Some(asked) = asked else { return Ok(None) };
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    if uid == 0 {
        return Ok(Some(identity));
    }
    if identity.uid == uid && identity.gid == gid {
        return Ok(None);
    }
    Err(StartError::MayNotSwitchUser { uid, user: asked.to_owned() })
}

fn c_string(what: &'static str, text: &str) -> Result<CString, StartError> {
    CString::new(text).map_err(|_| StartError::NulByte { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(template: Template) -> Result<Setting, StartError> {
        Setting::of(&template, "a.1")
    }

    #[test]
    fn the_environment_is_the_templates_and_not_the_agents() {
        let env = vec!["A=1".to_owned(), "A=2=3".to_owned(), "EDGECTL_RUN=forged".to_owned()];
        let setting = setting(Template { env, ..Template::default() }).expect("it is well formed");
        let env: Vec<&str> = setting.env.iter().map(|e| e.to_str().expect("text")).collect();
        assert!(env.contains(&"A=2=3") && !env.contains(&"A=1"), "{env:?}");
        assert!(env.contains(&"EDGECTL_RUN=a.1"), "{env:?}");
        assert!(!env.iter().any(|entry| entry.starts_with("CARGO")), "{env:?}");
    }

    #[test]
    fn what_is_malformed_is_refused_for_good() {
        for env in ["NOVALUE", "=x", "A=\0"] {
            let template = Template { env: vec![env.to_owned()], ..Template::default() };
            assert!(setting(template).expect_err(env).is_permanent());
        }
    }

    #[test]
    fn a_program_is_found_in_the_path_of_the_run() {
        let setting = setting(Template::default()).expect("it is well formed");
        let find = |word: &str| setting.find(&[word.to_owned()]);
        assert!(find("sh").expect("there is a shell").path.to_bytes().ends_with(b"/sh"));
        assert!(matches!(find("no-such-program"), Err(StartError::NotInPath { .. })));
        assert!(matches!(find(""), Err(StartError::NoCommand)));
        assert!(matches!(setting.find(&[]), Err(StartError::NoCommand)));
    }
}
