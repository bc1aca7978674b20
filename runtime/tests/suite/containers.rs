//! What only a container has, in each of the runtimes.
