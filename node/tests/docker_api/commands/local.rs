//! `docker system`, `volume`, `plugin`, images, and what is refused: what is of one node.

use super::{said, type_all};
use crate::fleet::Fleet;
use crate::has_docker;

#[test]
fn what_is_not_there_is_named_in_docker_s_words() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(154, 1);
    let container = "No such container: nothing";
    let image = "No such image: nothing";
    type_all(
        &fleet,
        &[
            ("exec nothing true", 1, container),
            ("cp nothing:/x /nowhere", 1, container),
            ("stats --no-stream nothing", 1, container),
            ("top nothing", 1, container),
            ("port nothing", 1, container),
            ("logs nothing", 1, container),
            ("inspect nothing", 1, "No such object: nothing"),
            ("image inspect nothing", 1, image),
            ("history nothing", 1, image),
            ("tag nothing other", 1, image),
            ("rmi nothing", 1, image),
            ("save nothing", 1, image),
            ("push nothing:1", 1, "An image does not exist locally with the tag: nothing:1"),
            ("load -i /dev/null", 1, "so it is no image"),
            ("volume inspect nothing", 1, "nothing: no such volume"),
            ("volume rm nothing", 1, "nothing: no such volume"),
            ("volume rm --force nothing", 0, "nothing"),
            ("volume create -d nfs x", 1, "there is no volume driver \"nfs\""),
            ("plugin inspect nothing", 1, "plugin \"nothing\" not found"),
            ("service inspect nothing", 1, "nothing"),
        ],
    );
}

#[test]
fn what_no_node_does_is_refused_with_what_to_do_instead() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(155, 1);
    let context = tempfile::tempdir().expect("a folder");
    std::fs::write(context.path().join("Dockerfile"), "FROM scratch\n").expect("written");
    // Enough that the refusal comes while the client still sends.
    std::fs::write(context.path().join("large"), vec![7; 20 << 20]).expect("written");
    let context = context.path().display();
    let instead = "buildah bud";
    type_all(
        &fleet,
        &[
            (&format!("build -t app:1 {context}"), 1, instead),
            (&format!("image build {context}"), 1, instead),
            ("builder prune --force", 0, "Total reclaimed space: 0B"),
            ("search nginx", 1, "no registry is searched from here"),
            ("plugin ls -q", 0, ""),
            ("plugin install vieux/sshfs", 1, "there are no plugins here"),
            ("plugin rm nothing", 1, "plugin \"nothing\" not found"),
            ("checkpoint ls nothing", 1, "experimental features"),
        ],
    );
    let login = ["login", "-u", "ann", "-p", "x", "127.155.0.9:5000"];
    let refused = fleet.docker(1, &login);
    assert!(said(&refused).contains("127.155.0.9:5000 cannot be reached"), "{}", said(&refused));
    assert!(!said(&refused).contains("tried again"), "{}", said(&refused));
}

#[test]
fn a_node_s_own_things_are_counted_and_cleared() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(156, 1);
    type_all(
        &fleet,
        &[
            (
                "service create -d --name w --health-cmd true --health-interval 200ms process:/bin/sleep 1000",
                0,
                "",
            ),
            ("version --format {{.Server.APIVersion}}", 0, "1.47"),
            ("context ls --format {{.Name}}", 0, "default"),
            ("volume create data", 0, "data"),
            ("volume ls --filter name=dat -q", 0, "data"),
            ("volume ls --filter x=1", 1, "invalid filter 'x'"),
            ("volume inspect data --format {{.Driver}}", 0, "local"),
            ("volume prune --force", 0, "Total reclaimed space: 0B"),
            ("system df --format {{.Type}}/{{.TotalCount}}", 0, "Local Volumes/1"),
            ("system df -v", 0, "data"),
            ("volume prune --all --force", 0, "data"),
            ("system prune --all --volumes --force", 0, "Total reclaimed space"),
            ("image prune --force", 0, "Total reclaimed space: 0B"),
            ("images -q", 0, ""),
            ("system events --since 1 --until 2 --filter type=volume", 0, "volume create data"),
        ],
    );
    fleet.until("a listing says that it is healthy", || {
        fleet.get(1, "/containers/json").json()[0]["Health"]["Status"] == "healthy"
    });
    let ping = std::process::Command::new("curl")
        .args(["-sSI", "--unix-socket", &fleet.socket(1).display().to_string()])
        .arg("http://docker/_ping")
        .output()
        .expect("curl is there");
    for header in ["api-version: 1.47", "builder-version: 1", "swarm: active/manager"] {
        assert!(said(&ping).contains(header), "{}", said(&ping));
    }
}
