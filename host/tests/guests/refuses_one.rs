//! Rejects what has the key `bad-patient`, and echoes all else.

guests::guest!(|record| match record.key.as_deref() {
    Some(b"bad-patient") => Err(gregor_sdk::reject("of all keys, this one")),
    _ => Ok(guests::echo(record)),
});
