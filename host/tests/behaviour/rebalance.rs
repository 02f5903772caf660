//! Partitions on the move, and those that stay.
