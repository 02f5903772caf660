//! last-location against an oracle computed outside the host.
