//! Behaves: gives each record back as it came.

guests::guest!(|record| Ok(guests::echo(record)));
