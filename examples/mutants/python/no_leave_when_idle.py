"""A member that owns no partition is closed, and does not leave the group.

The mistake: close() alone. librdkafka 2.12 and 2.16 end a cooperative member that owns nothing without a
LeaveGroup ("consumer is terminating, skipping rejoin" in its log), and the group keeps its seat until the session expires.

Met in: every consumer on cooperative-sticky with more members than partitions.
Source: found by ksim in careful.py, docs/track-record.md; librdkafka, rd_kafka_cgrp_unsubscribe.
"""

from right import Careful, main


class NoLeaveWhenIdle(Careful):
    def leave(self):
        pass


if __name__ == "__main__":
    main(NoLeaveWhenIdle)
