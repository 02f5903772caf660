//! Panics on "panic" and "trap", runs into `unreachable` on "unreachable".

guests::guest!(|record| match guests::command(&record) {
    "trap" | "panic" => panic!("as commanded"),
    #[cfg(target_arch = "wasm32")]
    "unreachable" => core::arch::wasm32::unreachable(),
    _ => Ok(guests::echo(record)),
});
