//! What ksim tells each member in its environment, as settings of the clients.

use rdkafka::ClientConfig;
use std::env;
use std::time::Duration;

pub struct Settings {
    pub topic: String,
    pub group: String,
    pub sink: String,
    pub dead_letters: Option<String>,
    pub batch_size: usize,
    pub batch_wait: Duration,
    pub max_attempts: u32,
    session_timeout: u64,
    /// Milliseconds without a poll after which the group goes on without us. librdkafka wants it no shorter than the session.
    pub max_poll_interval: u64,
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|v| !v.is_empty())
}

fn must(name: &str) -> String {
    text(name).unwrap_or_else(|| panic!("{name} is not set: run this under ksim"))
}

fn number(name: &str, otherwise: u64) -> u64 {
    text(name).map_or(otherwise, |v| v.parse().unwrap_or_else(|e| panic!("{name}={v}: {e}")))
}

impl Settings {
    pub fn from_env() -> Self {
        let session_timeout = number("KSIM_SESSION_TIMEOUT_MS", 10_000);
        Settings {
            topic: must("KSIM_TOPIC"),
            group: must("KSIM_GROUP_ID"),
            sink: must("KSIM_SINK_URL"),
            dead_letters: text("KSIM_DLQ_TOPIC"),
            batch_size: number("KSIM_BATCH_SIZE", 100) as usize,
            batch_wait: Duration::from_millis(number("KSIM_BATCH_WAIT_MS", 50)),
            max_attempts: number("KSIM_MAX_ATTEMPTS", 5) as u32,
            session_timeout,
            max_poll_interval: number("KSIM_MAX_POLL_INTERVAL_MS", 300_000).max(session_timeout),
        }
    }

    fn common() -> ClientConfig {
        let mut c = ClientConfig::new();
        c.set("bootstrap.servers", must("KSIM_BOOTSTRAP_SERVERS"))
            .set("client.id", text("KSIM_MEMBER").unwrap_or("careful".into()))
            .set("socket.nagle.disable", "true")
            .set("socket.timeout.ms", "5000") // bounds a commit that nobody answers; the default is a minute
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("log.connection.close", "false")
            .set("enable.metrics.push", "false");
        c
    }

    pub fn consumer(&self) -> ClientConfig {
        let mut c = Self::common();
        c.set("group.id", &self.group)
            .set("enable.auto.commit", "false") // a commit says "done", so only this program can tell
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "50")
            // New partitions are noticed this late; what is produced there waits meanwhile.
            .set("topic.metadata.refresh.interval.ms", number("KSIM_METADATA_MAX_AGE_MS", 300_000).to_string())
            .set("max.poll.interval.ms", self.max_poll_interval.to_string());
        if let Some(instance) = text("KSIM_INSTANCE_ID") {
            c.set("group.instance.id", instance);
        }
        if text("KSIM_GROUP_PROTOCOL").as_deref() == Some("consumer") {
            c.set("group.protocol", "consumer"); // KIP-848: session, heartbeat and assignor are the broker's
            return c;
        }
        c.set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.to_string())
            // A member hears of a rebalance in the answer to a heartbeat.
            .set("heartbeat.interval.ms", (self.session_timeout / 6).clamp(1, 500).to_string());
        c
    }

    pub fn producer(&self) -> ClientConfig {
        let mut c = Self::common();
        c.set("enable.idempotence", "true") // implies acks=all
            .set("partitioner", "murmur2_random") // by key, as the Java client does
            .set("delivery.timeout.ms", "20000")
            .set("linger.ms", "0")
            .set("message.max.bytes", "20000000"); // the largest record must fit with its headers
        c
    }
}
