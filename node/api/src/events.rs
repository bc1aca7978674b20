//! `/events`: one JSON object per line, until the client goes.
//!
//! Past events are available only from the window of [`super::recent`]. A client that reads too
//! slowly is told how many events it missed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::event_object::missed_events;
use super::failure::Failure;
use super::filters::Filters;
use super::wall_clock::{wall_clock, wall_ns};
use super::{Answer, Api};
use node_docker::event::Event;

const FILTERS: [&str; 12] = [
    "config",
    "container",
    "event",
    "image",
    "label",
    "network",
    "node",
    "scope",
    "service",
    "task",
    "type",
    "volume",
];

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
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = query?;
    let filters = Filters::parse(query.filters.as_deref(), &FILTERS)?;
    let since_ms = query.since.as_deref().map(|text| wall_ms("since", text)).transpose()?;
    let until_ms = query.until.as_deref().map(|text| wall_ms("until", text)).transpose()?;
    let (past, live) = api.recent.listen(since_ms);
    let framing = Framing::wanted(&headers);
    let listener = Listener { past, live, filters, until: until_ms.map(instant) };
    let lines = stream::unfold(listener, move |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(framing.line(&event)), listener))
    });
    let content = [(header::CONTENT_TYPE, framing.media_type())];
    Ok((content, Body::from_stream(lines)).into_response())
}

/// How events are divided in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Lines, under the name that Docker always used.
    Json,
    /// Lines, by their newer names.
    NdJson,
    JsonLines,
    /// Each event begins with the character RS.
    JsonSequence,
}

impl Framing {
    const ALL: [Framing; 4] =
        [Framing::Json, Framing::JsonLines, Framing::NdJson, Framing::JsonSequence];

    /// What the client names first in `Accept` and there is.
    fn wanted(headers: &HeaderMap) -> Framing {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
        let names = accepted.flat_map(|text| text.split(','));
        let mut names = names.filter_map(|text| Some(text.split(';').next()?.trim()));
        names
            .find_map(|name| Framing::ALL.into_iter().find(|framing| framing.media_type() == name))
            .unwrap_or(Framing::Json)
    }

    fn media_type(self) -> &'static str {
        match self {
            Framing::Json => "application/json",
            Framing::NdJson => "application/x-ndjson",
            Framing::JsonLines => "application/jsonl",
            Framing::JsonSequence => "application/json-seq",
        }
    }

    fn line(self, event: &Event) -> Bytes {
        let begin: &[u8] = if self == Framing::JsonSequence { b"\x1e" } else { b"" };
        let mut line = begin.to_vec();
        serde_json::to_writer(&mut line, event).expect("an event of texts and numbers is JSON");
        line.push(b'\n');
        line.into()
    }
}

struct Listener {
    past: VecDeque<Event>,
    live: Receiver<Event>,
    filters: Filters,
    until: Option<Instant>,
}

impl Listener {
    /// The next event; `None` when the agent ends or the time is up.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let received = match (self.past.pop_front(), self.until) {
                (Some(event), _) => Ok(event),
                (None, None) => self.live.recv().await,
                (None, Some(until)) => tokio::select! {
                    received = self.live.recv() => received,
                    () = sleep_until(until) => return None,
                },
            };
            let event = match received {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => missed_events(missed),
                Err(RecvError::Closed) => return None,
            };
            if is_wanted(&event, &self.filters) {
                return Some(event);
            }
        }
    }
}

fn wall_ms(parameter: &str, text: &str) -> Result<u64, Failure> {
    wall_ns(parameter, text).map(|ns| ns / 1_000_000)
}

fn instant(wall_ms: u64) -> Instant {
    let wait_ms = wall_ms.saturating_sub(wall_clock().0).min(u64::from(u32::MAX));
    Instant::now() + Duration::from_millis(wait_ms)
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
        && filters.holds("config", |wanted| is("config", wanted))
        && filters.holds("network", |wanted| is("network", wanted))
        && filters.holds("volume", |wanted| is("volume", wanted))
        && filters.holds("image", |wanted| said("image") == wanted || is("image", wanted))
        && filters.holds("task", |wanted| {
            is_of("com.docker.swarm.task.id", "com.docker.swarm.task.name", wanted)
                || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        })
        && filters.labels_hold("label", &event.actor.attributes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use crdt_state::TaskId;
    use crdt_state::task::Run;
    use node_core::{Event as Fact, Subject};
    use node_docker::container_id;

    use super::super::event_object::event;
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
        let shown = serde_json::to_value(&event).expect("JSON");
        assert_eq!((&shown["status"], &shown["from"]), (&"die".into(), &"".into()));
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
    fn the_first_form_that_the_client_accepts_and_there_is_is_taken() {
        for (accepted, framing) in [
            ("application/jsonl", Framing::JsonLines),
            ("text/html, application/x-ndjson;q=0.9", Framing::NdJson),
            ("application/json-seq, application/json", Framing::JsonSequence),
            ("*/*", Framing::Json),
        ] {
            let accepted = HeaderValue::from_static(accepted);
            let headers = HeaderMap::from_iter([(header::ACCEPT, accepted)]);
            assert_eq!(Framing::wanted(&headers), framing);
        }
        assert_eq!(Framing::wanted(&HeaderMap::new()), Framing::Json);
        assert!(Framing::JsonSequence.line(&Event::default()).starts_with(b"\x1e{"));
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
