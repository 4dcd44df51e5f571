"""FastStream as its README has it: a function that subscribes to a topic. It acknowledges by its default policy."""

import asyncio
import os

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from effects import process

broker = KafkaBroker(os.environ["KSIM_BOOTSTRAP_SERVERS"].split(","), client_id=os.environ["KSIM_MEMBER"])
app = FastStream(broker)


@broker.subscriber(
    os.environ["KSIM_TOPIC"],
    group_id=os.environ["KSIM_GROUP_ID"],
    auto_offset_reset="earliest",
    session_timeout_ms=int(os.environ["KSIM_SESSION_TIMEOUT_MS"]),
    heartbeat_interval_ms=500,
    max_poll_interval_ms=int(os.environ["KSIM_MAX_POLL_INTERVAL_MS"]),
)
async def consume(body: dict, message: KafkaMessage) -> None:
    r = message.raw_message
    await asyncio.to_thread(process, r.topic, r.partition, r.offset, r.value)


if __name__ == "__main__":
    asyncio.run(app.run())
