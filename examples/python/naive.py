"""What the textbook does: consume a batch, handle each record, let the client commit."""

import logging
import os
import signal
import sys
import urllib.error
import urllib.request

from confluent_kafka import Consumer

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def process(msg):
    """The business action: one POST for each record."""
    record = f"{msg.topic()}/{msg.partition()}/{msg.offset()}"
    request = urllib.request.Request(
        os.environ["KSIM_SINK_URL"], data=msg.value() or b"", headers={"Ksim-Record": record}, method="POST"
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except (urllib.error.URLError, OSError) as error:  # not 2xx, or no answer
        logging.error("record %s failed: %s", record, error)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that finally runs
    consumer = Consumer({
        "bootstrap.servers": os.environ["KSIM_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["KSIM_GROUP_ID"],
        "client.id": os.environ.get("KSIM_MEMBER", "naive"),
        "auto.offset.reset": "earliest",
    })
    try:
        consumer.subscribe([os.environ["KSIM_TOPIC"]])
        while True:
            for msg in consumer.consume(num_messages=int(os.environ.get("KSIM_BATCH_SIZE", "100")), timeout=1.0):
                if msg.error():
                    logging.error("consumer: %s", msg.error())
                    continue
                process(msg)
    finally:
        consumer.close()  # leaves the group and commits the final offsets


if __name__ == "__main__":
    main()
