package harness

import (
	"context"
	"strings"

	"github.com/ksim-dev/ksim/harness/schemas"
)

// registry finds the Schema Registry of a scenario; the reason is why it cannot be run.
func (c Config) registry(sc Scenario) (url, reason string) {
	if !sc.Schemas {
		return "", ""
	}
	if c.Registry == nil {
		return "", "not run: it needs a Schema Registry, and this run has none"
	}
	url, err := c.Registry()
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return "", "not run: there is no Schema Registry: " + first
	}
	return url, ""
}

// openRegistry registers the schema of the scenario's values, and puts a proxy before the registry.
func (s *stage) openRegistry(ctx context.Context, url string) (err error) {
	if url == "" {
		return nil
	}
	if s.encoder, err = schemas.NewEncoder(ctx, url, s.names.topic); err != nil {
		return err
	}
	s.registry, err = schemas.NewProxy(url)
	return err
}
