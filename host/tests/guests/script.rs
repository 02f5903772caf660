//! Does what each line of the value says; `src/script.rs` has the commands.

guests::guest!(|record| guests::script::play(record));
