//! The overlay network between tasks: a pure plan, and what applies it to Linux.
//!
//! Nothing is here yet: tasks use their node's network. The folder marks where VXLAN, nftables and
//! names will live, and who may import it.
