//! Exports `lifecycle` and refuses its config unless it says `init = "ok"`.

guests::init!(Err("the config must say init = \"ok\"".into()));
