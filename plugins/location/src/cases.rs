//! The values that the plugins' tests have in common; with feature `cases`.

use crate::Invalid::{Empty, Missing, NotAnObject, NotDegrees, NotJson, NotUtf8, OutOfRange, PatientId, Repeated, Ts};
use crate::{Invalid, MAX_PATIENT_ID};

/// Every rule with a value that breaks it, and it alone.
pub fn refused() -> Vec<(Vec<u8>, Invalid)> {
    let long_id = "7".repeat(MAX_PATIENT_ID + 1);
    let mut cases: Vec<(Vec<u8>, Invalid)> = [
        (r#""#, Empty),
        (r#" "#, NotJson(1, 1)),
        (r#"{"patientId":"1","lat":1,"lon":2"#, NotJson(1, 32)),
        (r#"{"patientId":"1","lat":1,"lon":2}}"#, NotJson(1, 34)),
        (r#"{"patientId":"1","lat":1,"lon":2,}"#, NotJson(1, 34)),
        (r#"{"patientId":"1","lat":01,"lon":2}"#, NotJson(1, 25)),
        (r#"{"patientId":"1","lat":1.,"lon":2}"#, NotJson(1, 26)),
        (r#"{"patientId":"1","lat":+1,"lon":2}"#, NotJson(1, 24)),
        (r#"{"patientId":"1","lat":NaN,"lon":2}"#, NotJson(1, 24)),
        (r#"{"patientId":"1","lat":1e999,"lon":2}"#, NotJson(1, 28)),
        (r#"{"patientId":"\ud800","lat":1,"lon":2}"#, NotJson(1, 21)),
        (r#"{'patientId':'1','lat':1,'lon':2}"#, NotJson(1, 2)),
        (r#"[{"patientId":"1","lat":1,"lon":2}]"#, NotAnObject),
        (r#""patientId""#, NotAnObject),
        (r#"123"#, NotAnObject),
        (r#"null"#, NotAnObject),
        (r#"{"patientId":"1","patientId":"2","lat":1,"lon":2}"#, Repeated("patientId")),
        (r#"{"patientId":"1","lat":1,"lat":1,"lon":2}"#, Repeated("lat")),
        (r#"{"patientId":"1","lat":1,"lon":2,"l\u006fn":2}"#, Repeated("lon")),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":null,"ts":1}"#, Repeated("ts")),
        (r#"{}"#, Missing("patientId")),
        (r#"{"patientid":"1","lat":1,"lon":2}"#, Missing("patientId")),
        (r#"{"patientId":null,"lat":1,"lon":2}"#, Missing("patientId")),
        (r#"{"patientId":"1","lon":2}"#, Missing("lat")),
        (r#"{"patientId":"1","lat":null,"lon":2}"#, Missing("lat")),
        (r#"{"patientId":"1","lat":1}"#, Missing("lon")),
        (r#"{"patientId":"1","lat":1,"lon":null}"#, Missing("lon")),
        (r#"{"patientId":"","lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":1.5,"lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":18446744073709551616,"lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":true,"lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":["1"],"lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":{"id":"1"},"lat":1,"lon":2}"#, PatientId),
        (r#"{"patientId":"1","lat":"38.7","lon":2}"#, NotDegrees("lat")),
        (r#"{"patientId":"1","lat":true,"lon":2}"#, NotDegrees("lat")),
        (r#"{"patientId":"1","lat":1,"lon":"-9.1"}"#, NotDegrees("lon")),
        (r#"{"patientId":"1","lat":1,"lon":[2]}"#, NotDegrees("lon")),
        (r#"{"patientId":"1","lat":90.00001,"lon":2}"#, OutOfRange("lat", 90.0)),
        (r#"{"patientId":"1","lat":-91,"lon":2}"#, OutOfRange("lat", 90.0)),
        (r#"{"patientId":"1","lat":1,"lon":180.5}"#, OutOfRange("lon", 180.0)),
        (r#"{"patientId":"1","lat":1,"lon":-1e300}"#, OutOfRange("lon", 180.0)),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":-1}"#, Ts),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":1.5}"#, Ts),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":1e3}"#, Ts),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":"1700000000000"}"#, Ts),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":18446744073709551616}"#, Ts),
        (r#"{"patientId":"1","lat":1,"lon":2,"ts":false}"#, Ts),
    ]
    .map(|(value, rule)| (value.as_bytes().to_vec(), rule))
    .into();
    cases.push((format!(r#"{{"patientId":"{long_id}","lat":1,"lon":2}}"#).into(), PatientId));
    cases.push((b"{\"patientId\":\"\xff\",\"lat\":1,\"lon\":2}".to_vec(), NotUtf8));
    cases.push((b"{\"patientId\":\"1\",\"lat\":1,\"lon\":2,\"ward\":\"\xc3\"}".to_vec(), NotUtf8));
    cases.push((b"\x00\x01\x02\xfe".to_vec(), NotUtf8));
    cases
}

/// A location of patient `1` at (1, 2) with extra fields of over 1 MiB, among
/// them lists too deep for a recursive reader.
pub fn with_large_extra_fields() -> Vec<u8> {
    let (notes, open, close) = ("x".repeat(1 << 20), "[".repeat(500), "]".repeat(500));
    format!(
        r#"{{"notes":"{notes}","deep":{open}{close},"patientId":"1","lat":1,"lon":2,"ward":{{"lat":"no","bed":7}}}}"#
    )
    .into_bytes()
}
