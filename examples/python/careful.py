"""A sound at-least-once consumer: a commit says that the work is done, and nothing else does.

One record after the other, so each partition stays in order. The business
action runs in a second thread, while this one keeps polling: however slow it
is, the member stays in the group and hears of rebalances. All callbacks run
inside poll, on this thread, so there is nothing to lock.
"""

import collections
import concurrent.futures
import logging
import os
import random
import signal
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

import effects
import settings

KEEP_ALIVE = 0.5  # seconds between polls while a batch is worked on
ACTION_TIMEOUT = 20.0  # seconds; below what a pod is given to stop
BACKOFF_FIRST, BACKOFF_MAX = 0.2, 10.0  # seconds; doubled for each attempt, ±20 %

log = logging.getLogger("careful")


class Gone(Exception):
    """The partition of the record in hand is no longer this member's."""


class Careful:
    def __init__(self):
        self.topic = os.environ["KSIM_TOPIC"]
        self.group = os.environ["KSIM_GROUP_ID"]
        self.dead_letters = os.environ.get("KSIM_DLQ_TOPIC")
        self.batch_size = settings.number("KSIM_BATCH_SIZE", 100)
        self.max_attempts = settings.number("KSIM_MAX_ATTEMPTS", 5)
        self.batch_wait = settings.number("KSIM_BATCH_WAIT_MS", 50) / 1000
        self.effects = effects.Effects(os.environ["KSIM_SINK_URL"], ACTION_TIMEOUT)
        # How long a revoke waits for the action in hand: after max.poll.interval the group goes on without us.
        self.drain = min(ACTION_TIMEOUT, 0.8 * settings.max_poll_interval() / 1000)
        self.worker = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self.producer = Producer(settings.producer()) if self.dead_letters else None
        self.consumer = Consumer(self.settings())
        self.batch = collections.deque()  # delivered, not yet begun, in order
        self.done = {}  # partition -> next offset: finished, not yet committed
        self.last = {}  # partition -> the record that was finished last, as long as it is ours
        self.current = None  # the record in hand
        self.action = None  # its business action, while it runs
        self.paused = []
        self.polled = 0.0
        self.stopping = False

    def run(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        self.consumer.subscribe([self.topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)
        try:
            while not self.stopping:
                self.fill()
                while self.batch and not self.stopping:
                    self.handle(self.batch.popleft())
                    self.keep_alive()
                self.resume()
                self.commit()
        finally:
            self.finish()

    def settings(self):
        return settings.consumer()

    def finish(self):
        """Also after an error: what is in done is done. close() calls revoked."""
        self.batch.clear()
        if not self.consumer.assignment():
            self.leave()
        self.consumer.close()
        self.worker.shutdown()

    def leave(self):
        """librdkafka 2.16 closes a cooperative member that owns nothing without leaving the group.
        An unsubscribe does leave, but waits for a rebalance that is under way; then there is no member id any more."""
        self.consumer.unsubscribe()
        ends = time.monotonic() + self.drain
        while self.consumer.memberid() and time.monotonic() < ends:
            self.consumer.poll(0.05)

    def stop(self, *_):
        """SIGTERM: finish the record in hand, commit, leave. The rest was never begun."""
        self.stopping = True

    # Polling

    def poll(self, timeout):
        """One poll, in which callbacks run. What it brings waits in the batch."""
        self.polled = time.monotonic()
        msg = self.consumer.poll(timeout)
        if msg is None:
            return False
        if msg.error() is None:
            self.batch.append(msg)
            return True
        if msg.error().fatal():
            raise KafkaException(msg.error())
        log.warning("poll: %s", msg.error())
        return True

    def fill(self):
        if not self.poll(0.2):
            return
        deadline = time.monotonic() + self.batch_wait
        while len(self.batch) < self.batch_size and not self.stopping:
            if not self.poll(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                return

    def keep_alive(self):
        """Tells the group that this member lives, without taking more records."""
        if time.monotonic() - self.polled < KEEP_ALIVE:
            return
        if not self.paused:
            self.paused = self.consumer.assignment()
            self.consumer.pause(self.paused)
        self.poll(0)

    def resume(self):
        if self.paused:
            self.consumer.resume(self.paused)
            self.paused = []

    def wait(self, seconds):
        """Waits for the next attempt. Cut short when the record is no longer ours, or at the end."""
        deadline = time.monotonic() + seconds
        while self.current is not None and not self.stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            self.keep_alive()

    # One record

    def handle(self, msg):
        # When it resumes after a rebalance, librdkafka 2.16 may hand over once more what the application has just taken.
        # The time is compared too: a topic that was deleted and made anew has the same offsets.
        if self.last.get(msg.partition()) == (msg.offset(), msg.timestamp()):
            log.warning("%s: came again, and is done", where(msg))
            return
        self.current = msg
        try:
            # Not "and self.current": a message without a value has the length 0, and is false.
            if self.attempts(msg) and self.current is not None:
                self.done[msg.partition()] = msg.offset() + 1
                self.last[msg.partition()] = (msg.offset(), msg.timestamp())
        except Gone as gone:
            log.warning("%s: dropped: %s", where(msg), gone)
        finally:
            self.current = None

    def attempts(self, msg):
        """True once the record has reached an end: its effect, or its dead letter."""
        for attempt in range(1, self.max_attempts + 1):
            outcome, reason, retry_after = self.act(msg)
            if outcome == effects.APPLIED:
                return True
            if outcome == effects.NOT_OWNER:
                self.abandon(msg)
                raise Gone(reason)
            log.warning("%s: attempt %d of %d: %s", where(msg), attempt, self.max_attempts, reason)
            if outcome == effects.POISON or attempt == self.max_attempts:
                return self.dead_letter(msg, attempt, reason)
            backoff = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)
            self.wait(max(backoff, min(retry_after or 0, BACKOFF_MAX)))
            if self.current is None:
                raise Gone("its partition was taken away between two attempts")
            if self.stopping:
                return False  # not finished, so not committed: the next owner begins anew
        return False

    def act(self, msg):
        self.action = self.worker.submit(self.effects.apply, msg)
        try:
            while True:
                try:
                    return self.action.result(timeout=0.1)
                except concurrent.futures.TimeoutError:
                    self.keep_alive()
        finally:
            self.action = None

    def dead_letter(self, msg, attempt, reason):
        """Returns once the brokers have the dead letter, and only then."""
        if not self.producer:
            raise RuntimeError(f"{where(msg)}: {reason}; set KSIM_DLQ_TOPIC to go on without such records")
        origin = {  # KIP-1191's names
            "topic": msg.topic(), "partition": msg.partition(), "offset": msg.offset(),
            "group": self.group, "delivery.count": attempt, "message": reason[:1024],
        }
        headers = (msg.headers() or []) + [(f"__dlq.errors.{k}", str(v).encode()) for k, v in origin.items()]
        answers = []
        self.producer.produce(
            self.dead_letters, value=msg.value(), key=msg.key(), headers=headers,
            on_delivery=lambda error, _: answers.append(error),
        )
        while not answers:  # bounded by delivery.timeout.ms
            self.producer.poll(0.05)
            self.keep_alive()
        if answers[0]:
            raise RuntimeError(f"{where(msg)}: the dead letter was not accepted: {answers[0]}")
        log.warning("%s: dead letter after %d attempts: %s", where(msg), attempt, reason)
        return True

    # Commits and rebalances

    def commit(self, partitions=None):
        """Commits what is done, of these partitions or of all, and waits for the answer."""
        offsets = [
            TopicPartition(self.topic, p, n) for p, n in self.done.items() if partitions is None or p in partitions
        ]
        if not offsets:
            return
        try:
            answers = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Refused, most often because of a rebalance. What is still ours is
            # committed with the next batch; what is not is another's to repeat.
            log.warning("commit: %s", error)
            return
        for answer in answers:
            if answer.error:
                log.warning("commit of partition %d: %s", answer.partition, answer.error)
            else:
                self.done.pop(answer.partition, None)

    def assigned(self, _, partitions):
        log.info("assigned %s", [tp.partition for tp in partitions])

    def revoked(self, _, partitions):
        """Finish the action in hand, commit what is done, forget the rest."""
        gone = {tp.partition for tp in partitions}
        if self.action and self.current is not None and self.current.partition() in gone:
            concurrent.futures.wait([self.action], timeout=self.drain)
            if self.action.done() and self.action.result()[0] == effects.APPLIED:
                self.done[self.current.partition()] = self.current.offset() + 1
        self.commit(gone)
        self.forget(gone)
        log.info("revoked %s", sorted(gone))

    def lost(self, _, partitions):
        """Another member may have them by now: no commit."""
        gone = {tp.partition for tp in partitions}
        self.forget(gone)
        log.warning("lost %s", sorted(gone))

    def forget(self, gone):
        # A pause outlives the assignment: a partition that comes back paused would never be read again.
        self.consumer.resume([tp for tp in self.paused if tp.partition in gone])
        self.paused = [tp for tp in self.paused if tp.partition not in gone]
        self.batch = collections.deque(msg for msg in self.batch if msg.partition() not in gone)
        for partition in gone:
            self.done.pop(partition, None)
            self.last.pop(partition, None)
        if self.current is not None and self.current.partition() in gone:
            self.current = None

    def abandon(self, msg):
        """The downstream system says that another owns the partition: drop the batch, commit nothing.
        Should this member own it after all, it begins again at the last commit."""
        self.forget({msg.partition()})
        try:
            at = self.consumer.committed([TopicPartition(self.topic, msg.partition())], timeout=10)[0]
            at.offset = at.offset if at.offset >= 0 else OFFSET_BEGINNING
            self.consumer.seek(at)
        except KafkaException as error:
            log.warning("%s: not sought back: %s", where(msg), error)  # it is not ours: as it should be
        time.sleep(BACKOFF_FIRST)


def where(msg):
    return f"{msg.topic()}/{msg.partition()}@{msg.offset()}"


def main(consumer=Careful):
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    consumer().run()


if __name__ == "__main__":
    main()
