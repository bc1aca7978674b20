//! By what the number of tasks follows: the flag, and how it is shown.

use clap::Args;
use node_docker::service::{AutoscaleSpec, Service, ServiceSpec};

use crate::failure::Failure;

/// By what the number of tasks follows.
#[derive(Debug, Default, Args)]
pub struct AutoscaleFlags {
    /// Let the number of tasks follow their load: min=2,max=10,cpu=60%,memory=80%; off
    #[arg(long, value_name = "RANGE,TARGET", value_parser = autoscale)]
    pub autoscale: Option<AutoscaleSpec>,
}

impl AutoscaleFlags {
    /// Changes what is given.
    pub fn apply(&self, spec: &mut ServiceSpec) {
        if let Some(asked) = &self.autoscale {
            spec.autoscale = Some(asked.clone());
        }
    }
}

/// The number of replicas of a new service for which none is given.
pub fn first(spec: &ServiceSpec) -> u32 {
    let min = spec.autoscale.as_ref().map_or(1, |asked| asked.min.max(1));
    u32::try_from(min).unwrap_or(u32::MAX)
}

/// Refuses a number by hand for a service whose number follows its load. The API refuses only another
/// number than the one that was written at first: Docker's client always sends that one.
pub fn check_by_hand(held: &Service, wanted: &ServiceSpec) -> Result<(), Failure> {
    let is_off = wanted.autoscale == Some(AutoscaleSpec::default());
    let Some(asked) = held.spec.autoscale.as_ref().filter(|_| !is_off) else { return Ok(()) };
    let (name, AutoscaleSpec { min, max, .. }) = (held.called(), asked);
    Err(Failure::new(format!(
        "the number of tasks of {name} follows its load, between {min} and {max}"
    ))
    .why("a number by hand would not last")
    .hint(format!("edgectl service update --autoscale min=N,max=N,cpu=60% {name}"))
    .hint(format!("edgectl service update --autoscale off {name}")))
}

/// `min=2,max=10,cpu=60%`; `off` is an empty one.
fn autoscale(text: &str) -> Result<AutoscaleSpec, String> {
    const EXAMPLE: &str = "write it like min=2,max=10,cpu=60%";
    if text.trim() == "off" {
        return Ok(AutoscaleSpec::default());
    }
    let (mut min, mut max, mut cpu, mut memory) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("{field:?} is neither off nor a value: {EXAMPLE}"))?;
        let (place, percents) = match key.trim() {
            "min" => (&mut min, false),
            "max" => (&mut max, false),
            "cpu" => (&mut cpu, true),
            "memory" => (&mut memory, true),
            other => {
                return Err(format!(
                    "there is no {other:?}, only min, max, cpu and memory: {EXAMPLE}"
                ));
            }
        };
        let value = value.trim();
        let number = if percents { value.strip_suffix('%').unwrap_or(value) } else { value };
        let number: u64 = number
            .parse()
            .map_err(|_| format!("{key}={value} is not a whole number: {EXAMPLE}"))?;
        if place.replace(number).is_some() {
            return Err(format!("{key} is given twice: {EXAMPLE}"));
        }
    }
    let max = max.ok_or_else(|| format!("max is missing: {EXAMPLE}"))?;
    let min = min.unwrap_or(1);
    Ok(AutoscaleSpec { min, max, cpu_percent: cpu, memory_percent: memory })
}

/// `2 to 10 tasks, CPU 60%`.
pub fn written(asked: &AutoscaleSpec) -> String {
    let AutoscaleSpec { min, max, .. } = asked;
    let cpu = asked.cpu_percent.map(|percent| format!(", CPU {percent}%")).unwrap_or_default();
    let memory =
        asked.memory_percent.map(|percent| format!(", memory {percent}%")).unwrap_or_default();
    format!("{min} to {max} tasks{cpu}{memory}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use crate::service::create::{CreateArgs, spec_of};

    fn created(line: &[&str]) -> Result<ServiceSpec, String> {
        let line = [&["service", "create"], line, &["busybox"]].concat();
        let args: CreateArgs = parse_for_tests(&line)?;
        spec_of(&args).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_flag_becomes_a_range_and_its_targets() {
        assert_eq!(created(&[]).expect("valid").autoscale, None);
        let spec = created(&["--autoscale", "min=2, max=10,cpu=60%,memory=80"]).expect("valid");
        let asked = spec.autoscale.clone().expect("it has it");
        assert_eq!((asked.min, asked.max), (2, 10));
        assert_eq!((asked.cpu_percent, asked.memory_percent), (Some(60), Some(80)));
        assert_eq!(written(&asked), "2 to 10 tasks, CPU 60%, memory 80%");
        assert_eq!(spec.mode.replicated.and_then(|mode| mode.replicas), Some(2));
        let given = created(&["--autoscale", "max=10,cpu=60%", "--replicas", "4"]).expect("valid");
        assert_eq!(given.mode.replicated.and_then(|mode| mode.replicas), Some(4));
        assert_eq!(given.autoscale.expect("it has it").min, 1);
        let off = created(&["--autoscale", "off"]).expect("valid");
        assert_eq!(off.autoscale, Some(AutoscaleSpec::default()));
    }

    #[test]
    fn a_number_by_hand_is_refused_while_the_number_follows_the_load() {
        let spec = created(&["--name", "web", "--autoscale", "max=10,cpu=60%"]).expect("valid");
        let held = Service { spec: spec.clone(), ..Service::default() };
        let said = check_by_hand(&held, &spec).expect_err("refused").to_string();
        assert!(said.contains("the number of tasks of web follows its load, between 1 and 10"));
        assert!(said.contains("edgectl service update --autoscale off web"), "{said}");
        let off = ServiceSpec { autoscale: Some(AutoscaleSpec::default()), ..spec };
        assert_eq!(check_by_hand(&held, &off), Ok(()));
        assert_eq!(check_by_hand(&Service::default(), &off), Ok(()));
    }

    #[test]
    fn what_is_no_such_value_is_refused_with_what_to_type() {
        for (typed, told) in [
            ("on", "\"on\" is neither off nor a value"),
            ("", "neither off nor a value"),
            ("min=2,max=10,disk=3", "there is no \"disk\""),
            ("min=a,max=10", "min=a is not a whole number"),
            ("max=10,cpu=60.5%", "cpu=60.5% is not a whole number"),
            ("max=-1", "max=-1 is not a whole number"),
            ("min=50%,max=3,cpu=60%", "min=50% is not a whole number"),
            ("max=1,max=2,cpu=60%", "max is given twice"),
            ("min=2,cpu=60%", "max is missing"),
        ] {
            let said = created(&["--autoscale", typed]).expect_err(typed);
            assert!(said.contains(told), "{typed}: {said}");
            assert!(said.contains("write it like min=2,max=10,cpu=60%"), "{typed}: {said}");
        }
    }
}
