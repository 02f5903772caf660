//! Every record once, in order, with all its parts.
