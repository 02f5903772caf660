//! The bounded run ends at the ends found at its start.
