"""SIGTERM ends the process, and nobody has closed the consumer.

The mistake: no signal handler. What is done is not committed, so others do it again, and the group
keeps the dead member's partitions until its session expires.

Met in: while True: in a container whose first process is Python.
Source: confluent-kafka-python, Consumer.close(): it leaves the group; without it the group waits for the session timeout.
"""

import signal

from right import Careful, main


class NoClose(Careful):
    def run(self):
        def ignore(*_):
            pass

        original, signal.signal = signal.signal, ignore
        try:
            super().run()
        finally:
            signal.signal = original


if __name__ == "__main__":
    main(NoClose)
