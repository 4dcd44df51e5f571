package spec_test

import (
	"context"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/ksim-dev/ksim/cmd/ksim/reference"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/scenarios"
	"github.com/ksim-dev/ksim/scenarios/spec"
)

// The reference consumer goes through the whole catalogue on both backends,
// and must keep everything that it promises.
var referenceConsumer = subject.Func{Label: "reference", Run: reference.Run}

func TestMain(m *testing.M) {
	spec.Main(m, []subject.Func{referenceConsumer}, containers.ReaperMode())
}

func TestReference(t *testing.T) {
	gomega.RegisterFailHandler(ginkgo.Fail)
	suite, reporter := ginkgo.GinkgoConfiguration()
	reporter.Verbose = true // a skipped spec tells its reason
	ginkgo.RunSpecs(t, "the reference consumer", suite, reporter)
}

var _ = spec.Describe("on the embedded broker", spec.Config{
	Subject: referenceConsumer, Adjust: promiseAll(history.OrderPartition), SideBySide: 4, Scenarios: only("tag:ci"),
})

var _ = spec.Describe("on the embedded broker, ordered by key", spec.Config{
	Subject: referenceConsumer, Adjust: promiseAll(history.OrderKey), SideBySide: 5,
	Scenarios: only("key-order-under-churn", "transient-failures", "poison-mix"),
})

var _ = spec.Describe("on the embedded broker, in a group of KIP-848", spec.Config{
	Subject: referenceConsumer, Adjust: promiseKIP848, SideBySide: 5,
	Scenarios: only("steady", "member-joins", "crash-mid-batch"),
})

var _ = spec.Describe("on the embedded broker, exactly once by transactions", spec.Config{
	Subject: referenceConsumer, Adjust: promiseTransactions, SideBySide: 5,
	Scenarios: only("steady", "crash-mid-batch", "crash-before-commit", "crash-after-commit", "poison-mix"),
})

var _ = spec.Describe("on the embedded broker, as static members", spec.Config{
	Subject: referenceConsumer, Adjust: promiseStatic, SideBySide: 5,
	Scenarios: only("member-leaves", "rolling-restart", "crash-mid-batch", "crash-before-commit"),
})

var _ = spec.Describe("on Apache Kafka in a container", spec.Config{
	Subject: referenceConsumer, Adjust: promiseAll(history.OrderPartition), SideBySide: 6, Kafka: containerKafka, Scenarios: only("tag:smoke"),
})

var _ = spec.Describe("on Apache Kafka in a container, ordered by key", spec.Config{
	Subject: referenceConsumer, Adjust: promiseAll(history.OrderKey), SideBySide: 3, Kafka: containerKafka,
	Scenarios: only("key-order-under-churn", "transient-failures", "poison-mix"),
})

var _ = spec.Describe("on Apache Kafka in a container, in a group of KIP-848", spec.Config{
	Subject: referenceConsumer, Adjust: promiseKIP848, SideBySide: 4, Kafka: containerKafka,
	Scenarios: only("steady", "member-joins", "crash-mid-batch", "zombie"),
})

// promiseKIP848 promises everything for a group whose assignment the broker makes.
func promiseKIP848(cfg *harness.Config) {
	promiseAll(history.OrderPartition)(cfg)
	cfg.Protocol = "consumer"
}

// promiseTransactions promises outputs that can be seen once.
func promiseTransactions(cfg *harness.Config) {
	cfg.Promises = inOwnTime(reference.TransactionPromises(cfg.BatchSize, cfg.Partitions))
	cfg.Extra = map[string]string{"KSIM_DELIVERY": reference.Transactions}
}

// promiseStatic promises everything for members that keep their place over a restart. What one
// leaves behind for good is nobody's until its session has expired, so sessions are short.
func promiseStatic(cfg *harness.Config) {
	promiseAll(history.OrderPartition)(cfg)
	cfg.Static, cfg.SessionTimeout = true, 3*time.Second
}

// promiseAll is what the reference promises, with the order given.
func promiseAll(order string) func(*harness.Config) {
	return func(cfg *harness.Config) {
		cfg.Promises = inOwnTime(reference.InOrder(reference.Promises(cfg.BatchSize, cfg.Partitions), order))
	}
}

// inOwnTime gives a group more time to recover: the race detector makes it slow, and that says nothing about it.
func inOwnTime(p history.Promises) history.Promises {
	p.Recovery = 3 * time.Minute
	return p
}

func only(names ...string) []harness.Scenario {
	chosen, err := scenarios.Select(names)
	if err != nil {
		panic(err) // a name in this file is wrong
	}
	return chosen
}

// containerKafka starts one broker for all scenarios, or skips where there is no Docker.
func containerKafka(ctx context.Context) (harness.Provider, error) {
	containers.Require(ginkgo.GinkgoT())
	k, err := containers.Start(ctx, containers.Config{RunID: "spec"})
	if err != nil {
		return nil, err
	}
	ginkgo.DeferCleanup(k.Close)
	return harness.Shared(k), nil
}
