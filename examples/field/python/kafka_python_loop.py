"""kafka-python as its README has it: iterate over the consumer, which commits by itself."""

import os
import signal
import sys

from kafka import KafkaConsumer

from effects import process

consumer = KafkaConsumer(
    os.environ["KSIM_TOPIC"],
    bootstrap_servers=os.environ["KSIM_BOOTSTRAP_SERVERS"].split(","),
    group_id=os.environ["KSIM_GROUP_ID"],
    client_id=os.environ["KSIM_MEMBER"],
    session_timeout_ms=int(os.environ["KSIM_SESSION_TIMEOUT_MS"]),
    heartbeat_interval_ms=500,
    max_poll_interval_ms=int(os.environ["KSIM_MAX_POLL_INTERVAL_MS"]),
    auto_offset_reset="earliest",
)


def stop(*_: object) -> None:
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
try:
    for message in consumer:
        process(message.topic, message.partition, message.offset, message.value)
finally:
    consumer.close()
