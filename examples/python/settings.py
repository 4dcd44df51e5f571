"""Settings of the client, from the environment that ksim gives to each member."""

import os


def number(name, default):
    return int(os.environ.get(name) or default)


def max_poll_interval():
    """Milliseconds. librdkafka wants it no shorter than the session."""
    return max(number("KSIM_MAX_POLL_INTERVAL_MS", 300_000), session_timeout())


def session_timeout():
    return number("KSIM_SESSION_TIMEOUT_MS", 10_000)


def common():
    return {
        "bootstrap.servers": os.environ["KSIM_BOOTSTRAP_SERVERS"],
        "client.id": os.environ.get("KSIM_MEMBER") or "careful",
        "socket.nagle.disable": True,
        "socket.timeout.ms": 5_000,  # bounds a commit that nobody answers; the default is a minute
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
        "enable.metrics.push": False,
    }


def consumer():
    settings = common() | {
        "group.id": os.environ["KSIM_GROUP_ID"],
        "enable.auto.commit": False,  # a commit says "done", so only this program can tell
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 50,
        # New partitions are noticed this late; what is produced there waits meanwhile.
        "topic.metadata.refresh.interval.ms": number("KSIM_METADATA_MAX_AGE_MS", 10_000),
    }
    settings["max.poll.interval.ms"] = max_poll_interval()
    if os.environ.get("KSIM_INSTANCE_ID"):
        settings["group.instance.id"] = os.environ["KSIM_INSTANCE_ID"]
    if os.environ.get("KSIM_GROUP_PROTOCOL") == "consumer":
        # KIP-848: session, heartbeat and assignor are the broker's.
        settings["group.protocol"] = "consumer"
        return settings
    settings["partition.assignment.strategy"] = "cooperative-sticky"
    settings["session.timeout.ms"] = session_timeout()
    # A member hears of a rebalance in the answer to a heartbeat.
    settings["heartbeat.interval.ms"] = max(1, min(500, session_timeout() // 6))
    return settings


def producer():
    return common() | {
        "enable.idempotence": True,  # implies acks=all
        "partitioner": "murmur2_random",  # by key, as the Java client does
        "delivery.timeout.ms": 30_000,
        "linger.ms": 0,
        "message.max.bytes": 20_000_000,  # the largest record must fit with its headers
    }
