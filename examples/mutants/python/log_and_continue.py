"""A record that fails is logged, and the next one begins.

The mistake: a failure of the moment, a 503, counts as the end of the record. Its offset is
committed with those of the others, and it is lost.

Met in: try: process(msg) except Exception: log.exception("failed").
Source: Kafka Streams' LogAndContinueExceptionHandler (KIP-161) and Spring Kafka's CommonLoggingErrorHandler do this on purpose.
"""

from right import Careful, effects, log, main, where


class LogAndContinue(Careful):
    def attempts(self, msg):
        outcome, reason, _ = self.act(msg)
        if outcome == effects.POISON:
            return self.dead_letter(msg, 1, reason)
        if outcome != effects.APPLIED:
            log.error("%s failed: %s", where(msg), reason)
        return True


if __name__ == "__main__":
    main(LogAndContinue)
