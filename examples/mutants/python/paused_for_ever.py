"""A partition is paused while its record waits for the next attempt, and one way out forgets to resume it.

The mistake: resume() stands after the success. The record that ends as a dead letter leaves its partition paused; the
member is healthy, it polls and heartbeats, and nobody reads the partition.

Met in: pause and resume without try/finally; and in librdkafka a pause outlives the assignment.
Source: confluent-kafka-go issue 193, librdkafka issue 1849; a first version of careful.py, found by ksim.
"""

from right import Careful, main


class PausedForEver(Careful):
    def dead_letter(self, msg, attempt, reason):
        self.consumer.pause([tp for tp in self.consumer.assignment() if tp.partition == msg.partition()])
        return super().dead_letter(msg, attempt, reason)


if __name__ == "__main__":
    main(PausedForEver)
