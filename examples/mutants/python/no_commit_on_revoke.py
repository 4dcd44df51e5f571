"""Commits go by a timer, and nothing is committed when partitions are revoked.

The mistake: on_revoke forgets what it has to give up, and does not commit what is done of it. The next owner does it
again: at each rebalance, and at each deployment, since close() revokes too.

Met in: subscribe() without callbacks, and commits every so often.
Source: KafkaConsumer's Javadoc, ConsumerRebalanceListener: commit in onPartitionsRevoked.
"""

import time

from right import Careful, main

INTERVAL = 8.0  # seconds: longer than it takes until somebody leaves


class NoCommitOnRevoke(Careful):
    committed = 0.0

    def commit(self, partitions=None):
        if time.monotonic() - self.committed >= INTERVAL:
            super().commit(partitions)
            self.committed = time.monotonic()

    def revoked(self, _, partitions):
        self.forget({tp.partition for tp in partitions})


if __name__ == "__main__":
    main(NoCommitOnRevoke)
