//! node-core.
