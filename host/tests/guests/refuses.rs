//! Rejects every record.

guests::guest!(|_record| Err(gregor_sdk::reject("as always")));
