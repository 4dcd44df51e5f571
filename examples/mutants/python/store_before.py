"""The offset is stored before the record is processed.

The mistake: enable.auto.offset.store is off, as it should be, but store_offsets comes first and the
work second. The timer of auto-commit may fall between them.

Met in: store_offsets as the first line of the loop, "so that a poison record is not read again".
Source: librdkafka's wiki, "Consumer offset management": what is stored is what the next commit takes.
"""

from right import Careful, main


class StoreBefore(Careful):
    def settings(self):
        return super().settings() | {"enable.auto.commit": True}

    def handle(self, msg):
        self.consumer.store_offsets(msg)
        super().handle(msg)

    def commit(self, partitions=None):
        self.done.clear()  # the client does that


if __name__ == "__main__":
    main(StoreBefore)
