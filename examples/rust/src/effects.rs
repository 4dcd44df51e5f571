//! The downstream system: one HTTP POST for each record, over a connection that is kept.

use rdkafka::message::{Message, OwnedMessage};
use std::time::Duration;
use ureq::{Agent, Body, http::Response};

/// Below what a pod is given to stop.
pub const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Applied,
    Poison,
    NotOwner,
    Unavailable,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub fate: Fate,
    pub reason: String,
    /// What the downstream system asks to wait; zero where it asks nothing.
    pub retry_after: Duration,
}

pub struct Effects {
    agent: Agent,
    url: String,
}

impl Effects {
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        Effects { agent: config.into(), url: url.into() }
    }

    pub fn apply(&self, m: &OwnedMessage) -> Answer {
        let record = format!("{}/{}/{}", m.topic(), m.partition(), m.offset());
        // A tombstone has no value; it is an effect like any other.
        let sent = self.agent.post(&self.url).header("Ksim-Record", record).send(m.payload().unwrap_or_default());
        match sent.map_err(|e| e.to_string()).and_then(read) {
            Ok(answer) => answer,
            // Nobody knows whether it was applied: at-least-once means again.
            Err(e) => Answer { fate: Fate::Unavailable, reason: format!("no answer: {e}"), retry_after: Duration::ZERO },
        }
    }
}

fn read(mut response: Response<Body>) -> Result<Answer, String> {
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let seconds: f64 = header.and_then(|v| v.parse().ok()).unwrap_or(0.0); // absent, or a date
    let body = response.body_mut().read_to_string().map_err(|e| e.to_string())?;
    Ok(Answer {
        fate: fate(status),
        reason: format!("HTTP {status}: {}", body.trim()),
        retry_after: Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)),
    })
}

fn fate(status: u16) -> Fate {
    match status {
        200..=299 => Fate::Applied,
        409 => Fate::NotOwner,
        408 | 429 => Fate::Unavailable, // about the moment; other 4xx are about the record
        400..=499 => Fate::Poison,
        _ => Fate::Unavailable,
    }
}
