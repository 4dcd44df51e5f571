// Package dlq reads the letters of a dead-letter topic and sends them back.
//
// [List] yields letters with where each came from and why it failed. [Replay] sends
// them to the topic they came from, as they were; [MakePlan] tells beforehand what
// Replay would do. Letters may be written by package consumer, in any of its header
// styles, or by another program that uses one of these.
//
// # What is guaranteed
//
// Each letter is sent at most once for each group ([Config].Group), whatever
// happens: the records of a transaction and the note that their letters were sent
// are committed to Kafka together. So a replay may be killed at any moment and run
// again, and goes on where it was. Consumers see that if they read committed
// records only, as package consumer does. Two replays of one group cannot both
// commit: the later one fences the earlier one, which returns [ErrTakenOver].
//
// The notes are the committed offset of the group and, in its metadata, which
// letters after it have been sent too. A filter therefore never marks a letter that
// it passed over, and runs with different filters never send one letter twice. To
// send letters again on purpose, set the group's offset back, or use another group.
// Brokers forget offsets after offsets.retention.minutes, 7 days by default, so
// Replay refuses letters older than that if the group has no offset at all, unless
// [ReplayOptions].First says that none was sent before.
//
// A record is sent back with key, value and headers byte for byte, followed by two
// headers: [consumer.HeaderCycles] and [consumer.HeaderReplayed]. It goes to the
// partition it came from, if there is one of that number, else by its key.
//
// # Order
//
// The letters of one partition of the dead-letter topic are sent in their order.
// Letters are partitioned by key, so those of a key keep their order. Where the
// dead-letter topic has several partitions, they are merged so that the letters of
// one original partition are in the order of their original offsets, as far as 500
// letters of each partition ahead.
//
// What a replay leaves, such as a letter beyond [ReplayOptions].MaxCycles, does not
// hold up those behind it.
package dlq
