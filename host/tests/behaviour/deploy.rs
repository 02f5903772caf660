//! Replacing a plugin while records flow.
