"""Auto-commit, and the work in another thread.

The mistake: the client's defaults, enable.auto.commit=true, with work that has not ended when
the next poll is made. The client takes a poll for the sign that what it handed out before is done, and every
five seconds commits that.

Met in: a consumer thread that puts records on a queue for workers, so that a slow one does not cost the membership.
Source: KafkaConsumer's Javadoc, "Automatic Offset Committing": only if all data is consumed before the next poll.
"""

from right import Careful, main


class AutoCommitWorker(Careful):
    def settings(self):
        return super().settings() | {"enable.auto.commit": True, "enable.auto.offset.store": True}

    def commit(self, partitions=None):
        self.done.clear()  # the client does that


if __name__ == "__main__":
    main(AutoCommitWorker)
