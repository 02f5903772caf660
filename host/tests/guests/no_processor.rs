//! A component that is no plugin: it exports something else.

#[cfg(target_arch = "wasm32")]
mod greeter {
    wit_bindgen::generate!({
        inline: "
            package gregor:plugin-test;
            interface greeter { greet: func() -> string; }
            world greeting { export greeter; }
        ",
    });

    struct Greeter;

    impl exports::gregor::plugin_test::greeter::Guest for Greeter {
        fn greet() -> String {
            "hello".into()
        }
    }

    export!(Greeter);
}
