"""The dead letter is produced, and nobody waits until the brokers have it.

The mistake: produce() only puts a record into a queue. The offset is committed at once, and
a process that ends before the queue is sent has lost the record in both topics.

Met in: producer.produce(dlq, msg.value()); consumer.commit(msg).
It shows where dead letters have the brokers' time (message.timestamp.type=LogAppendTime): not on the embedded broker.
Source: confluent-kafka-python, Producer.produce: asynchronous; flush() or a delivery callback.
"""

from confluent_kafka import Producer

from right import Careful, main, settings


class DeadLetterNotFlushed(Careful):
    def __init__(self):
        super().__init__()
        self.producer = Producer(settings.producer() | {"linger.ms": 100})  # dead letters go in batches

    def dead_letter(self, msg, attempt, reason):
        origin = {"topic": msg.topic(), "partition": msg.partition(), "offset": msg.offset(), "message": reason}
        headers = (msg.headers() or []) + [(f"__dlq.errors.{k}", str(v).encode()) for k, v in origin.items()]
        self.producer.produce(self.dead_letters, value=msg.value(), key=msg.key(), headers=headers)
        self.done[msg.partition()] = msg.offset() + 1
        self.commit()
        return True


if __name__ == "__main__":
    main(DeadLetterNotFlushed)
