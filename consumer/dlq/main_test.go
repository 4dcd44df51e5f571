package dlq_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(replayMode, containers.ReaperMode())
	goleak.VerifyTestMain(m)
}
