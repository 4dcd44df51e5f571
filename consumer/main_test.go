package consumer_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(crashMode(), shareMember, containers.ReaperMode())
	if exit, ok := runAsMember(); ok {
		os.Exit(exit)
	}
	goleak.VerifyTestMain(m)
}
