"""Quix Streams as its quickstart has it: a StreamingDataFrame with a function that is applied to each message."""

import os

from quixstreams import Application, message_context

from effects import process

app = Application(
    broker_address=os.environ["KSIM_BOOTSTRAP_SERVERS"],
    consumer_group=os.environ["KSIM_GROUP_ID"],
    auto_offset_reset="earliest",
    consumer_extra_config={
        "session.timeout.ms": int(os.environ["KSIM_SESSION_TIMEOUT_MS"]),
        "heartbeat.interval.ms": 500,
        "max.poll.interval.ms": int(os.environ["KSIM_MAX_POLL_INTERVAL_MS"]),
    },
)
topic = app.topic(os.environ["KSIM_TOPIC"], value_deserializer="bytes")


def apply(value: bytes) -> bytes:
    m = message_context()
    process(m.topic, m.partition, m.offset, value)
    return value


app.dataframe(topic).apply(apply)

if __name__ == "__main__":
    app.run()
