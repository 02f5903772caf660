//! As `script`, and exports `migration`: every entry goes to `new/<key>`, page by
//! page; `m/times` counts the migrations and `m/from` has the version before.
//!
//! An entry under `reject`, `trap` or `endless` ends it that way, after all that.

guests::guest!(|record| guests::script::play(record));

#[cfg(target_arch = "wasm32")]
mod migration {
    use gregor_sdk::cache;

    // Only this export: its world and the plugin's are merged when the
    // component is made.
    wit_bindgen::generate!({
        path: "../../../wit/v1",
        inline: "
            package gregor:plugin-test;
            world with-migration { export gregor:plugin/migration@1.0.0; }
        ",
    });

    impl exports::gregor::plugin::migration::Guest for super::Guest {
        fn migrate(from_version: String) -> Result<(), String> {
            let mut after = None;
            loop {
                let page = cache::scan("", after.as_deref(), 10);
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, value) in page.into_iter().filter(|(key, _)| !key.contains('/')) {
                    cache::set(&format!("new/{key}"), &value, None).map_err(|_| "no room")?;
                    cache::delete(&key);
                }
            }
            cache::increment("m/times", 1).map_err(|_| "no number")?;
            cache::set("m/from", from_version.as_bytes(), None).map_err(|_| "no room")?;
            match ["reject", "trap", "endless"].map(|key| cache::get(&format!("new/{key}")).is_some()) {
                [true, _, _] => Err("a canary of the plugin's".to_owned()),
                [_, true, _] => panic!("a canary of the plugin's"),
                [_, _, true] => loop {
                    std::hint::black_box(&after);
                },
                _ => Ok(()),
            }
        }
    }

    export!(Guest with_types_in self);

    use super::Guest;
}
