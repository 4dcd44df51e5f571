"""auto.offset.reset=latest, the client's default, for a group that must see everything.

The mistake: where nothing is committed yet, the group begins at the end of the log. What was sent
before a member knew that end is lost: at the first start, in a new partition, after the offsets have expired. Here it is a crash
before the first commit, which comes late: commits go by a timer, and that alone would only make a crash repeat more.

Met in: every consumer whose author did not set it.
Source: Kafka's documentation, auto.offset.reset; KIP-1106, which names the loss in new partitions.
"""

import time

from right import Careful, main

INTERVAL = 30.0  # seconds


class ResetToLatest(Careful):
    def __init__(self):
        super().__init__()
        self.committed = time.monotonic()

    def settings(self):
        return super().settings() | {"auto.offset.reset": "latest"}

    def commit(self, partitions=None):
        if partitions is not None or time.monotonic() - self.committed >= INTERVAL:
            super().commit(partitions)
            self.committed = time.monotonic()


if __name__ == "__main__":
    main(ResetToLatest)
