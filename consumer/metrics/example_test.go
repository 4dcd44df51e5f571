package metrics_test

import (
	"context"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/metrics"
)

// A service with all that Kubernetes and Prometheus want of it. When a handler
// stalls, Run returns and the process ends, and Kubernetes starts it anew.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:9092"}, []string{"orders"}, "billing"

	m := metrics.New(metrics.Config{Group: cfg.Group, Topics: cfg.Topics})
	prometheus.MustRegister(m)
	cfg.Hooks = consumer.JoinHooks(m.Hooks(), consumer.Hooks{
		OnLost: func(topic string, partitions []int32, err error) { log.Print("lost ", topic, partitions, err) },
	})
	c, err := consumer.New(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		log.Fatal(err)
	}
	m.Watch(c)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	mux.Handle("/", c.HealthHandler())
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { log.Print(server.ListenAndServe()) }()

	if err := c.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// A share consumer with its probes and metrics.
func ExampleNewShare() {
	cfg := consumer.DefaultShareConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:9092"}, []string{"orders"}, "workers"

	m := metrics.NewShare(metrics.Config{Group: cfg.Group, Topics: cfg.Topics})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	cfg.Hooks = consumer.JoinShareHooks(m.Hooks(), consumer.ShareHooks{
		OnTaken: func(topic string, partition int32, offset int64, err error) {
			log.Print("taken ", topic, partition, offset, err)
		},
	})
	c, err := consumer.NewShare(cfg, func(context.Context, consumer.Batch) error { return nil })
	if err != nil {
		log.Fatal(err)
	}
	m.Watch(c)

	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/", c.HealthHandler())
	// Serve mux, and Run c, as in the example of the package.
}
