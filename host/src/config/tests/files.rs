//! Files that the configuration names.

use std::fs;

use super::*;

const FILES: [&str; 6] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "https.ca.location",
    "sasl.kerberos.keytab",
];

#[test]
fn a_file_of_the_client_is_named_from_the_configurations_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    for property in FILES {
        let text = with_kafka(&format!("{property:?} = \"ca.pem\""));
        let errors = parse_in(dir.path(), &text).unwrap_err().to_string();
        let told =
            format!("gregor.toml:4: kafka.{property}: names {}, which cannot be read: No such file", path.display());
        assert!(errors.starts_with(&told), "{errors}");
    }
    fs::write(&path, "").unwrap();
    for property in FILES {
        for given in ["ca.pem", path.to_str().unwrap()] {
            let config = parse_in(dir.path(), &with_kafka(&format!("{property:?} = {given:?}"))).unwrap();
            assert_eq!(config.kafka.get(property), path.to_str());
        }
    }
}

#[test]
fn a_folder_of_authorities_and_the_machines_own_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("authorities")).unwrap();
    let config = |value: &str| parse_in(dir.path(), &with_kafka(&format!("\"ssl.ca.location\" = {value:?}"))).unwrap();
    assert_eq!(config("authorities").kafka.get("ssl.ca.location"), dir.path().join("authorities").to_str());
    assert_eq!(config("probe").kafka.get("ssl.ca.location"), Some("probe"));
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let line = problem(&with_kafka("\"ssl.ca.location\" = \"/dev/null\""));
    assert!(line.contains("names /dev/null, which cannot be read: it is neither a file nor a folder"), "{line}");
}
