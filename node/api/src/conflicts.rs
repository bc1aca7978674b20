//! `/edge/conflicts`: values that both sides of a partition wrote, and how to choose another
//! winner.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use crdt_state::autoscale::Autoscale;
use crdt_state::conflict::{Alternative, Conflict};
use crdt_state::fleet::TaskHistory;
use crdt_state::node::Availability;
use crdt_state::relation::{Affinities, DependsOn, SlotOrder};
use crdt_state::service::{self, NameConflict, Service};
use crdt_state::spec::extension::Properties;
use crdt_state::spec::{self, Extension, Facet, Life, Scale, StoredTemplate, Template};
use crdt_state::{
    FileClass, ImageFact, Kind, NodeId, RecordKey, ServiceId, Stamp, StoreId, Writer, wire,
};
use node_core::{Edit, FileConflict, NetworkConflict};

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::warnings::copied;
use super::{Api, Sent, tokens};
use node_docker::edge::{Conflict as Row, ConflictValue, PickRequest};
use node_docker::state::{availability_word, show_task};
use node_docker::task_spec::TaskSpec;
use node_docker::{Timestamp, read};

/// `GET /edge/conflicts`.
pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Row>>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let found = api.read(|node, _| {
        let replica = node.replica();
        let names = service::name_conflicts(replica);
        (replica.conflicts(), names, node.network_conflicts(), node.file_conflicts())
    });
    let (facets, names, networks, configs) = found.await?;
    let mut rows: Vec<Row> = facets.iter().map(|found| facet_row(found, &snapshot)).collect();
    rows.extend(names.iter().map(|found| name_row(found, &snapshot)));
    rows.extend(networks.into_iter().map(network_row));
    let overused = tokens::overused(&api, &snapshot).await?;
    rows.extend(
        overused
            .into_iter()
            .map(|(id, detail)| told_row(RecordKey::token(id), id.to_string(), "uses", detail)),
    );
    rows.extend(configs.into_iter().map(file_row));
    let copied = copied(&api, &snapshot).await?;
    rows.extend(
        copied.into_iter().map(|(id, detail)| {
            told_row(RecordKey::node(id), snapshot.hostname(id), "key", detail)
        }),
    );
    Ok(Json(rows))
}

/// `POST /edge/conflicts`: makes a losing value the winner, or confirms the current winner.
pub async fn pick(State(api): State<Api>, body: Sent) -> Result<(), Failure> {
    let request: PickRequest = read(&body?)?;
    let bad = |what: &str, text: &str| {
        Failure::Bad(format!("{what} `{text}` cannot be read; take it from `edgectl conflicts`"))
    };
    let key = read_key(&request.key).ok_or_else(|| bad("key", &request.key))?;
    if request.stamp.is_empty() && key.kind == Kind::SERVICE {
        api.edit(Edit::TakeName { id: ServiceId(key.id) }).await?;
        return Ok(());
    }
    let stamp = read_stamp(&request.stamp).ok_or_else(|| bad("stamp", &request.stamp))?;
    if let Some(label) = request.label {
        api.edit(Edit::PickLabel { key, label, stamp }).await?;
        return Ok(());
    }
    let facet = Facet(request.facet_number);
    api.edit(Edit::PickConflict { key, facet, stamp }).await?;
    Ok(())
}

fn facet_row(conflict: &Conflict, snapshot: &Snapshot) -> Row {
    let (kind, name) = subject(conflict, snapshot);
    let value = |found: &Alternative| ConflictValue {
        stamp: show_stamp(found.stamp),
        facet_number: (found.facet != conflict.facet).then_some(found.facet.0),
        node_id: found.stamp.writer.node.to_string(),
        node: snapshot.hostname(found.stamp.writer.node),
        written_at: Timestamp(found.wall_ms),
        value: show_value(found.facet, &found.value),
        key: String::new(),
    };
    Row {
        key: show_key(conflict.key),
        kind: kind.to_owned(),
        name,
        facet: match &conflict.label {
            Some(label) => format!("label {label}"),
            None => facet_word(conflict.facet),
        },
        facet_number: conflict.facet.0,
        label: conflict.label.clone(),
        winner: value(&conflict.winner),
        losers: conflict.losers.iter().map(value).collect(),
    }
}

/// A name that several services have: the picked service keeps it, the others get free names.
fn name_row(conflict: &NameConflict, snapshot: &Snapshot) -> Row {
    let value = |id: &ServiceId| {
        let service = snapshot.service_of(*id);
        let created = service.map(|service| service.created.writer.node);
        ConflictValue {
            stamp: String::new(),
            facet_number: None,
            node_id: created.map(|node| node.to_string()).unwrap_or_default(),
            node: created.map(|node| snapshot.hostname(node)).unwrap_or_default(),
            written_at: Timestamp(service.map_or(0, |service| service.created_wall_ms)),
            value: id.to_string(),
            key: show_key(RecordKey::service(*id)),
        }
    };
    Row {
        key: show_key(RecordKey::service(conflict.owner)),
        kind: "service".to_owned(),
        name: conflict.name.clone(),
        facet: "name".to_owned(),
        facet_number: Facet::LIFE.0,
        label: None,
        winner: value(&conflict.owner),
        losers: conflict.others.iter().map(value).collect(),
    }
}

/// There is nothing to pick: the sentence says what to do.
fn network_row(found: NetworkConflict) -> Row {
    let NetworkConflict { key, name, what, detail } = found;
    told_row(key, name, what, detail)
}

fn file_row(found: FileConflict) -> Row {
    let FileConflict { key, name, what, detail } = found;
    told_row(key, name, what, detail)
}

fn told_row(key: RecordKey, name: String, what: &str, detail: String) -> Row {
    let kind = match key.kind {
        Kind::NETWORK => "network",
        Kind::CONFIG => "config",
        Kind::TOKEN => "join token",
        Kind::NODE => "node",
        Kind::SECRET => "secret",
        _ => "service",
    };
    let winner = ConflictValue { value: detail, ..ConflictValue::default() };
    let (key, kind, facet) = (show_key(key), kind.to_owned(), what.to_owned());
    Row { key, kind, name, facet, winner, ..Row::default() }
}

fn subject(conflict: &Conflict, snapshot: &Snapshot) -> (&'static str, String) {
    let key = conflict.key;
    let removed = || match wire::decode(&conflict.winner.value) {
        Ok(Life::Removed { name }) if conflict.winner.facet == Facet::LIFE => Some(name),
        _ => None,
    };
    match key.kind {
        Kind::SERVICE => {
            let id = ServiceId(key.id);
            let name = snapshot.service_of(id).map(|service: &Service| service.name.clone());
            ("service", name.or_else(removed).unwrap_or_else(|| id.to_string()))
        }
        Kind::NODE_SETTINGS => ("node", snapshot.hostname(NodeId(key.id))),
        Kind::FLEET_SETTINGS => ("fleet", "the fleet".to_owned()),
        Kind::IMAGE => match snapshot.image(key).or_else(removed) {
            Some(name) => ("image", name),
            None => ("image", show_key(key)),
        },
        Kind::CONFIG => {
            let name = snapshot.file_name(FileClass::Config.id(key.id));
            ("config", removed().unwrap_or(name))
        }
        Kind::SECRET => {
            let name = snapshot.file_name(FileClass::Secret.id(key.id));
            ("secret", removed().unwrap_or(name))
        }
        _ => ("record", show_key(key)),
    }
}

fn facet_word(facet: Facet) -> String {
    let word = match facet {
        Facet::LIFE => "life",
        Facet::TEMPLATE => "template",
        Facet::TEMPLATE_EXTENSION => "swap, pre-start, configs and secrets",
        Facet::SCALE => "scale",
        Facet::PLACEMENT => "placement",
        Facet::UPDATE_POLICY => "update policy",
        Facet::ENDPOINT => "endpoint",
        Facet::LABELS => "labels",
        Facet::AVAILABILITY => "availability",
        Facet::IMAGE => "digest",
        Facet::VOLUMES_GIVEN_UP => "volumes given up",
        Facet::NETWORK => "network",
        Facet::NETWORKS => "networks",
        Facet::BALANCING => "balancing",
        Facet::SCHEDULE => "schedule",
        Facet::AUTOSCALE => "autoscaling",
        Facet::PARTITION => "partition policy",
        Facet::AFFINITY => "affinity",
        Facet::DEPENDS_ON => "depends on",
        Facet::SLOT_ORDER => "slot order",
        Facet::REMOVAL => "removal",
        Facet::LABEL_CHANGES => "label",
        Facet::TASK_HISTORY => "task history limit",
        Facet(number) => return format!("facet {number}"),
    };
    word.to_owned()
}

/// A value as text; a value that this version cannot read is shown by its size.
fn show_value(facet: Facet, bytes: &[u8]) -> String {
    let shown = match facet {
        Facet::LIFE => wire::decode(bytes).ok().map(|life| match life {
            Life::Present { name, .. } => format!("named {name}"),
            Life::Removed { .. } => "removed".to_owned(),
        }),
        Facet::TEMPLATE => wire::decode(bytes).ok().and_then(|StoredTemplate(template)| {
            json(&show_task(&template, &spec::Placement::default()).container_spec)
        }),
        Facet::TEMPLATE_EXTENSION => wire::decode(bytes).ok().and_then(|v: Properties| {
            let template = Template { extension: Extension::of(&v), ..Template::default() };
            let task = show_task(&template, &spec::Placement::default());
            json(&TaskSpec {
                container_spec: task.container_spec.filter(|shown| !shown.configs.is_empty()),
                resources: task.resources,
                pre_start: task.pre_start,
                ..Default::default()
            })
        }),
        Facet::VOLUMES_GIVEN_UP => wire::decode(bytes)
            .ok()
            .map(|ids: crdt_state::volume::GivenUp| format!("{} volumes", ids.len())),
        Facet::SCALE => wire::decode(bytes).ok().map(|scale| match scale {
            Scale::Replicated { replicas } => format!("{replicas} replicas"),
            Scale::Global => "global".to_owned(),
            Scale::JobReplicated { completions, max_concurrent } => {
                format!("a job of {completions}, {max_concurrent} at a time")
            }
            Scale::JobGlobal => "a global job".to_owned(),
        }),
        Facet::PLACEMENT => wire::decode(bytes).ok().and_then(|v: spec::Placement| json(&v)),
        Facet::AUTOSCALE => wire::decode(bytes).ok().and_then(|v: Option<Autoscale>| json(&v)),
        Facet::AFFINITY => wire::decode(bytes).ok().and_then(|v: Affinities| json(&v.rules)),
        Facet::DEPENDS_ON => wire::decode(bytes).ok().and_then(|v: DependsOn| json(&v.services)),
        Facet::SLOT_ORDER => wire::decode(bytes).ok().map(|order| match order {
            SlotOrder::Any => "any".to_owned(),
            SlotOrder::Ascending => "ascending".to_owned(),
        }),
        Facet::UPDATE_POLICY => wire::decode(bytes).ok().and_then(|v: spec::UpdatePolicy| json(&v)),
        Facet::ENDPOINT => wire::decode(bytes).ok().and_then(|v: spec::Endpoint| json(&v)),
        Facet::LABELS => wire::decode(bytes).ok().and_then(|v: BTreeMap<String, String>| json(&v)),
        Facet::LABEL_CHANGES => wire::decode(bytes)
            .ok()
            .map(|value: Option<String>| value.unwrap_or_else(|| "(removed)".to_owned())),
        Facet::AVAILABILITY => {
            wire::decode(bytes).ok().map(|v: Availability| availability_word(v).to_owned())
        }
        Facet::TASK_HISTORY => wire::decode(bytes).ok().map(|v: TaskHistory| v.limit.to_string()),
        Facet::IMAGE => wire::decode(bytes).ok().map(|fact: ImageFact| fact.digest),
        _ => None,
    };
    shown.unwrap_or_else(|| format!("{} bytes that this version cannot read", bytes.len()))
}

fn json<T: serde::Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}

fn show_key(key: RecordKey) -> String {
    key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_key(text: &str) -> Option<RecordKey> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    RecordKey::from_bytes(&bytes?)
}

fn show_stamp(stamp: Stamp) -> String {
    format!("{}.{}.{:016x}", stamp.lamport, stamp.writer.node, stamp.writer.store.0)
}

fn read_stamp(text: &str) -> Option<Stamp> {
    let mut parts = text.split('.');
    let lamport = parts.next()?.parse().ok()?;
    let node = parts.next()?.parse().ok()?;
    let store = StoreId(u64::from_str_radix(parts.next()?, 16).ok()?);
    let nothing_follows = parts.next().is_none();
    nothing_follows.then_some(Stamp { lamport, writer: Writer { node, store } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_stamps_read_back_what_they_show() {
        let key = RecordKey { kind: Kind::SERVICE, id: *b"0123456789abcdef" };
        assert_eq!(read_key(&show_key(key)), Some(key));
        let writer = Writer { node: NodeId([7; 16]), store: StoreId(u64::MAX) };
        let stamp = Stamp { lamport: 12, writer };
        assert_eq!(read_stamp(&show_stamp(stamp)), Some(stamp));
    }

    #[test]
    fn junk_is_no_key_and_no_stamp() {
        for text in ["", "0", "zz", "00", "ä", "1.2.3.4"] {
            assert_eq!(read_key(text), None);
            assert_eq!(read_stamp(text), None);
        }
    }

    #[test]
    fn a_value_of_the_future_is_shown_by_its_size() {
        assert_eq!(show_value(Facet(99), b"abc"), "3 bytes that this version cannot read");
        let three = wire::encode(&Scale::Replicated { replicas: 3 });
        assert_eq!(show_value(Facet::SCALE, &three), "3 replicas");
    }
}
