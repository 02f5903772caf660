//! A plugin that needs an interface no host offers.

#[cfg(target_arch = "wasm32")]
wit_bindgen::generate!({
    inline: "
        package gregor:plugin-test;
        interface absent { call: func(); }
        world needy { import absent; }
    ",
});

guests::guest!(|record| {
    #[cfg(target_arch = "wasm32")]
    gregor::plugin_test::absent::call();
    Ok(guests::echo(record))
});
