//! The parts of keys and values of maps.

/// What a part of a key or a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// An address of IPv4.
    Address4,
    /// An address of IPv6.
    Address6,
    /// A protocol above IP.
    Protocol,
    /// A port.
    Port,
    /// The number of a slot, in the byte order of the machine.
    Slot,
    /// The number of a network in VXLAN.
    Vni,
}

impl Field {
    /// Its length in a register.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Address6 => 16,
            _ => 4,
        }
    }

    /// The number by which `nft` knows it. A slot and the number of a network are integers, whose
    /// length `nft` learns by `typeof_data` only.
    pub(super) const fn kind(self) -> u32 {
        match self {
            Self::Address4 => 7,
            Self::Address6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Slot | Self::Vni => 4,
        }
    }
}
