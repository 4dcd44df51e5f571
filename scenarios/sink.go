package scenarios

import (
	"net/http"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
)

// handlers are slow, hang, or meet answers that nobody would expect.
func handlers() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "hung-handler",
			Doc:  "One effect gets no answer for one and a half max poll intervals: whether the member is thrown out or not, the record is done in the end, in order, and is no poison.",
			Tags: []string{"full", "sink", "rebalance"}, SessionTimeout: 2 * time.Second, MaxPollInterval: 6 * time.Second,
			Faults: []fault.Fault{fault.HungHandler{Target: "m1"}},
		},
		{
			Name: "handler-panics",
			Doc:  "The downstream system answers two effects with an error at which a handler panics: the member goes on or starts again, and tries the records again.",
			Tags: []string{"ci", "sink", "crash"}, Extra: map[string]string{"KSIM_PANIC": "1"},
			Faults: []fault.Fault{fault.BadAnswer{Target: "m1", Kind: "panic", Times: 2}},
		},
		{
			Name: "bad-answers",
			Doc:  "The downstream system answers one effect with status 500, one with what is no HTTP, and one with half an answer: each is tried again, and none is taken for poison.",
			Tags: []string{"ci", "sink", "retry"},
			Faults: []fault.Fault{
				fault.BadAnswer{Target: "m1", Kind: "server-error"}, fault.BadAnswer{Target: "m2", Kind: "garbage"}, fault.BadAnswer{Target: "m1", Kind: "truncated"},
			},
		},
	}
}

// downstream systems fail as a whole, or in part.
func downstreams() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "reset-after-applied",
			Doc:  "Three effects are applied and never answered: the connection is reset a second later. They are done again, and nothing else is.",
			Tags: []string{"ci", "sink", "retry"}, Faults: []fault.Fault{fault.Unanswered{Target: "m1", For: time.Second, Times: 3}},
		},
		{
			Name: "reset-after-applied-idempotent",
			Doc:  "As reset-after-applied, with a downstream system that knows repeats and says so: \"duplicate\" is as good as \"applied\".",
			Tags: []string{"ci", "sink", "retry"}, IdempotentSink: true,
			Faults: []fault.Fault{fault.Unanswered{Target: "m1", For: time.Second, Times: 3}},
		},
		{
			Name: "timeout-after-applied",
			Doc:  "An effect is applied and not answered until the member gives up waiting: it is done again, in order, and its member keeps its place or finds its way back.",
			Tags: []string{"full", "sink", "retry"}, Faults: []fault.Fault{fault.Unanswered{Target: "m1"}},
		},
		{
			Name: "sink-hangs",
			Doc:  "The downstream system answers nobody for two sessions: the members stand still, and then go on where they were.",
			Tags: []string{"ci", "sink"}, SessionTimeout: 2 * time.Second, Faults: []fault.Fault{fault.SinkHang{For: 4 * time.Second}},
		},
		{
			Name: "slow-start",
			Doc:  "A member is restarted, and the downstream system answers its first effects slowly: the member starts slowly too, and loses nothing.",
			Tags: []string{"ci", "sink"}, SessionTimeout: 2 * time.Second,
			Faults: []fault.Fault{fault.SlowStart{Target: "m1", Effects: 8, Delay: 400 * time.Millisecond}},
		},
		{
			Name: "refusal-storm",
			Doc:  "The downstream system refuses everything with 503 for five seconds and says when to come again: an outage is no poison, and nothing is dead-lettered, skipped or committed because of it.",
			Tags: []string{"ci", "sink", "retry"}, Faults: []fault.Fault{fault.RefusalStorm{}},
		},
		{
			Name: "too-many-requests",
			Doc:  "The downstream system refuses everything with 429 for five seconds and says when to come again: the consumer waits, and nothing is dead-lettered, skipped or committed because of it.",
			Tags: []string{"ci", "sink", "retry"}, Faults: []fault.Fault{fault.RefusalStorm{Status: http.StatusTooManyRequests}},
		},
		{
			Name: "partial-batch",
			Doc:  "Of a batch of effects that are posted at once, one in the middle is refused (207): that one is tried again, and nothing behind it is lost or overtakes it.",
			Tags: []string{"ci", "sink", "retry"}, Extra: postBatches(), Faults: []fault.Fault{fault.PartialBatch{Target: "m1"}},
		},
		{
			Name: "batch-cut-short",
			Doc:  "Of a batch of effects that are posted at once, some are applied, and then the connection is reset: what may not have been applied is done again.",
			Tags: []string{"ci", "sink", "retry"}, Extra: postBatches(), Faults: []fault.Fault{fault.PartialBatch{Target: "m1", Reset: true}},
		},
	}
}

// postBatches asks the reference consumer, and who else knows the variable, for one post a batch.
func postBatches() map[string]string { return map[string]string{"KSIM_EFFECT": "batch"} }
