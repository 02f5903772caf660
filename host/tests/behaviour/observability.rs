//! What a running host tells about itself.
