//! Bindings of both drafts of `wasi:keyvalue` that toolchains and hosts use.

/// 0.2.0-draft2: the newer one, with compare-and-swap.
pub mod draft2 {
    wasmtime::component::bindgen!({
        path: "../wit/v1/deps/keyvalue",
        world: "imports",
        imports: { default: trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::plugin::keyvalue::Bucket,
            "wasi:keyvalue/atomics.cas": crate::plugin::keyvalue::Cas,
        },
    });
}

/// 0.2.0-draft: cursors are numbers, counters have no sign.
pub mod draft {
    wasmtime::component::bindgen!({
        path: "../wit/v1/deps/keyvalue-draft",
        world: "imports",
        imports: { default: trappable },
        with: { "wasi:keyvalue/store.bucket": crate::plugin::keyvalue::Bucket },
    });
}
