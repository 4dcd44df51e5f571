//! Records that can never be processed, put aside unchanged.

use crate::settings::Settings;
use rdkafka::client::ClientContext;
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use std::sync::mpsc::{Receiver, Sender, channel};

type Delivered = Result<(), String>;

struct Deliveries;

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Sender<Delivered>>;

    fn delivery(&self, result: &DeliveryResult<'_>, to: Self::DeliveryOpaque) {
        // Nobody listens any more when the program is on its way out after an error.
        let _ = to.send(result.as_ref().map(|_| ()).map_err(|(e, _)| e.to_string()));
    }
}

pub struct DeadLetters {
    topic: Option<String>,
    group: String,
    producer: ThreadedProducer<Deliveries>,
}

impl DeadLetters {
    pub fn new(s: &Settings) -> Self {
        let producer = s.producer().create_with_context(Deliveries).expect("the producer's settings");
        DeadLetters { topic: s.dead_letters.clone(), group: s.group.clone(), producer }
    }

    /// Sends the dead letter. It is there when the receiver says so, and only then: within delivery.timeout.ms.
    pub fn send(&self, m: &OwnedMessage, attempts: u32, reason: &str) -> Result<Receiver<Delivered>, String> {
        let Some(topic) = &self.topic else {
            return Err(format!("{reason}; set KSIM_DLQ_TOPIC to go on without such records"));
        };
        let mut headers = OwnedHeaders::new();
        for h in m.headers().into_iter().flat_map(|h| h.iter()) {
            headers = headers.insert(h);
        }
        let short: String = reason.chars().take(1024).collect();
        for (name, value) in [
            ("topic", m.topic().to_string()), // KIP-1191's names
            ("partition", m.partition().to_string()),
            ("offset", m.offset().to_string()),
            ("group", self.group.clone()),
            ("delivery.count", attempts.to_string()),
            ("message", short),
        ] {
            headers = headers.insert(Header { key: &format!("__dlq.errors.{name}"), value: Some(&value) });
        }
        let (to, delivered) = channel();
        let mut letter: BaseRecord<'_, [u8], [u8], _> = BaseRecord::with_opaque_to(topic, Box::new(to)).headers(headers);
        letter.key = m.key();
        letter.payload = m.payload();
        self.producer.send(letter).map_err(|(e, _)| e.to_string())?;
        Ok(delivered)
    }
}
