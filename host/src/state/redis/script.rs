//! What runs inside Redis, so that it happens whole or not at all.

use std::sync::LazyLock;

pub(super) struct Script {
    pub code: &'static str,
    /// By which Redis knows it once it was loaded.
    pub hash: String,
}

impl Script {
    fn new(code: &'static str) -> Script {
        Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }
}

macro_rules! fenced {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("guard.lua"), include_str!($file))))
    };
}

pub(super) static OPEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("open.lua")));
pub(super) static STAGE: LazyLock<Script> = fenced!("stage.lua");
pub(super) static PROMOTE: LazyLock<Script> = fenced!("promote.lua");
pub(super) static DISCARD: LazyLock<Script> = fenced!("discard.lua");
pub(super) static FORGET: LazyLock<Script> = fenced!("forget.lua");
