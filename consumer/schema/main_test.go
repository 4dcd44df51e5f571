package schema

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/ksim-dev/ksim/internal/services"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(services.StopAfter(m)) }
