"""Each record is committed when it is polled.

The mistake: at-most-once where at-least-once is promised. A crash loses all that was polled and not processed.

Met in: poll, commit, process: the order in which people name the three.
Source: Kafka's documentation, "Message Delivery Semantics": saving the position before processing is at-most-once.
"""

from confluent_kafka import KafkaException

from right import Careful, main


class CommitOnPoll(Careful):
    def poll(self, timeout):
        before = len(self.batch)
        polled = super().poll(timeout)
        if len(self.batch) > before:
            try:
                self.consumer.commit(message=self.batch[-1], asynchronous=False)
            except KafkaException:
                pass  # a rebalance
        return polled

    def commit(self, partitions=None):
        self.done.clear()


if __name__ == "__main__":
    main(CommitOnPoll)
