// Package tap is a Kafka-aware proxy between the members of a consumer group
// and the brokers.
//
// Every life of a member has listeners of its own on 127.0.0.1, one for each
// broker, so whose connection it is is known without the consumer's help.
// Addresses in responses are rewritten, so a client that starts at
// [Member.Bootstrap] reaches brokers through the tap only. Group and commit
// traffic is decoded and written to the history; Fetch and Produce
// pass through without being decoded. Faults act on the connections of one
// member ([Member.Freeze], [Member.Cut], [Member.HalfOpen]) or, by a [Rule],
// on single requests and responses.
//
// What the history says is true of the broker: a commit is logged as
// requested at the moment it is passed on and not before, and as committed
// before its answer is passed to the client.
package tap
