"""The dead letter is what the program made of the record, and not the record.

The mistake: the value has been decoded as text, with what is no UTF-8 replaced, and is encoded again; the key is forgotten. Who
repairs the cause and sends it back sends something else, to another partition.

Met in: producer.produce(dlq, json.dumps({"error": …, "payload": text})).
Source: KIP-298 and KIP-1191: the record is kept as it is, and the context goes into headers.
"""

from right import Careful, main


class Reencoded:
    """A record, as this program understood it."""

    def __init__(self, msg):
        self._msg = msg

    def __getattr__(self, name):
        return getattr(self._msg, name)

    def value(self):
        return self._msg.value().decode(errors="replace").encode()

    def key(self):
        return None


class DeadLetterReencoded(Careful):
    def dead_letter(self, msg, attempt, reason):
        return super().dead_letter(Reencoded(msg), attempt, reason)


if __name__ == "__main__":
    main(DeadLetterReencoded)
