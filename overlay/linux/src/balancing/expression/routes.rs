//! What routes say of the addresses of a packet: `fib` in the language of `nft`.

use super::{REGISTER_BASE, Rule};

impl Rule {
    /// Goes on if the destination is an address of this namespace.
    pub(in super::super) fn destination_is_local(self) -> Self {
        const FLAG_DESTINATION: u32 = 2;
        self.local_address(FLAG_DESTINATION)
    }

    /// Goes on if the source is an address of this namespace.
    pub(in super::super) fn source_is_local(self) -> Self {
        const FLAG_SOURCE: u32 = 1;
        self.local_address(FLAG_SOURCE)
    }

    fn local_address(self, which: u32) -> Self {
        const RESULT_ADDRESS_TYPE: u32 = 3;
        const LOCAL: u32 = 2;
        self.expression("fib", |data| {
            data.number(1, REGISTER_BASE).number(2, RESULT_ADDRESS_TYPE).number(3, which);
        })
        .is(0, &LOCAL.to_ne_bytes())
    }

    /// Goes on if no answer to the source would leave by the device by which the packet came.
    pub(in super::super) fn source_is_not_behind_input(self) -> Self {
        self.answered_by_input().is(0, &[0; 4])
    }

    /// Goes on if an answer to the source leaves by the device by which the packet came.
    pub(in super::super) fn source_is_behind_input(self) -> Self {
        self.answered_by_input().differs(0, &[0; 4])
    }

    fn answered_by_input(self) -> Self {
        const RESULT_DEVICE: u32 = 1;
        const FLAGS_SOURCE_INPUT_PRESENT: u32 = 1 | 8 | 32;
        self.expression("fib", |data| {
            data.number(1, REGISTER_BASE)
                .number(2, RESULT_DEVICE)
                .number(3, FLAGS_SOURCE_INPUT_PRESENT);
        })
    }

    /// Loads the name of the device by which an answer to the source would leave; empty: by none.
    pub(in super::super) fn source_device(self) -> Self {
        const RESULT_DEVICE_NAME: u32 = 2;
        const FLAG_SOURCE: u32 = 1;
        self.expression("fib", |data| {
            data.number(1, REGISTER_BASE).number(2, RESULT_DEVICE_NAME).number(3, FLAG_SOURCE);
        })
    }
}
