//! What wit-bindgen makes of `wit/v1`; the crate's root names what is public.

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
