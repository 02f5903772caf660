//! From a type to a component's exports.

use std::marker::PhantomData;

use crate::{Lifecycle, Migration, Plugin, Timed};

/// Makes a type the plugin that this crate builds, with the exports it names:
///
/// | | exports |
/// |---|---|
/// | `export!(Shout)` | [`Plugin`] |
/// | `export!(Shout: Timed)` | and [`Timed`] |
/// | `export!(Shout: Timed, Lifecycle)` | and [`Lifecycle`] |
/// | `export!(Shout: Timed, Lifecycle, Migration)` | and [`Migration`], in any order and number |
///
/// A trait that the type implements but the list leaves out does not compile:
/// the host would never call it.
#[macro_export]
macro_rules! export {
    ($plugin:ident $(: $($part:ident),+)?) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_component!($plugin with_types_in $crate::bindings);
        $($($crate::export!(@component $plugin $part);)+)?

        #[cfg(not(target_arch = "wasm32"))]
        impl $crate::testing::Exported for $plugin {
            fn exports() -> $crate::testing::Exports {
                #[allow(unused_mut)]
                let mut exports = $crate::testing::Exports::new(<$plugin as $crate::Plugin>::process);
                $($($crate::export!(@call exports $plugin $part);)+)?
                exports
            }
        }

        const _: () = {
            #[allow(unused_imports)]
            use $crate::export::{Implements, ImplementsNot as _};
            assert!(
                !Implements::<$plugin>::TIMED $($(|| $crate::export!(@is_timed $part))+)?,
                "the type implements `Timed`, but `export!` does not name it: write `export!(Type: Timed)`",
            );
            assert!(
                !Implements::<$plugin>::LIFECYCLE $($(|| $crate::export!(@is_lifecycle $part))+)?,
                "the type implements `Lifecycle`, but `export!` does not name it: write `export!(Type: Lifecycle)`",
            );
            assert!(
                !Implements::<$plugin>::MIGRATION $($(|| $crate::export!(@is_migration $part))+)?,
                "the type implements `Migration`, but `export!` does not name it: write `export!(Type: Migration)`",
            );
        };
    };

    (@component $plugin:ident Timed) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::timed::export_timer_processor!($plugin with_types_in $crate::bindings::timed);
    };
    (@component $plugin:ident Lifecycle) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::lifecycle::export_lifecycle!($plugin with_types_in $crate::bindings::lifecycle);
    };
    (@component $plugin:ident Migration) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::migration::export_migration!($plugin with_types_in $crate::bindings::migration);
    };

    (@call $exports:ident $plugin:ident Timed) => {
        $exports.on_timer = Some(<$plugin as $crate::Timed>::on_timer);
    };
    (@call $exports:ident $plugin:ident Lifecycle) => {
        $exports.init = Some(<$plugin as $crate::Lifecycle>::init);
    };
    (@call $exports:ident $plugin:ident Migration) => {
        $exports.migrate = Some(<$plugin as $crate::Migration>::migrate);
    };

    (@is_timed Timed) => { true };
    (@is_timed $other:ident) => { false };
    (@is_lifecycle Lifecycle) => { true };
    (@is_lifecycle $other:ident) => { false };
    (@is_migration Migration) => { true };
    (@is_migration $other:ident) => { false };
}

/// Which traits `T` implements: its own constants where it does, those of
/// [`ImplementsNot`] where it does not.
pub struct Implements<T>(PhantomData<T>);

pub trait ImplementsNot {
    const TIMED: bool = false;
    const LIFECYCLE: bool = false;
    const MIGRATION: bool = false;
}

impl<T: Plugin> ImplementsNot for Implements<T> {}

impl<T: Timed> Implements<T> {
    pub const TIMED: bool = true;
}

impl<T: Lifecycle> Implements<T> {
    pub const LIFECYCLE: bool = true;
}

impl<T: Migration> Implements<T> {
    pub const MIGRATION: bool = true;
}
