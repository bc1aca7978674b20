//! What this node lacks for the fleet's networks, and what it could not do for them.

use super::{Check, Outcome};
use node_docker::edge::NetworkHealth;

/// One check for each thing that is wrong; one if nothing is.
pub(super) fn checks(health: &NetworkHealth) -> Vec<Check> {
    let NetworkHealth { refusal, tunnel_refusal, failures } = health;
    let mut found = Vec::new();
    if !refusal.is_empty() {
        found.push(warning("takes part in none: ", refusal));
    } else if !tunnel_refusal.is_empty() {
        found
            .push(warning("takes part in no encrypted one, and takes no detour: ", tunnel_refusal));
    }
    found.extend(failures.iter().map(|failure| warning("", failure)));
    if found.is_empty() {
        found.push(Outcome::Ok("this node can take part in all, and nothing failed".to_owned()));
    }
    found.into_iter().map(|outcome| ("networks", outcome)).collect()
}

/// What to do stands behind the last semicolon of these sentences, else behind the first colon.
fn warning(before: &str, sentence: &str) -> Outcome {
    let parts = sentence.rsplit_once("; ").or_else(|| sentence.split_once(": "));
    let (what, hint) = parts.unwrap_or((sentence, ""));
    Outcome::Warning(format!("{before}{what}"), hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_networks_lack_is_told_with_what_to_do() {
        let told = |refusal: &str, tunnel: &str, failures: &[&str]| {
            let health = NetworkHealth {
                refusal: refusal.to_owned(),
                tunnel_refusal: tunnel.to_owned(),
                failures: failures.iter().map(|text| (*text).to_owned()).collect(),
            };
            let outcome = |(_, outcome)| match outcome {
                Outcome::Warning(what, hint) => (what, hint),
                Outcome::Ok(_) | Outcome::Fault(..) => (String::new(), String::new()),
            };
            checks(&health).into_iter().map(outcome).collect::<Vec<_>>()
        };
        let row = |what: &str, hint: &str| (what.to_owned(), hint.to_owned());
        assert_eq!(told("", "", &[]), [row("", "")]);
        assert_eq!(
            told("the kernel has no links of kind vxlan: load the module (vxlan) or …", "x", &[]),
            [row(
                "takes part in none: the kernel has no links of kind vxlan",
                "load the module (vxlan) or …"
            )]
        );
        let dropped = "chain `ip filter FORWARD` drops what overlay networks forward; type `x`";
        assert_eq!(
            told("", "the machine has no /dev/net/tun: load the module tun", &[dropped]),
            [
                row(
                    "takes part in no encrypted one, and takes no detour: the machine has no \
                     /dev/net/tun",
                    "load the module tun"
                ),
                row("chain `ip filter FORWARD` drops what overlay networks forward", "type `x`"),
            ]
        );
    }
}
