//! The cache a plugin sees: one partition, one stage.
