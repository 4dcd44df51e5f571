package consumer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/consumer"
)

func TestShareConfigValidate(t *testing.T) {
	good := consumer.DefaultShareConfig()
	good.Brokers, good.Topics, good.Group = []string{"127.0.0.1:9092"}, []string{"t"}, "g"
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for field, spoil := range map[string]func(*consumer.ShareConfig){
		"Brokers":                func(c *consumer.ShareConfig) { c.Brokers = []string{""} },
		"Topics":                 func(c *consumer.ShareConfig) { c.Topics = nil },
		"Group":                  func(c *consumer.ShareConfig) { c.Group = "" },
		"Start":                  func(c *consumer.ShareConfig) { c.Start = "middle" },
		"BatchSize":              func(c *consumer.ShareConfig) { c.BatchSize = 0 },
		"Concurrency":            func(c *consumer.ShareConfig) { c.Concurrency = 0 },
		"MaxInFlight":            func(c *consumer.ShareConfig) { c.MaxInFlight = 1 },
		"Retry.Attempts":         func(c *consumer.ShareConfig) { c.Retry.Attempts = 0 },
		"Retry.Initial":          func(c *consumer.ShareConfig) { c.Retry.Initial = 0 },
		"Retry.Max":              func(c *consumer.ShareConfig) { c.Retry.Max = 1 },
		"Retry.Multiplier":       func(c *consumer.ShareConfig) { c.Retry.Multiplier = 0 },
		"Retry.Jitter":           func(c *consumer.ShareConfig) { c.Retry.Jitter = 2 },
		"Poison.Policy":          func(c *consumer.ShareConfig) { c.Poison.Policy = "pray" },
		"Poison.Topic":           func(c *consumer.ShareConfig) { c.Poison.Topic = "t" },
		"HandlerTimeout":         func(c *consumer.ShareConfig) { c.HandlerTimeout = -1 },
		"StallTimeout":           func(c *consumer.ShareConfig) { c.StallTimeout = time.Second },
		"ShutdownTimeout":        func(c *consumer.ShareConfig) { c.ShutdownTimeout = 0 },
		"HealthTimeout":          func(c *consumer.ShareConfig) { c.HealthTimeout = 0 },
		"FetchMaxBytes":          func(c *consumer.ShareConfig) { c.FetchMaxBytes = 0 },
		"FetchMaxPartitionBytes": func(c *consumer.ShareConfig) { c.FetchMaxPartitionBytes = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "consumer: "+field+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := consumer.NewShare(c, newDeliveries().handler("")); err == nil {
			t.Errorf("%s: NewShare takes it", field)
		}
	}
	if err := (consumer.ShareConfig{}).Validate(); strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("not all at once: %v", err)
	}
	if _, err := consumer.NewShare(good, nil); err == nil {
		t.Error("no handler was taken")
	}
}
