//! Topics that grow, change their settings or go.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::kafka::Kafka;
use super::record::Record;
use super::wait::{PATIENCE, until};

/// Whether the broker refused a record.
#[derive(Default)]
struct Refused(AtomicBool);

impl ClientContext for Refused {}

impl ProducerContext for Refused {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_or(result.is_err(), Relaxed);
    }
}

impl Kafka {
    /// Gives `topic` more partitions, so many in all.
    #[track_caller]
    pub fn grow(&self, topic: &str, partitions: i32) {
        let grown = NewPartitions::new(topic, partitions as usize);
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.create_partitions([&grown], &options)).expect("topics can grow");
        answer.into_iter().next().expect("an answer").expect("the topic grows");
        until("the broker knows the new partitions", || self.partitions(topic) == partitions);
    }

    /// Sets `properties` of `topic`, and its others back to the broker's defaults.
    #[track_caller]
    pub fn alter(&self, topic: &str, properties: &[(&str, &str)]) {
        let altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let altered = properties.iter().fold(altered, |altered, (property, value)| altered.set(property, value));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.alter_configs([&altered], &options)).expect("topics can be altered");
        answer.into_iter().next().expect("an answer").expect("the settings are taken");
    }

    /// Waits until the broker refuses `record`: settings that it has taken apply a
    /// moment later. Before that `topic` takes it.
    #[track_caller]
    pub fn wait_until_refused(&self, topic: &str, record: &Record) {
        let producer: BaseProducer<Refused> =
            self.config().create_with_context(Refused::default()).expect("a producer");
        until("the broker refuses the record", || {
            let mut sending = BaseRecord::<[u8], [u8]>::to(topic);
            sending.key = record.key.as_deref();
            sending.payload = record.value.as_deref();
            producer.send(sending).map_err(|(error, _)| error).expect("the client takes it");
            producer.flush(PATIENCE).expect("the broker answers");
            producer.poll(Duration::ZERO);
            producer.context().0.load(Relaxed)
        });
    }

    /// Deletes `topic`, as `kafka-topics.sh --delete` does.
    #[track_caller]
    pub fn delete(&self, topic: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.delete_topics(&[topic], &options)).expect("topics can be deleted");
        answer.into_iter().next().expect("an answer").expect("the topic is there");
        until("the topic is gone", || self.partitions(topic) == 0);
    }
}
