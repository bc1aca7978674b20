//! How a new template is rolled out, and an earlier one.

use crdt_state::rollout::{FailureAction, FailurePolicy, RATIO_ONE, RollbackPolicy, UpdateRules};
use crdt_state::spec::{UpdateOrder, UpdatePolicy};

use super::super::BadSpec;
use super::{bad_value, bad_word, fit_u32, or_default};
use crate::service::UpdateConfig;

/// The paths of the fields of one of the two configs, for errors.
struct Paths {
    action: &'static str,
    actions: &'static str,
    ratio: &'static str,
    order: &'static str,
    orders: &'static str,
    parallelism: &'static str,
    canary: &'static str,
}

const UPDATE: Paths = Paths {
    action: "UpdateConfig.FailureAction",
    actions: "pause, continue, rollback",
    ratio: "UpdateConfig.MaxFailureRatio",
    order: "UpdateConfig.Order",
    orders: "stop-first, start-first, blue-green",
    parallelism: "UpdateConfig.Parallelism",
    canary: "UpdateConfig.Canary",
};

const ROLLBACK: Paths = Paths {
    action: "RollbackConfig.FailureAction",
    actions: "pause, continue",
    ratio: "RollbackConfig.MaxFailureRatio",
    order: "RollbackConfig.Order",
    orders: "stop-first, start-first",
    parallelism: "RollbackConfig.Parallelism",
    canary: "RollbackConfig.Canary",
};

/// Reads how an update proceeds. `current` is what Docker's clients lose.
pub(super) fn accept(
    sent: Option<UpdateConfig>,
    current: UpdateRules,
) -> Result<(UpdatePolicy, UpdateRules), BadSpec> {
    let Some(sent) = sent else {
        let rules = UpdateRules { canary: current.canary, ..UpdateRules::default() };
        return Ok((UpdatePolicy::default(), rules));
    };
    let failure = accept_failure(&sent, &UPDATE)?;
    let canary = match sent.canary {
        Some(canary) => fit_u32(UPDATE.canary, canary)?,
        None => current.canary,
    };
    Ok((accept_pace(&sent, &UPDATE)?, UpdateRules { failure, canary }))
}

/// Reads how a rollback proceeds.
pub(super) fn accept_rollback(sent: Option<UpdateConfig>) -> Result<RollbackPolicy, BadSpec> {
    let Some(sent) = sent else { return Ok(RollbackPolicy::default()) };
    if let Some(canary) = sent.canary {
        let hint = "a rollback waits for nobody; leave it out";
        return Err(bad_value(ROLLBACK.canary, &canary.to_string(), hint));
    }
    let failure = accept_failure(&sent, &ROLLBACK)?;
    if failure.action == FailureAction::Rollback {
        return Err(bad_word(ROLLBACK.action, "rollback", ROLLBACK.actions));
    }
    Ok(RollbackPolicy { pace: accept_pace(&sent, &ROLLBACK)?, failure })
}

fn accept_failure(sent: &UpdateConfig, paths: &Paths) -> Result<FailurePolicy, BadSpec> {
    let action = match sent.failure_action.as_str() {
        "" | "pause" => FailureAction::Pause,
        "continue" => FailureAction::Continue,
        "rollback" => FailureAction::Rollback,
        other => return Err(bad_word(paths.action, other, paths.actions)),
    };
    let ratio = f64::from(sent.max_failure_ratio);
    if !(0.0..=1.0).contains(&ratio) {
        let hint = "it is a part of all tasks: write a number from 0 to 1, like 0.25";
        return Err(bad_value(paths.ratio, &sent.max_failure_ratio.to_string(), hint));
    }
    // Inside of 0 to 1, so it fits.
    let max_ratio = (ratio * f64::from(RATIO_ONE)).round() as u32;
    Ok(FailurePolicy { action, max_ratio })
}

fn accept_pace(sent: &UpdateConfig, paths: &Paths) -> Result<UpdatePolicy, BadSpec> {
    let order = match sent.order.as_str() {
        "" | "stop-first" => UpdateOrder::StopFirst,
        "start-first" => UpdateOrder::StartFirst,
        "blue-green" if paths.orders.contains("blue-green") => UpdateOrder::BlueGreen,
        other => return Err(bad_word(paths.order, other, paths.orders)),
    };
    // Docker takes 0 for "not given".
    let monitor_ms = or_default(sent.monitor.to_ms(), UpdatePolicy::default().monitor_ms);
    Ok(UpdatePolicy {
        parallelism: fit_u32(paths.parallelism, sent.parallelism)?,
        delay_ms: sent.delay.to_ms(),
        monitor_ms,
        order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;
    use crate::service::ServiceSpec;
    use crate::state::{accept, read_spec, show};

    fn spec(json: &str) -> ServiceSpec {
        read(json.as_bytes()).expect("a spec")
    }

    fn refusal(json: &str) -> String {
        let accepted = read_spec(json.as_bytes()).and_then(|spec| accept(spec, None));
        accepted.expect_err("refused").to_string()
    }

    #[test]
    fn what_a_rollout_tolerates_is_read_and_shown() {
        let json = r#"{"TaskTemplate": {"ContainerSpec": {"Image": "a"}},
            "UpdateConfig": {"Parallelism": 2, "FailureAction": "rollback", "MaxFailureRatio": 0.3,
                "Canary": 1},
            "RollbackConfig": {"Parallelism": 0, "FailureAction": "continue", "Delay": 1000000000,
                "Order": "start-first"}}"#;
        let accepted = accept(spec(json), None).expect("accepted");
        let rules = accepted.update_rules;
        assert_eq!(
            (rules.failure.action, rules.failure.max_ratio),
            (FailureAction::Rollback, 300_000)
        );
        let back = &accepted.rollback_policy;
        assert_eq!(
            (back.pace.parallelism, back.pace.delay_ms, back.pace.monitor_ms),
            (0, 1_000, 5_000)
        );
        assert_eq!(back.pace.order, UpdateOrder::StartFirst);
        assert_eq!(accept(show(&accepted), None).as_ref(), Ok(&accepted));
        // Docker's client does not know the canaries.
        let mut sent = show(&accepted);
        sent.update_config.as_mut().expect("shown").canary = None;
        assert_eq!(accept(sent, Some(&accepted)), Ok(accepted));
        for (config, told) in [
            (r#""UpdateConfig": {"FailureAction": "stop"}"#, "pause, continue, rollback"),
            (r#""UpdateConfig": {"MaxFailureRatio": 1.5}"#, "from 0 to 1"),
            (r#""UpdateConfig": {"MaxFailureRatio": -0.1}"#, "write 0 or more"),
            (r#""RollbackConfig": {"FailureAction": "rollback"}"#, "pause, continue"),
            (r#""RollbackConfig": {"Order": "any"}"#, "stop-first, start-first"),
            (r#""RollbackConfig": {"Order": "blue-green"}"#, "stop-first, start-first"),
            (r#""RollbackConfig": {"Canary": 1}"#, "waits for nobody"),
        ] {
            let json =
                format!(r#"{{"TaskTemplate": {{"ContainerSpec": {{"Image": "a"}}}}, {config}}}"#);
            let message = refusal(&json);
            assert!(message.contains(told), "{config}: {message}");
        }
    }
}
