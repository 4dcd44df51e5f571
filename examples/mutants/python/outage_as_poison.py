"""What fails goes to the dead-letter topic, whatever the reason.

The mistake: an outage of the downstream system is not the record's fault. Each record that arrives during one
becomes a dead letter, and healthy work waits for somebody to send it back.

Met in: except Exception: send_to_dlq(msg).
Source: Uber, "Building Reliable Reprocessing and Dead Letter Queues with Apache Kafka": retry first.
"""

from right import Careful, effects, main


class OutageAsPoison(Careful):
    def act(self, msg):
        outcome, reason, retry_after = super().act(msg)
        return effects.POISON if outcome == effects.UNAVAILABLE else outcome, reason, retry_after


if __name__ == "__main__":
    main(OutageAsPoison)
