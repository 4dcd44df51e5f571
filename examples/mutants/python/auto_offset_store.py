"""commit() without offsets, after each record.

The mistake: auto-commit is off, and so the program believes that it decides what is
committed. But enable.auto.offset.store is still on: the client stores the offset of each
record when it hands it out, and a commit without offsets commits what is stored, which is
the end of the batch in hand.

Met in: for msg in consumer.consume(100): process(msg); consumer.commit().
Source: librdkafka, CONFIGURATION.md, enable.auto.offset.store, and its wiki, "Consumer offset management".
"""

from confluent_kafka import KafkaException

from right import Careful, main


class AutoOffsetStore(Careful):
    def settings(self):
        return super().settings() | {"enable.auto.offset.store": True}

    def handle(self, msg):
        super().handle(msg)
        if self.done:
            self.commit()

    def commit(self, partitions=None):
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException:
            pass  # nothing stored, or a rebalance
        self.done.clear()


if __name__ == "__main__":
    main(AutoOffsetStore)
