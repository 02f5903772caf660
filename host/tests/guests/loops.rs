//! Spins for ever on "loop".

guests::guest!(|record| {
    while guests::command(&record) == "loop" {
        std::hint::spin_loop();
    }
    Ok(guests::echo(record))
});
