//! Allocates and touches block after block of 1 MiB on "eat".

guests::guest!(|record| {
    let mut blocks = Vec::new();
    while guests::command(&record) == "eat" {
        blocks.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    Ok(guests::echo(record))
});
