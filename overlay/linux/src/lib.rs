//! What applies the overlay plan to Linux: network namespaces, links, routes and balancing.
