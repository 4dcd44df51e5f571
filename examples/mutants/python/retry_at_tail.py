"""A record that fails is tried again after the others of its batch.

The mistake: what comes later in the partition overtakes it. Where an account is opened by one record and charged by the next, the
charge comes first.

Met in: queue.append(msg) in an except; retry topics for records that have an order.
Source: Confluent, "Error Handling Patterns for Apache Kafka Applications": why there is one that keeps the order of redirected events.
"""

from right import Careful, effects, main


class RetryAtTail(Careful):
    def handle(self, msg):
        outcome, reason, _ = self.act(msg)
        if outcome == effects.POISON:
            self.dead_letter(msg, 1, reason)
        elif outcome != effects.APPLIED:
            self.batch.append(msg)
            return
        self.done[msg.partition()] = max(self.done.get(msg.partition(), 0), msg.offset() + 1)


if __name__ == "__main__":
    main(RetryAtTail)
