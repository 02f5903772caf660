//! Stages and pipelines put together.
