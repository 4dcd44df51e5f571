package orders

import (
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/ksim-dev/ksim/harness/subject"
	"github.com/ksim-dev/ksim/scenarios"
	"github.com/ksim-dev/ksim/scenarios/spec"
)

var (
	orders    = subject.Func{Label: "orders", Run: Consume}
	chosen, _ = scenarios.Select([]string{"steady", "crash-mid-batch", "member-joins"})
	_         = spec.Describe("the orders consumer", spec.Config{Subject: orders, Scenarios: chosen})
)

func TestMain(m *testing.M) { spec.Main(m, []subject.Func{orders}) }

func TestOrders(t *testing.T) {
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, "orders")
}
