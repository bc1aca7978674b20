//! How updates and rollbacks proceed, in one line.

use node_docker::service::UpdateConfig;

use super::duration;

/// `2 at a time, 10s apart, stop-first, watched for 5s, rollback when more than 25% fail`.
pub fn policy(config: &UpdateConfig) -> String {
    let mut parts = Vec::new();
    parts.push(match config.parallelism {
        0 => "all at once".to_owned(),
        number => format!("{number} at a time"),
    });
    if config.delay.to_ms() > 0 {
        parts.push(format!("{} apart", duration(config.delay)));
    }
    parts.push(config.order.clone());
    parts.push(format!("watched for {}", duration(config.monitor)));
    if let Some(canary) = config.canary.filter(|canary| *canary > 0) {
        parts.push(format!("waits to be promoted after {canary}"));
    }
    if !config.failure_action.is_empty() {
        let percent = (config.max_failure_ratio * 100.0).round();
        let when = match config.max_failure_ratio > 0.0 {
            true => format!("when more than {percent}% fail"),
            false => "when one fails".to_owned(),
        };
        parts.push(format!("{} {when}", config.failure_action));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use node_docker::Nanos;

    use super::*;

    #[test]
    fn a_policy_is_one_line() {
        let mut config = UpdateConfig {
            parallelism: 2,
            delay: Nanos::from_ms(10_000),
            monitor: Nanos::from_ms(5_000),
            order: "stop-first".to_owned(),
            failure_action: "rollback".to_owned(),
            max_failure_ratio: 0.25,
            canary: Some(1),
        };
        assert_eq!(
            policy(&config),
            "2 at a time, 10s apart, stop-first, watched for 5s, waits to be promoted after 1, \
             rollback when more than 25% fail"
        );
        config = UpdateConfig {
            order: "start-first".to_owned(),
            failure_action: "pause".to_owned(),
            monitor: config.monitor,
            ..UpdateConfig::default()
        };
        assert_eq!(
            policy(&config),
            "all at once, start-first, watched for 5s, pause when one fails"
        );
    }
}
