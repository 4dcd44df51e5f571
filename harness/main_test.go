package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	orders "github.com/ksim-dev/ksim/examples/go-suite"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/backend"
	"github.com/ksim-dev/ksim/harness/null"
	"github.com/ksim-dev/ksim/harness/reexec"
	"github.com/ksim-dev/ksim/harness/subject"
)

// The subjects of these tests: a sound consumer, and what can go wrong with one
// apart from its logic.
var (
	sound    = subject.Func{Label: "sound", Run: orders.Consume}
	stubborn = subject.Func{Label: "stubborn", Run: func(_ context.Context, env subject.Env) error {
		return orders.Consume(context.Background(), env) // SIGTERM changes nothing
	}}
	babbler = subject.Func{Label: "babbler", Run: func(ctx context.Context, env subject.Env) error {
		for range 5 {
			resp, err := http.Post(env.SinkURL, "text/plain", strings.NewReader("\x00 no record of anybody's"))
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
		}
		return orders.Consume(ctx, env)
	}}
	hushed = subject.Func{Label: "hushed", Run: func(ctx context.Context, env subject.Env) error {
		context.AfterFunc(ctx, func() { os.Exit(0) }) // SIGTERM ends it without another word
		return orders.Consume(context.WithoutCancel(ctx), env)
	}}
	brittle = subject.Func{Label: "brittle", Run: func(ctx context.Context, env subject.Env) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := orders.Consume(ctx, env); err != nil {
			return err
		}
		return errors.New("out of memory, as it were")
	}}
)

func TestMain(m *testing.M) {
	reexec.Main(sound.Mode(), stubborn.Mode(), babbler.Mode(), hushed.Mode(), brittle.Mode(), transacting.Mode(), outside.Mode(), hasty.Mode(), wordless.Mode(), forgetful.Mode(), latest.Mode(), null.Subject().Mode(), subject.GuardMode())
	goleak.VerifyTestMain(m)
}

// testConfig is a small run on an embedded broker.
func testConfig(t *testing.T, s subject.Subject) harness.Config {
	t.Helper()
	cfg := harness.DefaultConfig()
	cfg.RunID, cfg.Dir, cfg.Subject = fmt.Sprintf("t%d", time.Now().UnixNano()), t.TempDir(), s
	cfg.Kafka = harness.Fresh(func(ctx context.Context) (backend.Kafka, error) {
		return backend.NewEmbedded(ctx, backend.EmbeddedConfig{})
	})
	cfg.Messages, cfg.Members = 120, 2
	return cfg
}
