"""After a failure the rest of the batch is dropped, and the consumer does not seek back.

The mistake: "not committed, so it comes again". It does after a restart; until then the position has moved on, the next batch
is processed and committed, and the failed record lies below that commit.

Met in: if not process(msg): break.
Source: confluent-kafka-python issue 796, librdkafka issue 1280; Spring Kafka's SeekToCurrentErrorHandler exists for it.
"""

from right import Careful, effects, log, main, where


class SeekForgotten(Careful):
    def attempts(self, msg):
        outcome, reason, _ = self.act(msg)
        if outcome == effects.POISON:
            return self.dead_letter(msg, 1, reason)
        if outcome != effects.APPLIED:
            log.error("%s failed, will be polled again: %s", where(msg), reason)
            self.batch.clear()
        return outcome == effects.APPLIED


if __name__ == "__main__":
    main(SeekForgotten)
