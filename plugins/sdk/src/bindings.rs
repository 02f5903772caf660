//! What wit-bindgen makes of `wit/v1`; the crate's root names what is public.
//!
//! A world for each export: a component has those of the worlds that its
//! `export!` names, and imports only what it calls.

#![allow(missing_docs)]

wit_bindgen::generate!({
    path: "../../wit/v1",
    world: "plugin",
    generate_all,
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "gregor_sdk::bindings",
});

pub mod timed {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package gregor:sdk;
            world with-timers { export gregor:plugin/timer-processor@1.0.0; }
        ",
        with: {
            "gregor:plugin/types@1.0.0": crate::bindings::gregor::plugin::types,
            "gregor:plugin/timers@1.0.0": crate::bindings::gregor::plugin::timers,
        },
        pub_export_macro: true,
        export_macro_name: "export_timer_processor",
        default_bindings_module: "gregor_sdk::bindings::timed",
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package gregor:sdk;
            world with-lifecycle { export gregor:plugin/lifecycle@1.0.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
        default_bindings_module: "gregor_sdk::bindings::lifecycle",
    });
}

pub mod migration {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package gregor:sdk;
            world with-migration { export gregor:plugin/migration@1.0.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_migration",
        default_bindings_module: "gregor_sdk::bindings::migration",
    });
}
