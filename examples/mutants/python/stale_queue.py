"""What was polled of a partition is processed after the partition was revoked.

The mistake: on_revoke commits and leaves the local queue as it is. The next owner begins at that commit, and
both work on the same records.

Met in: consumers with a queue of their own between poll and work.
Source: KafkaConsumer's Javadoc, ConsumerRebalanceListener; sarama-cluster pull request 207, on why its channel has no buffer.
"""

import time

from right import Careful, main

AHEAD = 500  # records
WORK = 0.01  # seconds for each record: slow work is what makes people add a queue of their own


class StaleQueue(Careful):
    def keep_alive(self):
        while len(self.batch) < AHEAD and self.poll(0):
            pass

    def act(self, msg):
        time.sleep(WORK)
        return super().act(msg)

    def forget(self, gone):
        self.consumer.resume([tp for tp in self.paused if tp.partition in gone])
        self.paused = [tp for tp in self.paused if tp.partition not in gone]
        for partition in gone:
            self.done.pop(partition, None)


if __name__ == "__main__":
    main(StaleQueue)
