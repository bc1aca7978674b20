//! `--publish`: ports of the node itself, until there is a routing mesh.

/// A port that is published on the nodes that run a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The port on the node.
    pub published: u16,
    /// The port of the task.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Why a text is no published port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPort {
    /// The short form, or `mode=ingress`.
    #[error(
        "ports on every node (mode=ingress) do not exist yet: \
         write mode=host,published={0},target={1}"
    )]
    Ingress(String, String),
    /// `8o80`.
    #[error("{0:?} is not a port: it is a number from 1 to 65535")]
    NotAPort(String),
    /// `tpc`.
    #[error("unknown protocol {0:?}: tcp, udp or sctp")]
    Protocol(String),
    /// `mode=hots`.
    #[error("unknown mode {0:?}: host")]
    Mode(String),
    /// `targt=80`.
    #[error("unknown key {0:?}: mode, published, target, protocol")]
    Key(String),
    /// No `target=`.
    #[error("target is missing: write mode=host,published=8080,target=80")]
    NoTarget,
}

/// Reads `mode=host,published=8080,target=80,protocol=tcp`.
pub fn host_port(text: &str) -> Result<HostPort, BadPort> {
    if !text.contains('=') {
        let (ports, _) = text.split_once('/').unwrap_or((text, "tcp"));
        let (published, target) = ports.rsplit_once(':').unwrap_or((ports, ports));
        number(published)?;
        number(target)?;
        return Err(BadPort::Ingress(published.to_owned(), target.to_owned()));
    }
    let (mut published, mut target, mut protocol, mut is_host) = (None, None, "tcp", false);
    for part in text.split(',') {
        match part.split_once('=').unwrap_or((part, "")) {
            ("published", value) => published = Some(number(value)?),
            ("target", value) => target = Some(number(value)?),
            ("protocol", value @ ("tcp" | "udp" | "sctp")) => protocol = value,
            ("protocol", value) => return Err(BadPort::Protocol(value.to_owned())),
            ("mode", "host") => is_host = true,
            ("mode", "ingress") => is_host = false,
            ("mode", value) => return Err(BadPort::Mode(value.to_owned())),
            (key, _) => return Err(BadPort::Key(key.to_owned())),
        }
    }
    let target = target.ok_or(BadPort::NoTarget)?;
    let published = published.unwrap_or(target);
    if is_host {
        Ok(HostPort { published, target, protocol: protocol.to_owned() })
    } else {
        Err(BadPort::Ingress(published.to_string(), target.to_string()))
    }
}

fn number(text: &str) -> Result<u16, BadPort> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| BadPort::NotAPort(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_port_is_read_in_the_long_form() {
        let port = host_port("published=8080,target=80,mode=host,protocol=udp");
        let expected = HostPort { published: 8080, target: 80, protocol: "udp".to_owned() };
        assert_eq!(port, Ok(expected));
        let port = host_port("mode=host,target=80").expect("published is the target");
        assert_eq!((port.published, port.target), (80, 80));
    }

    #[test]
    fn the_short_form_is_told_how_to_write_it() {
        let bad = host_port("8080:80").expect_err("means the routing mesh");
        assert_eq!(bad, BadPort::Ingress("8080".to_owned(), "80".to_owned()));
        assert!(bad.to_string().ends_with("write mode=host,published=8080,target=80"), "{bad}");
    }

    #[test]
    fn every_part_is_checked() {
        assert_eq!(host_port("8o80:80"), Err(BadPort::NotAPort("8o80".to_owned())));
        assert_eq!(host_port("mode=host,target=0"), Err(BadPort::NotAPort("0".to_owned())));
        assert_eq!(host_port("mode=hots,target=80"), Err(BadPort::Mode("hots".to_owned())));
        assert_eq!(host_port("mode=host,targt=80"), Err(BadPort::Key("targt".to_owned())));
        assert_eq!(
            host_port("mode=host,target=80,protocol=tpc"),
            Err(BadPort::Protocol("tpc".to_owned()))
        );
        assert_eq!(host_port("mode=host,published=80"), Err(BadPort::NoTarget));
    }
}
