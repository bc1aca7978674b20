//! `/events`: one JSON object per line, until the client goes.
//!
//! Past events are available only from the window of [`super::recent`]. A client that reads too
//! slowly is told how many events it missed.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use crdt_state::TaskId;
use crdt_state::task::Run;
use futures_util::stream;
use node_core::{Event as Fact, Subject};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::failure::Failure;
use super::filters::Filters;
use super::wall_clock::{wall_clock, wall_ns};
use super::{Answer, Api};
use node_docker::container_id;
use node_docker::event::{Actor, Event};

const FILTERS: [&str; 9] =
    ["container", "event", "image", "label", "node", "scope", "service", "task", "type"];

/// The parameters of `GET /events`.
#[derive(Debug, Default, Deserialize)]
pub struct EventsQuery {
    filters: Option<String>,
    /// Seconds since 1970, with or without a fraction: events from this time on.
    since: Option<String>,
    /// The same form: the stream ends at this time.
    until: Option<String>,
}

/// `GET /events`.
pub async fn stream(
    State(api): State<Api>,
    query: Answer<Query<EventsQuery>>,
) -> Result<Response, Failure> {
    let query = query?;
    let filters = Filters::parse(query.filters.as_deref(), &FILTERS)?;
    let since_ms = query.since.as_deref().map(|text| wall_ms("since", text)).transpose()?;
    let until_ms = query.until.as_deref().map(|text| wall_ms("until", text)).transpose()?;
    let (past, live) = api.recent.listen(since_ms);
    let listener = Listener { past, live, filters, until: until_ms.map(instant) };
    let lines = stream::unfold(listener, |mut listener| async move {
        let line = listener.next().await?;
        Some((Ok::<_, Infallible>(line), listener))
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, Body::from_stream(lines)).into_response())
}

struct Listener {
    past: VecDeque<Fact>,
    live: Receiver<Fact>,
    filters: Filters,
    until: Option<Instant>,
}

impl Listener {
    /// The next line; `None` when the agent ends or the time is up.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let received = match (self.past.pop_front(), self.until) {
                (Some(fact), _) => Ok(fact),
                (None, None) => self.live.recv().await,
                (None, Some(until)) => tokio::select! {
                    received = self.live.recv() => received,
                    () = sleep_until(until) => return None,
                },
            };
            let event = match received {
                Ok(fact) => event(fact),
                Err(RecvError::Lagged(missed)) => missed_events(missed),
                Err(RecvError::Closed) => return None,
            };
            if is_wanted(&event, &self.filters) {
                return Some(line(&event));
            }
        }
    }
}

fn line(event: &Event) -> Bytes {
    let mut line = serde_json::to_vec(event).expect("an event of texts and numbers is JSON");
    line.push(b'\n');
    line.into()
}

fn wall_ms(parameter: &str, text: &str) -> Result<u64, Failure> {
    wall_ns(parameter, text).map(|ns| ns / 1_000_000)
}

fn instant(wall_ms: u64) -> Instant {
    let wait_ms = wall_ms.saturating_sub(wall_clock().0).min(u64::from(u32::MAX));
    Instant::now() + Duration::from_millis(wait_ms)
}

/// An event in Docker's form.
fn event(fact: Fact) -> Event {
    let (kind, id, name) = match fact.subject {
        Subject::Service { id, name } => ("service", id.to_string(), name),
        Subject::Node { id, name } => ("node", id.to_string(), name),
        Subject::Task { id, ref name } => return container_event(id, name.clone(), fact),
    };
    let mut attributes: BTreeMap<_, _> =
        fact.attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    attributes.insert("name".to_owned(), name);
    at(fact.wall_ms, kind, fact.action, Actor { id, attributes })
}

/// An event of an attempt of a task is shown as an event of a container of this node, in Docker's
/// words.
fn container_event(task: TaskId, name: String, fact: Fact) -> Event {
    let mut attempt = 0;
    let mut attributes = BTreeMap::new();
    for (key, value) in fact.attributes {
        match key {
            "attempt" => attempt = value.parse().unwrap_or(0),
            "service" => {
                attributes.insert("com.docker.swarm.service.id".to_owned(), value);
            }
            "service_name" => {
                attributes.insert("com.docker.swarm.service.name".to_owned(), value);
            }
            key => {
                attributes.insert(key.to_owned(), value);
            }
        }
    }
    attributes.insert("name".to_owned(), format!("{name}.{task}"));
    attributes.insert("com.docker.swarm.task.id".to_owned(), task.to_string());
    attributes.insert("com.docker.swarm.task.name".to_owned(), format!("{name}.{task}"));
    let id = container_id(Run { task, attempt });
    let scope = "local".to_owned();
    Event { scope, ..at(fact.wall_ms, "container", fact.action, Actor { id, attributes }) }
}

fn missed_events(missed: u64) -> Event {
    let attributes = [("missed".to_owned(), missed.to_string())].into();
    at(wall_clock().0, "daemon", "missed", Actor { id: String::new(), attributes })
}

fn at(wall_ms: u64, kind: &str, action: &str, actor: Actor) -> Event {
    let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    Event {
        kind: kind.to_owned(),
        action: action.to_owned(),
        actor,
        scope: "swarm".to_owned(),
        time: wall_ms / 1_000,
        time_nano: wall_ms.saturating_mul(1_000_000),
    }
}

fn is_wanted(event: &Event, filters: &Filters) -> bool {
    let said = |key: &str| event.actor.attributes.get(key).map_or("", String::as_str);
    let name = said("name");
    let is = |kind: &str, wanted: &str| {
        event.kind == kind && (wanted == name || event.actor.id.starts_with(wanted))
    };
    let is_of = |id: &str, name: &str, wanted: &str| {
        event.kind == "container" && (said(id).starts_with(wanted) || said(name) == wanted)
    };
    let is_service = |wanted: &str| {
        let keys = ("com.docker.swarm.service.id", "com.docker.swarm.service.name");
        is("service", wanted) || is_of(keys.0, keys.1, wanted)
    };
    filters.holds("type", |kind| kind == event.kind)
        // `health_status` matches every `health_status: healthy` and the like, as in Docker.
        && filters.holds("event", |action| {
            event.action == action || event.action.split(':').next() == Some(action)
        })
        && filters.holds("scope", |scope| scope == event.scope)
        && filters.holds("service", is_service)
        && filters.holds("node", |wanted| is("node", wanted))
        && filters.holds("container", |wanted| is("container", wanted))
        && filters.holds("image", |wanted| said("image") == wanted)
        && filters.holds("task", |wanted| {
            is_of("com.docker.swarm.task.id", "com.docker.swarm.task.name", wanted)
                || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        })
        && filters.labels_hold("label", &event.actor.attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_task_is_an_event_of_its_container() {
        let task = TaskId([7; 16]);
        let subject = Subject::Task { id: task, name: "web.1".to_owned() };
        let attributes = [("attempt", "2"), ("service_name", "web"), ("exitCode", "3")];
        let attributes = attributes.map(|(key, value)| (key, value.to_owned())).to_vec();
        let event = event(Fact { subject, action: "die", attributes, wall_ms: 1_500 });
        assert_eq!((event.kind.as_str(), event.action.as_str()), ("container", "die"));
        assert_eq!(event.actor.id, container_id(Run { task, attempt: 2 }));
        assert_eq!(event.actor.attributes["name"], format!("web.1.{task}"));
        assert_eq!(event.actor.attributes["exitCode"], "3");
        for (key, value, is_there) in [
            ("service", "web", true),
            ("service", "db", false),
            ("type", "container", true),
            ("event", "die", true),
            ("task", "web.1", true),
            ("task", "web.2", false),
        ] {
            let filters = format!(r#"{{"{key}":["{value}"]}}"#);
            let filters = Filters::parse(Some(&filters), &FILTERS).expect("filters");
            assert_eq!(is_wanted(&event, &filters), is_there, "{key}={value}");
        }
    }

    #[test]
    fn times_are_read_with_their_fraction() {
        assert_eq!(wall_ms("since", "12"), Ok(12_000));
        assert_eq!(wall_ms("since", "12.250000000"), Ok(12_250));
        assert_eq!(wall_ms("since", "12.5"), Ok(12_500));
        for text in ["", "x", "1.x", "-1", "2026-05-01"] {
            assert!(wall_ms("since", text).is_err(), "{text}");
        }
    }
}
