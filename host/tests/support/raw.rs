//! Records that rdkafka's own types cannot hold.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};

use rdkafka::bindings::{
    rd_kafka_produceva, rd_kafka_vtype_t, rd_kafka_vu_s__bindgen_ty_1 as Field,
    rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as Bytes, rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 as Header,
    rd_kafka_vu_t,
};
use rdkafka::producer::{BaseProducer, Producer};

use super::kafka::kafka;
use super::wait::PATIENCE;

/// `RD_KAFKA_MSG_F_COPY`: the library copies the value.
const COPY: i32 = 2;

/// Produces a record without a key, with one header whose name any bytes may make up.
pub fn produce_with_header(topic: &str, value: &str, name: &CStr, header: &str) {
    use rd_kafka_vtype_t::{
        RD_KAFKA_VTYPE_HEADER, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_VTYPE_TOPIC, RD_KAFKA_VTYPE_VALUE,
    };

    let producer: BaseProducer = kafka().producer(&[]);
    let topic = CString::new(topic).expect("a topic without a NUL");
    let bytes = Bytes { ptr: value.as_ptr().cast_mut().cast(), size: value.len() };
    let pair = Header { name: name.as_ptr(), val: header.as_ptr().cast(), size: header.len() as isize };
    let fields = [
        rd_kafka_vu_t { vtype: RD_KAFKA_VTYPE_TOPIC, u: Field { cstr: topic.as_ptr() } },
        rd_kafka_vu_t { vtype: RD_KAFKA_VTYPE_VALUE, u: Field { mem: bytes } },
        rd_kafka_vu_t { vtype: RD_KAFKA_VTYPE_HEADER, u: Field { header: pair } },
        rd_kafka_vu_t { vtype: RD_KAFKA_VTYPE_MSGFLAGS, u: Field { i: COPY } },
    ];
    // SAFETY: the fields and what they point to outlive the call, which copies them.
    let error = unsafe { rd_kafka_produceva(producer.client().native_ptr(), fields.as_ptr(), fields.len()) };
    assert!(error.is_null(), "the client library takes any header");
    producer.flush(PATIENCE).expect("the record is acknowledged");
}
