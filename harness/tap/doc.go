// Package tap is a Kafka-aware proxy between the members of a consumer group
// and the brokers.
//
// Every life of a member has listeners of its own on 127.0.0.1, one for each
// broker, so whose connection it is is known without the consumer's help.
// Addresses in responses are rewritten, so a client that starts at
// [Member.Bootstrap] reaches brokers through the tap only. Group and commit
// traffic is decoded and written to the history; Fetch and Produce
// pass through without being decoded, unless a rule must look into them. Faults act on the connections of one
// member ([Member.Freeze], [Member.Cut], [Member.HalfOpen]) or, by a [Rule],
// on single requests and responses.
//
// What the history says is true of the broker: a commit is logged as
// requested at the moment it is passed on and not before, and as committed
// before its answer is passed to the client. So a commit that the tap answers itself is none, and one
// that was applied and answered with an error was accepted.
//
// Who owns what is true of the members: an assignment counts when its answer is about to be passed on, and a
// response that a rule cuts off or replaces assigns nothing. A member that the tap tells, in the broker's place, that
// it is out was told so (Told). It has lost its partitions (Lost) when it acts on that, by joining anew. Not before: a
// client that heard of it as the answer to a commit may well heartbeat, be told that all is
// well, and go on by right.
package tap
