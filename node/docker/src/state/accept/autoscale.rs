//! Between which numbers, and by what, a service is scaled.

use crdt_state::autoscale::Autoscale;

use super::super::BadSpec;
use super::fit_u32;
use crate::service::AutoscaleSpec;

/// Reads autoscaling; an empty one takes it off. A client that knows of none changes none.
pub(super) fn accept(
    sent: Option<AutoscaleSpec>,
    current: Option<Autoscale>,
) -> Result<Option<Autoscale>, BadSpec> {
    let Some(sent) = sent else { return Ok(current) };
    if sent == AutoscaleSpec::default() {
        return Ok(None);
    }
    let percent = |field, given: Option<u64>| given.map(|given| fit_u32(field, given)).transpose();
    Ok(Some(Autoscale {
        min: fit_u32("Autoscale.Min", sent.min)?,
        max: fit_u32("Autoscale.Max", sent.max)?,
        cpu: percent("Autoscale.CpuPercent", sent.cpu_percent)?,
        memory: percent("Autoscale.MemoryPercent", sent.memory_percent)?,
    }))
}

/// The inverse.
pub(in super::super) fn show(asked: Autoscale) -> AutoscaleSpec {
    AutoscaleSpec {
        min: u64::from(asked.min),
        max: u64::from(asked.max),
        cpu_percent: asked.cpu.map(u64::from),
        memory_percent: asked.memory.map(u64::from),
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::spec::Scale;

    use super::*;
    use crate::read;
    use crate::service::ServiceSpec;
    use crate::state::{accept, show};

    fn spec(mode: &str, autoscale: &str) -> ServiceSpec {
        let task = r#""TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}"#;
        let json =
            format!(r#"{{"Name": "web", {task}, "Mode": {mode}, "Autoscale": {autoscale}}}"#);
        read(json.as_bytes()).expect("a spec")
    }

    #[test]
    fn autoscaling_is_shown_as_it_was_accepted_and_survives_docker_s_client() {
        let sent = spec(
            r#"{"Replicated": {"Replicas": 3}}"#,
            r#"{"Min": 2, "Max": 10, "CpuPercent": 60}"#,
        );
        let accepted = accept(sent, None).expect("accepted");
        let asked = Autoscale { min: 2, max: 10, cpu: Some(60), memory: None };
        assert_eq!(accepted.autoscale, Some(asked));
        assert_eq!(accept(show(&accepted), None).as_ref(), Ok(&accepted));
        let lossy = ServiceSpec { autoscale: None, ..show(&accepted) };
        assert_eq!(accept(lossy, Some(&accepted)).as_ref(), Ok(&accepted));
        let off = accept(spec("{}", "{}"), Some(&accepted)).expect("accepted");
        assert_eq!(off.autoscale, None);
    }

    #[test]
    fn without_a_number_it_begins_with_the_smallest() {
        let sent = spec("{}", r#"{"Min": 2, "Max": 10, "CpuPercent": 60}"#);
        let accepted = accept(sent, None).expect("accepted");
        assert_eq!(accepted.scale, Scale::Replicated { replicas: 2 });
        assert_eq!(accepted.check(), Ok(()));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let sent = spec("{}", r#"{"Min": 2, "Max": 5000000000, "CpuPercent": 60}"#);
        let said = accept(sent, None).expect_err("refused").to_string();
        assert!(said.contains("Autoscale.Max"), "{said}");
    }
}
