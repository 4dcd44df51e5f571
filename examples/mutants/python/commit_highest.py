"""A pool of workers, and the highest offset that any of them has finished is committed.

The mistake: a commit of n says that all below n is done. With several records of a partition
under way, the highest finished one says nothing about those below it. Each key stays in order.

Met in: thread pools behind a consumer, without a tracker of what is done without a gap.
Source: Confluent's Parallel Consumer, README: why it tracks incomplete offsets.
Promises order by key: run it with --order key.
"""

import concurrent.futures
import os
import time
import zlib

from right import BACKOFF_FIRST, Careful, effects, main

LANES = 4


class CommitHighest(Careful):
    def __init__(self):
        super().__init__()
        self.lanes = [concurrent.futures.ThreadPoolExecutor(max_workers=1) for _ in range(LANES)]
        self.sinks = [effects.Effects(os.environ["KSIM_SINK_URL"], 20) for _ in range(LANES)]
        self.running = {}  # future -> record
        self.highest = {}  # partition -> next offset; a commit must at least not go back

    def fill(self):
        super().fill()
        self.collect(0)

    def handle(self, msg):
        lane = zlib.crc32(msg.key() or b"") % LANES
        self.running[self.lanes[lane].submit(self.work, msg, self.sinks[lane])] = msg
        while len(self.running) >= self.batch_size:
            self.collect(0.1)
        self.collect(0)

    def work(self, msg, sink):
        for attempt in range(1, self.max_attempts + 1):
            outcome, reason, _ = sink.apply(msg)
            if outcome == effects.APPLIED:
                return None
            if outcome == effects.POISON:
                break
            time.sleep(BACKOFF_FIRST * 2 ** (attempt - 1))
        return attempt, reason

    def collect(self, timeout, futures=None):
        """Takes what has finished; the highest offset of a partition wins."""
        ended, _ = concurrent.futures.wait(
            futures or self.running, timeout, return_when="ALL_COMPLETED" if futures else "FIRST_COMPLETED"
        )
        for future in ended:
            msg = self.running.pop(future)
            if future.result():
                self.dead_letter(msg, *future.result())
            self.finished(msg)
        self.keep_alive()

    def finished(self, msg):
        self.highest[msg.partition()] = max(self.highest.get(msg.partition(), 0), msg.offset() + 1)
        self.done[msg.partition()] = self.highest[msg.partition()]

    def revoked(self, consumer, partitions):
        gone = {tp.partition for tp in partitions}
        if mine := [f for f, msg in self.running.items() if msg.partition() in gone]:
            ended, _ = concurrent.futures.wait(mine, self.drain)
            for future in ended:
                self.finished(self.running.pop(future))
        super().revoked(consumer, partitions)

    def forget(self, gone):
        super().forget(gone)
        for partition in gone:
            self.highest.pop(partition, None)


if __name__ == "__main__":
    main(CommitHighest)
