"""The offset of the last record is committed, instead of the one after it.

The mistake: a committed offset is the next to be read. Each restart and each rebalance does the last
record of the partition again, and the lag never gets to zero.

Met in: commit(offsets=[TopicPartition(t, p, msg.offset())]).
Source: KafkaConsumer's Javadoc, "Manual Offset Control": the committed offset should always be the offset of the next message.
"""

from right import Careful, main


class OffsetNotPlusOne(Careful):
    def commit(self, partitions=None):
        for partition, offset in self.done.items():
            self.done[partition] = offset - 1
        super().commit(partitions)


if __name__ == "__main__":
    main(OffsetNotPlusOne)
