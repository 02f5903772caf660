use super::*;

fn parsed(value: &str) -> Location<'_> {
    parse(value.as_bytes()).unwrap_or_else(|invalid| panic!("{value}: {invalid}"))
}

#[test]
fn the_four_fields_are_read_in_any_order_with_any_spacing() {
    let expected = Location { patient_id: "123".into(), lat: 38.7167, lon: -9.1333, ts: Some(1_700_000_000_000) };
    for value in [
        r#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333, "ts": 1700000000000}"#,
        r#"{"patientId":"123","lat":38.7167,"lon":-9.1333,"ts":1700000000000}"#,
        r#"{"ts":1700000000000,"lon":-9.1333,"lat":38.7167,"patientId":"123"}"#,
        "\t{ \"lat\" :\r\n 3.87167e1 ,\"lon\":-91333e-4,\"patientId\":\"\\u0031\\u00323\" , \"ts\":1700000000000 }\n",
    ] {
        assert_eq!(parsed(value), expected, "{value}");
    }
}

#[test]
fn a_time_that_is_absent_or_null_is_none() {
    assert_eq!(parsed(r#"{"patientId":"1","lat":1,"lon":2}"#).ts, None);
    assert_eq!(parsed(r#"{"patientId":"1","lat":1,"lon":2,"ts":null}"#).ts, None);
    assert_eq!(parsed(r#"{"patientId":"1","lat":1,"lon":2,"ts":0}"#).ts, Some(0));
}

#[test]
fn an_integer_as_patient_is_its_decimal_text() {
    for (id, text) in [
        ("123", "123"),
        ("0", "0"),
        ("-5", "-5"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        let value = format!(r#"{{"patientId":{id},"lat":1,"lon":2}}"#);
        assert_eq!(parsed(&value).patient_id, text);
    }
}

#[test]
fn a_patient_id_may_have_512_bytes_of_any_text() {
    let longest = "é".repeat(MAX_PATIENT_ID / 2);
    for (id, text) in [(&*longest, &*longest), (r#"a\"b\\c\n\ud83d\ude00"#, "a\"b\\c\n😀")] {
        let value = format!(r#"{{"patientId":"{id}","lat":1,"lon":2}}"#);
        assert_eq!(parsed(&value).patient_id, text);
    }
}

#[test]
fn the_poles_and_the_date_line_are_within_range() {
    let location = parsed(r#"{"patientId":"1","lat":-90,"lon":180.0}"#);
    assert_eq!((location.lat, location.lon), (-90.0, 180.0));
}

#[test]
fn coordinates_are_rounded_as_the_standard_library_does() {
    for degrees in [
        "38.71670000000000000000000000000001",
        "9.000000000000000888178419700125232338905334472656",
        "17.999999999999998223643160599749535322189331054688",
        "0.1",
        "1e-320",
        "-0.0",
        "89.99999999999999",
        "38.716700000000003",
        "9007199254740993e-15",
    ] {
        let value = format!(r#"{{"patientId":"1","lat":{degrees},"lon":2}}"#);
        let exact: f64 = degrees.parse().expect("a number");
        assert_eq!(parsed(&value).lat.to_bits(), exact.to_bits(), "{degrees}");
    }
}

#[test]
fn other_fields_are_ignored_however_large() {
    let value = cases::with_large_extra_fields();
    assert!(value.len() > 1 << 20);
    let location = parse(&value).expect("a location");
    assert_eq!((&*location.patient_id, location.lat, location.lon), ("1", 1.0, 2.0));
}

#[test]
fn every_bad_value_is_refused_for_its_own_reason() {
    for (value, rule) in cases::refused() {
        let shown = String::from_utf8_lossy(&value);
        assert_eq!(parse(&value), Err(rule), "{shown}");
    }
}

#[test]
fn a_reason_never_quotes_the_value() {
    let secret = "SECRET";
    for value in [
        format!(r#""{secret}""#),
        format!(r#"{{"patientId":"1","lat":"{secret}","lon":2}}"#),
        format!(r#"{{"patientId":["{secret}"],"lat":1,"lon":2}}"#),
        format!(r#"{{"patientId":"1","lat":1,"lon":2,"ts":"{secret}"}}"#),
        format!(r#"{{"patientId":"{secret}","lat":1,"lon":2"#),
        format!(r#"{{"patientId":"1",{secret}"#),
    ] {
        let reason = parse(value.as_bytes()).expect_err("a bad value").to_string();
        assert!(!reason.contains(secret), "{reason}");
    }
}

#[test]
fn a_tombstone_is_for_the_patient_its_key_names() {
    assert_eq!(patient_of_tombstone(Some(b"123")), Ok("123"));
    let (longest, longer) = ([b'7'; MAX_PATIENT_ID], [b'7'; MAX_PATIENT_ID + 1]);
    assert!(patient_of_tombstone(Some(&longest)).is_ok());
    for key in [None, Some(&b""[..]), Some(b"\xff"), Some(&longer)] {
        assert_eq!(patient_of_tombstone(key), Err(Invalid::TombstoneKey));
    }
}
