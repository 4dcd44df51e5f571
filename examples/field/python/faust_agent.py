"""faust-streaming as its README has it: an agent that iterates over a topic."""

import asyncio
import os

import faust

from effects import process

app = faust.App(
    os.environ["KSIM_GROUP_ID"],
    broker=";".join("kafka://" + b for b in os.environ["KSIM_BOOTSTRAP_SERVERS"].split(",")),
    store="memory://",
    broker_session_timeout=int(os.environ["KSIM_SESSION_TIMEOUT_MS"]) / 1000,
    broker_heartbeat_interval=0.5,
    broker_max_poll_interval=int(os.environ["KSIM_MAX_POLL_INTERVAL_MS"]) / 1000,
    broker_request_timeout=60,
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
    datadir=f"/tmp/faust-{os.getpid()}",
)
topic = app.topic(os.environ["KSIM_TOPIC"], value_serializer="raw", key_serializer="raw")


@app.agent(topic)
async def consume(stream):
    async for event in stream.events():
        m = event.message
        await asyncio.to_thread(process, m.topic, m.partition, m.offset, m.value)


if __name__ == "__main__":
    app.main()
