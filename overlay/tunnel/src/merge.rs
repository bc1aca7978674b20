//! Packets of one flow that follow each other, handed to the kernel as one. Pure.
//!
//! Each write to a TUN device takes the packet through the whole stack of the machine. A batch takes
//! one way as far as the socket of VXLAN, is split there, and what was one segment of TCP on the
//! other side becomes one again. The form is that of virtio (`struct virtio_net_hdr`, segments of
//! UDP since Linux 6.2). Only packets with the same headers are merged, up to and with that of
//! VXLAN: rules that look at the first see all.

/// The header in front of every packet of the device.
pub const VIRTIO_HEADER: usize = 10;

const IPV6_HEADER: usize = 40;
const HEADERS: usize = IPV6_HEADER + 8;
const VXLAN_HEADER: usize = 8;

/// A batch is one IP packet for the kernel.
const BYTES_MAX: usize = 65_000;

/// The kernel splits into no more.
const SEGMENTS_MAX: usize = 64;

const NEEDS_CHECKSUM: u8 = 1;
const SPLIT_UDP: u8 = 5;
const CHECKSUM_OFFSET: u16 = 6;
const UDP: u8 = 17;

/// Packets that wait to be handed on.
pub struct Merged {
    /// The header of virtio, the first packet, and the contents of those after it.
    buffer: Vec<u8>,
    /// The length of the contents of the first.
    segment: usize,
    count: usize,
    is_closed: bool,
}

impl Merged {
    /// None yet.
    pub fn new() -> Merged {
        let buffer = Vec::with_capacity(VIRTIO_HEADER + BYTES_MAX);
        Merged { buffer, segment: 0, count: 0, is_closed: false }
    }

    /// Takes a packet of UDP over IPv6. Returns whether it was taken: if not, what waits is to be
    /// handed on first.
    #[must_use]
    pub fn push(&mut self, packet: &[u8]) -> bool {
        if self.count == 0 {
            self.buffer.clear();
            self.buffer.resize(VIRTIO_HEADER, 0);
            self.buffer.extend_from_slice(packet);
            self.segment = packet.len().saturating_sub(HEADERS);
            self.is_closed = self.segment < VXLAN_HEADER;
            self.count = 1;
            return true;
        }
        if !self.fits(packet) {
            return false;
        }
        self.buffer.extend_from_slice(&packet[HEADERS..]);
        self.is_closed = packet.len() < HEADERS + self.segment;
        self.count += 1;
        true
    }

    fn fits(&self, packet: &[u8]) -> bool {
        let first = &self.buffer[VIRTIO_HEADER..];
        let is_same = |from: usize, to: usize| packet[from..to] == first[from..to];
        let has_headers = packet.len() >= HEADERS + VXLAN_HEADER;
        // All but the two lengths and the checksum.
        !self.is_closed
            && has_headers
            && packet.len() <= HEADERS + self.segment
            && self.count < SEGMENTS_MAX
            && first.len() + self.segment <= BYTES_MAX
            && is_same(0, 4)
            && is_same(6, IPV6_HEADER + 4)
            && is_same(HEADERS, HEADERS + VXLAN_HEADER)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// All of them as the kernel takes them, with the header of virtio.
    pub fn whole(&mut self) -> &[u8] {
        if self.count > 1 {
            let (virtio, packet) = self.buffer.split_at_mut(VIRTIO_HEADER);
            let bytes = u16::try_from(packet.len() - IPV6_HEADER).expect("below the limit");
            packet[4..6].copy_from_slice(&bytes.to_be_bytes());
            packet[IPV6_HEADER + 4..IPV6_HEADER + 6].copy_from_slice(&bytes.to_be_bytes());
            let sum = pseudo_header_sum(packet, bytes);
            packet[IPV6_HEADER + 6..HEADERS].copy_from_slice(&sum.to_be_bytes());
            let segment = u16::try_from(self.segment).expect("below the limit");
            (virtio[0], virtio[1]) = (NEEDS_CHECKSUM, SPLIT_UDP);
            let numbers = [HEADERS as u16, segment, IPV6_HEADER as u16, CHECKSUM_OFFSET];
            for (place, number) in virtio[2..].chunks_mut(2).zip(numbers) {
                place.copy_from_slice(&number.to_ne_bytes());
            }
        }
        &self.buffer
    }

    /// Each of them by itself, with the header of virtio, for a kernel that splits none.
    pub fn each(&self, mut hand_on: impl FnMut(&[u8])) {
        let (headers, contents) = self.buffer[VIRTIO_HEADER..].split_at(HEADERS);
        for content in contents.chunks(self.segment.max(1)) {
            let bytes = u16::try_from(8 + content.len()).expect("below the limit");
            let mut packet = vec![0; VIRTIO_HEADER];
            packet.extend_from_slice(headers);
            packet.extend_from_slice(content);
            let ip = VIRTIO_HEADER;
            packet[ip + 4..ip + 6].copy_from_slice(&bytes.to_be_bytes());
            let udp = ip + IPV6_HEADER;
            packet[udp + 4..udp + 6].copy_from_slice(&bytes.to_be_bytes());
            let sum = checksum(&packet[ip..], bytes);
            packet[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
            hand_on(&packet);
        }
    }

    /// Forgets what was handed on.
    pub fn clear(&mut self) {
        self.count = 0;
    }
}

/// The sum over addresses, length and protocol, which the kernel completes.
fn pseudo_header_sum(packet: &[u8], bytes: u16) -> u16 {
    fold(sum(&packet[8..IPV6_HEADER]) + u32::from(bytes) + u32::from(UDP))
}

/// The whole checksum of UDP.
fn checksum(packet: &[u8], bytes: u16) -> u16 {
    let udp = &packet[IPV6_HEADER..];
    let without_itself = sum(&udp[..6]) + sum(&udp[8..]);
    match !fold(without_itself + u32::from(pseudo_header_sum(packet, bytes))) {
        0 => u16::MAX,
        sum => sum,
    }
}

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words.map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from)).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("it was folded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(port: u16, vni: u8, content: &[u8]) -> Vec<u8> {
        let bytes = u16::try_from(8 + VXLAN_HEADER + content.len()).expect("short");
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(bytes.to_be_bytes());
        packet.extend([UDP, 64]);
        packet.extend([0xfd; 32]);
        for number in [port, 4789, bytes, 0] {
            packet.extend(number.to_be_bytes());
        }
        packet.extend([8, 0, 0, 0, 0, 0, vni, 0]);
        packet.extend(content);
        let sum = checksum(&packet, bytes);
        packet[46..48].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    fn push_all(packets: &[Vec<u8>]) -> (Merged, usize) {
        let mut merged = Merged::new();
        let taken = packets.iter().take_while(|packet| merged.push(packet)).count();
        (merged, taken)
    }

    #[test]
    fn packets_of_one_flow_are_merged_and_a_shorter_one_ends_that() {
        let all = [packet(1, 7, &[1; 100]), packet(1, 7, &[2; 100]), packet(1, 7, &[3; 60])];
        let (mut merged, taken) = push_all(&[&all[..], &all[2..]].concat());
        assert_eq!((taken, merged.count()), (3, 3));
        let whole = merged.whole();
        assert_eq!(whole[..2], [NEEDS_CHECKSUM, SPLIT_UDP]);
        let number = |at: usize| u16::from_ne_bytes([whole[at], whole[at + 1]]);
        assert_eq!([number(2), number(4), number(6), number(8)], [48, 108, 40, 6]);
        let length = 8 + 108 + 108 + 68;
        assert_eq!(whole.len(), VIRTIO_HEADER + 40 + usize::from(length as u16));
        assert_eq!(whole[14..16], (length as u16).to_be_bytes());
        let mut single = Vec::new();
        merged.each(|packet| single.push(packet[VIRTIO_HEADER..].to_vec()));
        assert_eq!(single, all);
    }

    #[test]
    fn a_checksum_makes_the_sum_over_everything_all_ones() {
        for length in [1, 2, 3, 100, 1364] {
            let packet = packet(1, 7, &vec![0xab; length]);
            let bytes = u32::try_from(packet.len() - IPV6_HEADER).expect("short");
            let mut words: Vec<u8> = packet[8..].to_vec();
            words.resize(words.len().next_multiple_of(2), 0);
            let words = words.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
            let mut sum = words.sum::<u32>() + bytes + u32::from(UDP);
            sum = (sum & 0xffff) + (sum >> 16);
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{length}");
        }
    }

    #[test]
    fn what_differs_in_a_header_is_not_merged() {
        let first = packet(1, 7, &[1; 100]);
        let mut other_class = first.clone();
        other_class[1] = 0x10;
        for other in [
            packet(2, 7, &[1; 100]),
            packet(1, 8, &[1; 100]),
            packet(1, 7, &[1; 101]),
            first[..50].to_vec(),
            first[..20].to_vec(),
            other_class,
        ] {
            assert_eq!(push_all(&[first.clone(), other]).1, 1);
        }
        let tiny = first[..50].to_vec();
        assert_eq!(push_all(&[tiny.clone(), tiny]).1, 1);
    }

    #[test]
    fn a_batch_is_no_larger_than_the_kernel_takes_and_one_packet_stays_as_it_is() {
        let (mut merged, taken) = push_all(&vec![packet(1, 7, &[1; 1364]); 100]);
        assert!(merged.whole().len() < 65_535 && taken > 40, "{taken}");
        assert_eq!(push_all(&vec![packet(1, 7, &[1; 4]); 100]).1, SEGMENTS_MAX);
        let one = packet(1, 7, &[1; 100]);
        let (mut merged, _) = push_all(std::slice::from_ref(&one));
        assert_eq!(merged.whole(), [&[0; VIRTIO_HEADER][..], &one].concat());
        merged.clear();
        assert!(merged.push(&packet(2, 7, &[1; 100])));
    }
}
