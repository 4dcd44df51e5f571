package scenarios

import (
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// wire is what goes wrong between a member and the brokers, call by call.
func wire() []harness.Scenario {
	one := func(name, doc string, f fault.Wire, tags ...string) harness.Scenario {
		return harness.Scenario{Name: name, Doc: doc, Tags: append([]string{"ci", "network"}, tags...), Faults: []fault.Fault{f}}
	}
	list := []harness.Scenario{
		// Commits.
		one("commit-coordinator-loading",
			"Commits are answered COORDINATOR_LOAD_IN_PROGRESS, as after a failover: the member tries again, and nothing is repeated.",
			fault.Wire{Target: "m1", API: "commit", Action: "error", Error: "COORDINATOR_LOAD_IN_PROGRESS", Times: 3}),
		one("commit-not-coordinator",
			"Commits are answered NOT_COORDINATOR: the member looks for its coordinator, finds it where it was, and tries again.",
			fault.Wire{Target: "m1", API: "commit", Action: "error", Error: "NOT_COORDINATOR", Times: 2}),
		one("commit-during-rebalance",
			"Commits are answered REBALANCE_IN_PROGRESS: the member is still in the group. It commits again after the rebalance, or gives its work up and does it again.",
			fault.Wire{Target: "m1", API: "commit", Action: "error", Error: "REBALANCE_IN_PROGRESS", Times: 2}, "rebalance"),
		one("commit-reply-lost",
			"The broker has applied a commit, and the connection breaks before the answer: the member does not know, and must come to the same place.",
			fault.Wire{Target: "m1", API: "commit", Direction: "response", Action: "cut", Times: 2}),
		one("commit-request-lost",
			"The connection breaks before a commit reaches the broker: the member commits again.",
			fault.Wire{Target: "m1", API: "commit", Action: "cut", Times: 2}),
		one("commit-applied-told-otherwise",
			"The broker has applied a commit, and the answer says REQUEST_TIMED_OUT: committing it again changes nothing.",
			fault.Wire{Target: "m1", API: "commit", Direction: "response", Action: "error", Error: "REQUEST_TIMED_OUT", Times: 2}),

		// Joining, and staying.
		one("coordinator-unavailable-at-join",
			"A member that starts is told COORDINATOR_NOT_AVAILABLE when it looks for its group: it waits, asks again and joins.",
			fault.Wire{Target: "m1", API: "FindCoordinator", Action: "error", Error: "COORDINATOR_NOT_AVAILABLE", Times: 3, Provoke: "restart"}, "rebalance"),
		one("join-reply-lost",
			"The connection breaks before a member that starts hears that it has joined: it joins again, and the group gets over the seat that nobody took.",
			fault.Wire{Target: "m1", API: "join", Direction: "response", Action: "cut", Times: 1, Provoke: "restart"}, "rebalance"),
		one("assignment-lost",
			"The connection breaks before a member that starts hears what it was assigned: it asks again, and nobody waits for ever.",
			fault.Wire{Target: "m1", API: "assignment", Direction: "response", Action: "cut", Times: 1, Provoke: "restart"}, "rebalance"),
		one("heartbeat-unknown-member",
			"A heartbeat is answered UNKNOWN_MEMBER_ID: the member has lost its partitions, drops what it has in hand, and joins anew.",
			fault.Wire{Target: "m1", API: "group-heartbeat", Action: "error", Error: "UNKNOWN_MEMBER_ID", Times: 1}, "rebalance"),
		one("offsets-unstable-at-start",
			"A member that starts asks where to begin, and is told UNSTABLE_OFFSET_COMMIT, as while a transaction is pending: it asks again, and does not begin elsewhere.",
			fault.Wire{Target: "m1", API: "OffsetFetch", Action: "error", Error: "UNSTABLE_OFFSET_COMMIT", Times: 3, Provoke: "restart"}, "rebalance"),

		// Fetching.
		one("fetch-not-leader",
			"Fetches are answered NOT_LEADER_OR_FOLLOWER, as when leaders move: the member asks who leads, and goes on where it was.",
			fault.Wire{Target: "m1", API: "Fetch", Action: "error", Error: "NOT_LEADER_OR_FOLLOWER", Topic: "workload", Times: 5}),
		one("fetch-corrupt",
			"The checksum of a record batch is damaged on its way: a client that checks CRCs fetches the batch again, and one that does not takes the records, which are whole. "+
				"Librdkafka (2.16.0) with check.crcs=true does not survive it: it skips to a wrong place in the response, takes what it finds there for an offset, and resets to auto.offset.reset "+
				"(rd_kafka_buf_skip_to(rkbuf, crc_len) in rdkafka_msgset_reader.c takes a length for a position). By default it does not check.",
			fault.Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "corrupt", Checksum: true, Topic: "workload", Times: 1}),
		one("slow-link",
			"What a member fetches comes in at 30 kB/s, slower than it is produced: the member falls behind, stays in the group, and catches up.",
			fault.Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "throttle", Bytes: 30_000, Effects: 400}),
		one("latency",
			"Every request of every member takes 20 to 60 ms more: less is done at a time, and nothing else changes.",
			fault.Wire{API: "any", Action: "delay", Delay: 40 * time.Millisecond, Jitter: 20 * time.Millisecond, Effects: 400}),
		one("half-open",
			"A connection is cut and the broker does not notice, as behind a firewall: the member goes on over a new one.",
			fault.Wire{Target: "m1", API: "Fetch", Action: "cut-half-open", Times: 2}),
		one("flaky-link",
			"One response in thirty is lost with its connection, for all members: whatever was under way is asked again, and commits end where they should.",
			fault.Wire{API: "any", Direction: "response", Action: "cut", Probability: 0.03, Seed: 1, Count: 3, Effects: 400}),
		one("quota",
			"A member is told several times that it exceeds a quota (KIP-219), and is not served for half a second each: it waits, and keeps its place.",
			fault.Wire{Target: "m1", API: "Fetch", Direction: "response", Action: "quota", ThrottleTime: 500 * time.Millisecond, Times: 3}),
		one("metadata-unavailable",
			"Metadata says LEADER_NOT_AVAILABLE to a member that starts: it asks again until it knows where its partitions are.",
			fault.Wire{Target: "m1", API: "Metadata", Action: "error", Error: "LEADER_NOT_AVAILABLE", Topic: "workload", Times: 2, Provoke: "restart"}),
	}
	return append(list, heartbeatsLost(), deadLetterReplyLost(), deadLetterRefused())
}

func heartbeatsLost() harness.Scenario {
	return harness.Scenario{
		Name:           "heartbeats-lost",
		Doc:            "The heartbeats of a member vanish until the group has given its partitions to others: it works on as long as it cannot know, its late commits are refused, and it finds its way back.",
		Tags:           []string{"ci", "network", "zombie"},
		SessionTimeout: 3 * time.Second,
		Faults:         []fault.Fault{fault.Wire{Target: "m1", API: "group-heartbeat", Action: "hold", UntilLost: true}},
	}
}

// poison gives the members something to write dead letters for.
var poison = workload.Mix{Permanent: 24}

func deadLetterReplyLost() harness.Scenario {
	return harness.Scenario{
		Name: "dead-letter-reply-lost",
		Doc:  "The broker has a dead letter, and the connection breaks before the answer: it is sent again, perhaps twice in the topic, and its record is committed only after an answer.",
		Tags: []string{"ci", "network", "dead-letter", "poison"},
		Mix:  poison,
		Faults: []fault.Fault{
			fault.Wire{API: "Produce", Direction: "response", Action: "cut", Topic: "dead-letter", Times: 2},
		},
	}
}

func deadLetterRefused() harness.Scenario {
	return harness.Scenario{
		Name: "dead-letter-refused",
		Doc:  "The broker refuses dead letters with NOT_ENOUGH_REPLICAS for a while: the record waits, is not committed, and its dead letter is written once that is possible.",
		Tags: []string{"ci", "network", "dead-letter", "poison"},
		Mix:  poison,
		Faults: []fault.Fault{
			fault.Wire{API: "Produce", Action: "error", Error: "NOT_ENOUGH_REPLICAS", Topic: "dead-letter", Times: 3},
		},
	}
}
