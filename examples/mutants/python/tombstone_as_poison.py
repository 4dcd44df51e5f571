"""A record without a value cannot be decoded, so it is poison.

The mistake: a tombstone is how a compacted topic says that a key is deleted. Put aside, the deletion never happens.

Met in: json.loads(msg.value()) in a try whose except dead-letters.
Source: Kafka's documentation, "Log Compaction"; Debezium's tombstones after each delete.
"""

from right import Careful, effects, main


class TombstoneAsPoison(Careful):
    def act(self, msg):
        if msg.value() is None:
            return effects.POISON, "TypeError: the JSON object must be str, bytes or bytearray, not NoneType", None
        return super().act(msg)


if __name__ == "__main__":
    main(TombstoneAsPoison)
