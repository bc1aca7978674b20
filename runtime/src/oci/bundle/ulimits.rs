//! The limits of each process of a container, as in `setrlimit`.

use crdt_state::spec::Ulimit;
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

use super::{BundleError, HostFeatures};

/// Docker's names.
const NAMES: [(&str, PosixRlimitType); 15] = [
    ("core", PosixRlimitType::RlimitCore),
    ("cpu", PosixRlimitType::RlimitCpu),
    ("data", PosixRlimitType::RlimitData),
    ("fsize", PosixRlimitType::RlimitFsize),
    ("locks", PosixRlimitType::RlimitLocks),
    ("memlock", PosixRlimitType::RlimitMemlock),
    ("msgqueue", PosixRlimitType::RlimitMsgqueue),
    ("nice", PosixRlimitType::RlimitNice),
    ("nofile", PosixRlimitType::RlimitNofile),
    ("nproc", PosixRlimitType::RlimitNproc),
    ("rss", PosixRlimitType::RlimitRss),
    ("rtprio", PosixRlimitType::RlimitRtprio),
    ("rttime", PosixRlimitType::RlimitRttime),
    ("sigpending", PosixRlimitType::RlimitSigpending),
    ("stack", PosixRlimitType::RlimitStack),
];

/// Reads the limits; of two with one name the later wins. Limits that are not given are inherited
/// from the agent.
pub fn ulimits(asked: &[Ulimit], machine: &HostFeatures) -> Result<Vec<PosixRlimit>, BundleError> {
    let mut limits: Vec<PosixRlimit> = Vec::new();
    for ulimit in asked {
        let limit = one(ulimit)?;
        let open_files = limit.typ() == PosixRlimitType::RlimitNofile;
        if open_files && limit.hard() > machine.open_files_max && !machine.holds_sys_resource() {
            return Err(BundleError::UlimitTooHigh { max: machine.open_files_max });
        }
        limits.retain(|known| known.typ() != limit.typ());
        limits.push(limit);
    }
    Ok(limits)
}

fn one(ulimit: &Ulimit) -> Result<PosixRlimit, BundleError> {
    let Ulimit { name, soft, hard } = ulimit;
    let (soft, hard) = (*soft, *hard);
    let known = NAMES.iter().find(|(known, _)| known == name);
    let (_, typ) = known.ok_or_else(|| BundleError::UnknownUlimit(name.clone()))?;
    let amount = |value: i64| match value {
        -1 => Ok(u64::MAX),
        value => {
            u64::try_from(value).map_err(|_| BundleError::UlimitValue { name: name.clone(), value })
        }
    };
    if amount(soft)? > amount(hard)? {
        return Err(BundleError::UlimitOrder { name: name.clone(), soft, hard });
    }
    let limit = PosixRlimitBuilder::default().typ(*typ).soft(amount(soft)?).hard(amount(hard)?);
    Ok(limit.build().expect("every field has a default"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    fn read(name: &str, soft: i64, hard: i64) -> Result<Vec<PosixRlimit>, BundleError> {
        let machine = HostFeatures { capabilities: 0, open_files_max: 20_000, ..machine() };
        ulimits(&[Ulimit { name: name.to_owned(), soft, hard }], &machine)
    }

    #[test]
    fn a_limit_has_a_soft_and_a_hard_side_and_may_be_without_end() {
        let limits = read("memlock", 65_536, -1).expect("well formed");
        assert_eq!((limits[0].soft(), limits[0].hard()), (65_536, u64::MAX));
        assert_eq!(limits[0].typ(), PosixRlimitType::RlimitMemlock);
    }

    #[test]
    fn the_later_of_two_limits_counts() {
        let limit = |soft| Ulimit { name: "nofile".to_owned(), soft, hard: 2_000 };
        let limits = ulimits(&[limit(1), limit(2)], &machine()).expect("well formed");
        assert_eq!(limits.iter().map(PosixRlimit::soft).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused_with_a_reason() {
        assert!(matches!(read("files", 1, 1), Err(BundleError::UnknownUlimit(_))));
        assert!(matches!(read("core", 2, 1), Err(BundleError::UlimitOrder { .. })));
        assert!(matches!(read("core", -1, 1), Err(BundleError::UlimitOrder { .. })));
        assert!(matches!(read("core", -2, 1), Err(BundleError::UlimitValue { .. })));
        assert!(matches!(read("nofile", 1, 30_000), Err(BundleError::UlimitTooHigh { .. })));
        assert!(read("nofile", 1, 20_000).is_ok());
    }
}
