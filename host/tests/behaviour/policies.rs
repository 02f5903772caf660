//! What a stage's policy makes of a failure.
