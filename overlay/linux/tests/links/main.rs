//! Links of nodes against the real kernel, in namespaces that the tests make.

#[cfg(test)]
mod detour;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod members;
#[cfg(test)]
mod multicast;
#[cfg(test)]
mod name_server;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod segments;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tunnel;
