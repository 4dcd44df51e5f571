"""The batch is committed in finally.

The mistake: finally also runs when the batch was not finished: after SIGTERM has become an exception in the middle
of it, the whole batch is committed.

Met in: try: for msg in batch: process(msg) finally: consumer.commit(); or close() there, with auto-commit.
Source: the minimal examples of most clients; see ../../python/naive.py.
"""

from right import Careful, main


class CommitInFinally(Careful):
    def fill(self):
        super().fill()
        self.handed_out = {msg.partition(): msg.offset() + 1 for msg in self.batch}

    def stop(self, *_):
        raise SystemExit(0)

    def finish(self):
        self.done.update(self.handed_out)
        super().finish()


if __name__ == "__main__":
    main(CommitInFinally)
