package sqltx_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(containers.ReaperMode(), reexec.Mode{Name: memberMode, Run: runMember})
	goleak.VerifyTestMain(m)
}
