//! Warnings for operators in `/info` and `/edge/status`.

use super::Api;
use super::snapshot::Snapshot;

/// The warning while changes cannot be made durable.
pub fn disk_warning(api: &Api) -> Option<String> {
    let error = api.handle.disk_error()?;
    Some(format!(
        "the disk refuses to be written: {error}; changes are not durable until it does, tasks go \
         on; see that it is mounted, writable and not full"
    ))
}

/// A line for every node that cannot start tasks.
pub fn unable(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let rows = snapshot.nodes.iter().filter(|row| !row.conditions.is_empty());
    rows.map(|row| {
        let texts: Vec<&str> = row.conditions.values().map(String::as_str).collect();
        let name = snapshot.hostname(row.id);
        format!("{name} cannot start tasks now: {}; new ones go elsewhere", texts.join(", "))
    })
}

/// A line if this node begins no run of a job with a schedule, because its clock is wrong.
pub fn clock_warning(snapshot: &Snapshot) -> Option<String> {
    let fault = snapshot.schedules.values().find_map(|schedule| schedule.fault)?;
    Some(fault.in_words())
}
