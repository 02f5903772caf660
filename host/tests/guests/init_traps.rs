//! Exports `lifecycle` and panics there unless the config says `init = "ok"`.

guests::init!(panic!("the config must say init = \"ok\""));
