package dlq_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/harness/backend/containers"
	"github.com/ksim-dev/ksim/harness/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(replayMode, containers.ReaperMode())
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1")); err != nil {
			println(err.Error())
			code = 1
		}
	}
	os.Exit(code)
}
