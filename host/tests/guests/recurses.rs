//! Calls itself until the stack ends on "recurse".

use std::hint::black_box;

guests::guest!(|record| {
    if guests::command(&record) == "recurse" {
        black_box(deeper(0));
    }
    Ok(guests::echo(record))
});

#[expect(unconditional_recursion, reason = "what this guest is for")]
fn deeper(depth: u64) -> u64 {
    // Work after the call keeps it from becoming a loop.
    black_box(deeper(black_box(depth) + 1)) + 1
}
