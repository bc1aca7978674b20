//! What operators say of services and of each other: accepted, refused, and told by `why`.

use crdt_state::ServiceId;
use crdt_state::spec::RestartCondition;
use crdt_state::task::{Health, RunEvent};
use node_core::{Edit, Edited, Refusal, ServiceSpec};

use crate::host::{Host, health, spec};
use crate::pair::Pair;

fn with(name: &str, rules: &[&str]) -> ServiceSpec {
    let mut spec = spec(name, 1);
    spec.relations.affinities.rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
    spec
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) -> Result<Edited, Refusal> {
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) })
}

fn refusal(host: &mut Host, spec: ServiceSpec) -> String {
    let before = host.node.services().count();
    let refused = host.edit(Edit::CreateService(Box::new(spec))).expect_err("refused");
    assert_eq!(host.node.services().count(), before);
    refused.to_string()
}

#[test]
fn affinities_that_cannot_be_are_refused_with_what_to_type() {
    let mut host = Host::new();
    host.create(spec("db", 1));
    for (rules, words) in [
        (&["service!=web"][..], "write --replicas-max-per-node 1"),
        (&["service==web"], "names web itself"),
        (&["service==dbb"], "names the service dbb, which does not exist"),
        (&["service!=dbb"], "take a name from `edgectl service ls`"),
        (&["zone==a"], "neither service nor image"),
    ] {
        let said = refusal(&mut host, with("web", rules));
        assert!(said.contains(words), "{rules:?}: {said}");
    }
    let mut own = with("web", &["image!=redis"]);
    own.template.image = "redis:7".to_owned();
    assert!(refusal(&mut host, own).contains("--replicas-max-per-node 1"));
}

#[test]
fn a_circle_of_affinities_is_refused_with_the_way_around() {
    let mut host = Host::new();
    let db = host.create(spec("db", 1));
    host.create(with("cache", &["service==db"]));
    host.create(with("web", &["service!=cache"]));
    let said = update(&mut host, db, with("db", &["service==web"])).expect_err("a circle");
    let words = "db names web, web names cache, cache names db";
    assert!(said.to_string().contains(words), "{said}");
    assert!(host.node.service(db).expect("there").relations.affinities.rules.is_empty());
    // By an image as well.
    let mut imaged = with("db", &["service==web"]);
    imaged.template.image = "redis:7".to_owned();
    let other = host.create(with("other", &["image==redis"]));
    assert!(update(&mut host, other, with("other", &[])).is_ok());
    assert!(update(&mut host, db, imaged).is_err());
}

#[test]
fn a_service_that_was_removed_since_is_no_reason_to_refuse_another_edit() {
    let mut host = Host::new();
    let db = host.create(spec("db", 1));
    let web = host.create(with("web", &["service==db"]));
    assert_eq!(host.start_all().len(), 2);
    host.edit(Edit::RemoveService { id: db }).expect("removed");
    let mut more = with("web", &["service==db"]);
    more.scale = crdt_state::spec::Scale::Replicated { replicas: 2 };
    update(&mut host, web, more).expect("its affinity stays as it was");
    let why = host.node.report(host.now).why_service(web);
    assert!(why[0].running && !why[1].running, "what runs goes on, and nothing new begins");
    assert_eq!(why[1].nodes[0].code, "affinity");
    assert!(why[1].summary.contains("there is no service db"), "{}", why[1].summary);
    assert_eq!(why[1].fixes, ["edgectl service update --affinity-rm 'service==db' web"]);
    host.create(spec("db", 1));
    assert_eq!(host.start_all().len(), 2, "the name counts, not who had it");
}

fn after(name: &str, others: &[&str]) -> ServiceSpec {
    let mut spec = spec(name, 1);
    spec.relations.depends_on.services = others.iter().map(|name| (*name).to_owned()).collect();
    spec
}

fn reason(host: &Host, id: ServiceId) -> String {
    let tasks = host.tasks();
    let task = tasks.iter().find(|task| task.service == id && task.desired_running);
    task.and_then(|task| task.reason.clone()).unwrap_or_default()
}

#[test]
fn a_task_waits_for_what_it_depends_on_and_is_never_stopped_for_it() {
    let mut host = Host::new();
    host.create(checked("db"));
    let db_run = host.started.pop().expect("it starts").run;
    let web = host.create(after("web", &["db"]));
    host.wait(600_000);
    assert!(host.started.is_empty(), "the other one only starts");
    let said = "assigned: waits for db, of which no task runs healthy";
    assert_eq!(reason(&host, web), said);
    let why = host.node.report(host.now).why_service(web);
    assert!(why[0].summary.ends_with(said), "{}", why[0].summary);
    host.report(db_run, RunEvent::Started { pid: 7 });
    assert!(host.started.is_empty(), "it runs and is not healthy yet");
    host.report(db_run, RunEvent::HealthChanged(Health::Healthy));
    let web_run = host.start_all()[0];
    assert_eq!(reason(&host, web), "");
    // What it depends on fails, and it goes on; if it ends itself, it waits again.
    host.report(db_run, RunEvent::HealthChanged(Health::Unhealthy));
    host.wait(1_000);
    assert_eq!(host.stopped, [db_run]);
    host.exit(web_run, 1);
    host.wait(60_000);
    assert!(host.started.is_empty() && reason(&host, web).contains("waits for db"));
}

fn checked(name: &str) -> ServiceSpec {
    let mut spec = spec(name, 1);
    spec.template.health = Some(health());
    spec
}

#[test]
fn an_update_waits_for_what_it_depends_on_before_it_stops_anything() {
    let mut host = Host::new();
    let db = host.create(spec("db", 1));
    let web = host.create(after("web", &["db"]));
    let db_run = host.start_all()[0];
    host.start_all();
    host.exit(db_run, 1);
    let second = host.started.pop().expect("again at once").run;
    let mut changed = after("web", &["db"]);
    changed.template.env.push("VERSION=2".into());
    update(&mut host, web, changed).expect("updated");
    host.wait(60_000);
    assert!(host.stopped.is_empty() && host.started.is_empty());
    host.report(second, RunEvent::Started { pid: 9 });
    assert_eq!(host.stopped.len(), 1, "its turn has come");
    assert!(host.node.service(db).is_some());
}

#[test]
fn who_is_removed_is_not_waited_for_and_why_says_so() {
    let mut host = Host::new();
    let db = host.create(checked("db"));
    let web = host.create(after("web", &["db"]));
    host.wait(1_000);
    assert_eq!(host.started.len(), 1);
    host.edit(Edit::RemoveService { id: db }).expect("removed");
    assert_eq!(host.started.len(), 2);
    let notes = host.node.report(host.now).not_waited_for(web);
    assert!(notes[0].contains("no service db any more"), "{notes:?}");
    assert!(notes[0].ends_with("edgectl service update --depends-on-rm db web"), "{notes:?}");
}

#[test]
fn dependencies_that_cannot_be_are_refused_with_what_to_type() {
    let mut host = Host::new();
    let db = host.create(spec("db", 1));
    host.create(after("cache", &["db"]));
    host.create(after("web", &["cache"]));
    for (spec, words) in [
        (after("new", &["dbb"]), "--depends-on names the service dbb, which does not exist"),
        (after("new", &["new"]), "leave --depends-on new out"),
    ] {
        let said = refusal(&mut host, spec);
        assert!(said.contains(words), "{said}");
    }
    let said = update(&mut host, db, after("db", &["web"])).expect_err("a circle").to_string();
    let words = "db waits for web, web waits for cache, cache waits for db";
    assert!(said.contains(words), "{said}");
}

#[test]
fn nobody_waits_for_a_service_whose_room_it_may_take() {
    let mut host = Host::new();
    let at = |mut spec: ServiceSpec, priority| {
        spec.placement.priority = priority;
        spec
    };
    let db = host.create(spec("db", 1));
    let said = refusal(&mut host, at(after("web", &["db"]), 10));
    assert!(said.contains("edgectl service update --priority 10 db"), "{said}");
    let web = host.create(at(after("web", &["db"]), 0));
    update(&mut host, web, at(after("web", &["db"]), 10)).expect_err("raised above");
    update(&mut host, db, at(spec("db", 1), -1)).expect_err("lowered below");
    update(&mut host, db, at(spec("db", 1), 10)).expect("raised");
    update(&mut host, web, at(after("web", &["db"]), 10)).expect("raised as well");
}

#[test]
fn a_new_image_makes_no_circle_of_affinities() {
    let mut host = Host::new();
    host.create(with("cache", &["image==redis"]));
    let web = host.create(with("web", &["service==cache"]));
    let mut redis = with("web", &["service==cache"]);
    redis.template.image = "redis:7".to_owned();
    let said = update(&mut host, web, redis).expect_err("a circle").to_string();
    assert!(said.contains("web names cache, cache names web"), "{said}");
}

#[test]
fn in_a_circle_that_two_sides_of_a_partition_made_nobody_waits() {
    let mut pair = Pair::joined();
    let db = pair.hosts[0].create(spec("db", 1));
    let web = pair.hosts[0].create(spec("web", 1));
    pair.wait(20_000);
    for host in &mut pair.hosts {
        host.start_all();
    }
    pair.wait(20_000);
    pair.is_heard = [false, false];
    update(&mut pair.hosts[0], db, after("db", &["web"])).expect("no circle here");
    update(&mut pair.hosts[1], web, after("web", &["db"])).expect("nor here");
    pair.is_heard = [true, true];
    pair.wait(60_000);
    for host in &mut pair.hosts {
        host.start_all();
        assert_eq!(host.node.report(host.now).not_waited_for(web).len(), 1);
    }
    // Their tasks are made anew, and none waits for the other.
    for (id, name, other) in [(db, "db", "web"), (web, "web", "db")] {
        let mut spec = after(name, &[other]);
        spec.template.env.push("VERSION=2".into());
        update(&mut pair.hosts[0], id, spec).expect("its dependency stays as it was");
    }
    pair.wait(20_000);
    for host in &mut pair.hosts {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
    }
    pair.wait(20_000);
    assert_eq!(pair.hosts.iter().map(|host| host.started.len()).sum::<usize>(), 2);
}

#[test]
fn a_job_is_waited_for_until_it_is_complete() {
    let mut host = Host::new();
    let mut job = spec("migrate", 1);
    job.template.restart.condition = RestartCondition::OnFailure;
    job.scale = crdt_state::spec::Scale::JobReplicated { completions: 1, max_concurrent: 1 };
    host.create(job);
    let run = host.start_all()[0];
    let web = host.create(after("web", &["migrate"]));
    host.wait(1_000);
    assert!(reason(&host, web).ends_with("waits for the job migrate to complete"));
    host.exit(run, 0);
    host.wait(1_000);
    assert_eq!(host.started.len(), 1);
}
