//! Records that rdkafka's own types cannot hold.
#![allow(unsafe_code)]

use std::ffi::{CString, c_void};
use std::ptr;

use rdkafka::bindings::{RD_KAFKA_RESP_ERR_NO_ERROR_VALUE as OK, rd_kafka_vtype_t as Kind, rd_kafka_vu_t};
use rdkafka::producer::{BaseProducer, Producer};

/// Placeholder so that the module's names are clear.
