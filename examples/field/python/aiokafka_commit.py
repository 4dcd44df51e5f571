"""aiokafka as its documentation has it under "Manual vs automatic committing": commit after each message."""

import asyncio
import os
import signal

from aiokafka import AIOKafkaConsumer

from effects import process


async def consume() -> None:
    consumer = AIOKafkaConsumer(
        os.environ["KSIM_TOPIC"],
        bootstrap_servers=os.environ["KSIM_BOOTSTRAP_SERVERS"],
        group_id=os.environ["KSIM_GROUP_ID"],
        client_id=os.environ["KSIM_MEMBER"],
        session_timeout_ms=int(os.environ["KSIM_SESSION_TIMEOUT_MS"]),
        heartbeat_interval_ms=500,
        max_poll_interval_ms=int(os.environ["KSIM_MAX_POLL_INTERVAL_MS"]),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async for msg in consumer:
            await asyncio.to_thread(process, msg.topic, msg.partition, msg.offset, msg.value)
            await consumer.commit()
    finally:
        await consumer.stop()


async def main() -> None:
    task = asyncio.create_task(consume())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass


asyncio.run(main())
