//! The overlay network between tasks: a pure plan, and what applies it to Linux.
//!
//! Nothing is here yet: tasks use their node's network. The folder reserves the place for VXLAN,
//! nftables and names, and fixes which packages may import it.
