//! What a misbehaving plugin cannot do to the host.
