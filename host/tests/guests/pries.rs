//! Tries what no plugin may do and tells as JSON what it got:
//! `{"read_file":false,"read_dir":false,"env":0,"args":0,"connect":false}`.

use std::net::TcpStream;
use std::{env, fs};

guests::guest!(|record| Ok(guests::answer(
    record,
    format!(
        r#"{{"read_file":{},"read_dir":{},"env":{},"args":{},"connect":{}}}"#,
        fs::read_to_string("/etc/passwd").is_ok(),
        fs::read_dir("/").is_ok(),
        env::vars().count(),
        env::args().count(),
        TcpStream::connect("127.0.0.1:9").is_ok(),
    ),
)));
