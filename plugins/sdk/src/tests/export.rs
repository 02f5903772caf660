use crate::export::{Implements, ImplementsNot as _};
use crate::testing::Exported;
use crate::timers::Domain;
use crate::{Failure, Input, Lifecycle, Migration, Output, Plugin, Timed};

macro_rules! plugin {
    ($name:ident) => {
        struct $name;
        impl Plugin for $name {
            fn process(_: Input) -> Result<Vec<Output>, Failure> {
                Ok(vec![])
            }
        }
    };
}

plugin!(Plain);
crate::export!(Plain);

plugin!(Whole);
crate::export!(Whole: Migration, Timed, Lifecycle);

impl Timed for Whole {
    fn on_timer(_: Domain, _: String, _: u64) -> Result<Vec<Output>, Failure> {
        Ok(vec![])
    }
}

impl Lifecycle for Whole {
    fn init() -> Result<(), String> {
        Ok(())
    }
}

impl Migration for Whole {
    fn migrate(_: String) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_plugin_exports_what_it_names_and_no_more() {
    let plain = Plain::exports();
    assert!(plain.on_timer.is_none() && plain.init.is_none() && plain.migrate.is_none());
    let whole = Whole::exports();
    assert!(whole.on_timer.is_some() && whole.init.is_some() && whole.migrate.is_some());
}

#[test]
fn a_trait_that_is_not_named_would_be_noticed() {
    const { assert!(!Implements::<Plain>::TIMED && !Implements::<Plain>::LIFECYCLE && !Implements::<Plain>::MIGRATION) };
    const { assert!(Implements::<Whole>::TIMED && Implements::<Whole>::LIFECYCLE && Implements::<Whole>::MIGRATION) };
}
