//! What is executed, as which user and with which variables.

use super::super::tests::Made;
use super::super::{BundleOutput, HostFeatures};
use super::*;
use crdt_state::spec::Container;
use std::fs;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn process_of(made: &Made, template: Template) -> Process {
    let bundle = made.bundle(template).expect("well formed");
    bundle.spec.process().clone().expect("a process")
}

fn args(command: &[&str], args: &[&str]) -> Vec<String> {
    let template = Template { command: words(command), args: words(args), ..Template::default() };
    process_of(&Made::new(), template).args().clone().expect("words")
}

fn refused(made: &Made, template: Template) -> BundleError {
    match made.bundle(template).map(|_: BundleOutput| ()).expect_err("it cannot run") {
        StartError::Bundle(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn an_own_entrypoint_discards_the_images_command_and_own_arguments_replace_it() {
    assert_eq!(args(&[], &[]), ["app", "--serve"]);
    assert_eq!(args(&[], &["--check"]), ["app", "--check"]);
    assert_eq!(args(&["sh"], &[]), ["sh"]);
    assert_eq!(args(&["sh", "-c"], &["true"]), ["sh", "-c", "true"]);
}

#[test]
fn variables_of_the_service_stand_above_those_of_the_image() {
    let container = Container { tty: true, ..Container::default() };
    let env = words(&["COLOUR=red", "B=1=2"]);
    let process = process_of(&Made::new(), Template { env, container, ..Template::default() });
    let env = process.env().clone().expect("variables");
    let expected = words(&[
        &format!("PATH={PATH_DEFAULT}"),
        "HOSTNAME=web-1",
        "TERM=xterm",
        "HOME=/",
        "COLOUR=red",
        "B=1=2",
    ]);
    assert_eq!(env, expected);
    assert_eq!(process.terminal(), Some(true));
    let bad = Template { env: words(&["NOVALUE"]), ..Template::default() };
    assert!(matches!(Made::new().bundle(bad), Err(StartError::BadVariable(_))));
}

#[test]
fn the_working_directory_is_made_if_it_is_missing() {
    let made = Made::new();
    let process = process_of(&made, Template::default());
    assert_eq!(process.cwd(), Path::new("/srv/app"));
    assert!(made.rootfs().join("srv/app").is_dir());
    let dir = |dir: &str| Template { dir: Some(dir.to_owned()), ..Template::default() };
    assert!(matches!(refused(&made, dir("srv")), BundleError::RelativeDirectory(_)));
    assert!(matches!(refused(&made, dir("/bin/app/x")), BundleError::Directory { .. }));
}

#[test]
fn a_program_that_is_not_in_the_image_is_refused_before_anything_starts() {
    let command = |word: &str| Template { command: words(&[word]), ..Template::default() };
    let made = Made::new();
    fs::write(made.rootfs().join("bin/notes"), "").expect("writable");
    for missing in ["postgres", "/bin/postgres", "./postgres"] {
        let refused = refused(&made, command(missing));
        assert!(matches!(refused, BundleError::NoProgram { .. }) && refused.is_permanent());
    }
    assert!(matches!(refused(&made, command("notes")), BundleError::NotExecutable { .. }));
    assert!(matches!(refused(&made, command("")), BundleError::NothingToRun));
    made.bundle(command("../../bin/sh")).expect("it is found from the working directory");
}

#[test]
fn a_score_that_the_agent_may_not_give_is_a_warning() {
    let score = |machine: HostFeatures, oom_score_adj| {
        let mut made = Made::new();
        made.machine = machine;
        let container = Container { oom_score_adj, ..Container::default() };
        let bundle = made.bundle(Template { container, ..Template::default() });
        bundle.map(|bundle| {
            let process = bundle.spec.process().clone().expect("a process");
            (process.oom_score_adj(), bundle.warnings.len())
        })
    };
    let strong = super::super::tests::machine;
    let weak = || HostFeatures { capabilities: strong().capabilities & !(1 << 24), ..strong() };
    assert_eq!(score(strong(), -500).expect("allowed"), (Some(-500), 0));
    assert_eq!(score(weak(), 500).expect("allowed"), (Some(500), 0));
    assert_eq!(score(weak(), -500).expect("a warning"), (None, 1));
    let spared = HostFeatures { oom_score_adj: 100, ..weak() };
    assert_eq!(score(spared, 0).expect("nobody asked"), (None, 0));
    assert!(score(strong(), -1001).is_err());
}

#[test]
fn limits_and_privileges_are_as_asked() {
    let process = process_of(&Made::new(), Template::default());
    assert_eq!(process.rlimits().as_ref().map(Vec::len), Some(0), "they are inherited");
    assert_eq!(process.no_new_privileges(), Some(false));
    let user = Template { user: Some("4242:7".to_owned()), ..Template::default() };
    let process = process_of(&Made::new(), user);
    assert_eq!((process.user().uid(), process.user().gid()), (4242, 7));
}

#[test]
fn a_program_is_a_file_that_somebody_may_execute() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let root = Root::open(dir.path()).expect("it is there");
    fs::write(dir.path().join("run"), "").expect("writable");
    assert_eq!(find(&root, "/run"), Some(Found::Other));
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path().join("run"), mode).expect("it is ours");
    assert_eq!(find(&root, "/run"), Some(Found::Program));
    assert_eq!(find(&root, "/walk"), None);
}
