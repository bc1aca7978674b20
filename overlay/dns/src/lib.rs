//! The name server of containers.
