package check

var partitionOrder = Check{
	Name: "partition-order",
	Doc: `The records of a partition are finished in the order of their offsets.

    effect-started  m1 orders/0@7 m-8
    effect-refused  m1 orders/0@7 m-8 unavailable
    effect-done     m1 orders/0@8 m-9
    effect-started  m1 orders/0@7 m-8
    effect-done     m1 orders/0@7 m-8

m-8 was retried at the tail, after m-9.

What counts is when a record is finished first: its effect done by a member that owns the partition, or its dead letter
appended. What a zombie does in its window is not its own to order and is left out. What is done again is judged apart: within one tenure of a
partition, replays run in order too.

*Violated*, where order by partition is promised, by each record finished after one behind it and by each replay out of
order. Tombstones, poison that is never finished, and dead letters of unknown time take no part, nor, where exactly-once is
promised, those of records that came again: their first one may have been in a transaction that was aborted. *Unknown* when fewer
than two records were finished. Not promised: counted.`,
	Judge: judgePartitionOrder,
	Sight: NeedsEffects,
}
