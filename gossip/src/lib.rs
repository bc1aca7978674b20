//! gossip.
