//! The three plugins, with good and bad records.
