//! What `nft` keeps beside a map to show it as `typeof ip daddr . numgen random mod 2 : ip daddr`.
//!
//! Without it `nft list ruleset` shows a map that `nft -f` refuses, and a host that saves its rules
//! that way would start without any. The kernel only stores it. The bytes are those of `nft`
//! (`include/expression.h` and libnftnl's `udata.h`): records of kind, length and value, with numbers
//! in the byte order of the machine.

use super::field::Field;

const KEY_BYTE_ORDER: u8 = 0;
const DATA_BYTE_ORDER: u8 = 1;
const KEY_TYPE: u8 = 3;
const DATA_TYPE: u8 = 4;
const MERGE_ELEMENTS: u8 = 6;

const BYTE_ORDER_NONE: u32 = 0;
const BYTE_ORDER_NETWORK: u32 = 2;

const EXPRESSION: u8 = 0;
const EXPRESSION_DATA: u8 = 1;
const PAYLOAD: u32 = 7;
const META: u32 = 9;
const CONCATENATION: u32 = 13;
const NUMGEN: u32 = 23;

/// The data beside a set of `key`, which has several fields.
pub(super) fn describe_key(key: &[Field]) -> Vec<u8> {
    [number(KEY_BYTE_ORDER, BYTE_ORDER_NONE), record(KEY_TYPE, &fields(key))].concat()
}

/// The data beside a map from `key` to `value`.
pub(super) fn describe(key: &[Field], value: &[Field]) -> Vec<u8> {
    let order = if value.len() == 1 { BYTE_ORDER_NETWORK } else { BYTE_ORDER_NONE };
    [
        number(KEY_BYTE_ORDER, BYTE_ORDER_NONE),
        number(DATA_BYTE_ORDER, order),
        record(KEY_TYPE, &fields(key)),
        record(DATA_TYPE, &fields(value)),
        number(MERGE_ELEMENTS, 0),
    ]
    .concat()
}

fn fields(fields: &[Field]) -> Vec<u8> {
    if let [field] = fields {
        return expression(*field);
    }
    let parts = (0..).zip(fields).map(|(index, field)| record(index, &expression(*field)));
    let parts: Vec<u8> = parts.flatten().collect();
    of_kind(CONCATENATION, &parts)
}

fn expression(field: Field) -> Vec<u8> {
    let payload =
        |header, member| of_kind(PAYLOAD, &[number(0, header), number(1, member)].concat());
    match field {
        Field::Address4 => payload(12, 12),
        Field::Address6 => payload(13, 9),
        Field::Port => payload(11, 2),
        Field::Protocol => of_kind(META, &number(0, 16)),
        // 24 bits of the transport header, from bit 96 on: behind UDP and a word of VXLAN.
        Field::Vni => {
            let bits = [number(0, 0), number(1, 0), number(2, 3), number(3, 96), number(4, 24)];
            of_kind(PAYLOAD, &bits.concat())
        }
        Field::Slot => of_kind(NUMGEN, &[number(0, 1), number(1, 2), number(2, 0)].concat()),
    }
}

fn of_kind(kind: u32, data: &[u8]) -> Vec<u8> {
    [number(EXPRESSION, kind), record(EXPRESSION_DATA, data)].concat()
}

fn number(kind: u8, value: u32) -> Vec<u8> {
    record(kind, &value.to_ne_bytes())
}

fn record(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a few expressions are shorter than 256 bytes");
    [&[kind, length], value].concat()
}
