package consumer_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if exit, ok := runAsMember(); ok {
		os.Exit(exit)
	}
	goleak.VerifyTestMain(m)
}
