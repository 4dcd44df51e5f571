package reference

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ksim-dev/ksim/consumer"
	"github.com/ksim-dev/ksim/consumer/metrics"
	"github.com/ksim-dev/ksim/harness/subject"
)

// exporter serves the metrics of the consumer at KSIM_METRICS_ADDR; nil where that is not set.
type exporter struct {
	addr    string
	metrics *metrics.Metrics
}

// lagInterval is how often the consumer asks where its partitions end, so that the lag that it tells is never
// older than what it promises.
const lagInterval = 500 * time.Millisecond

func newExporter(env subject.Env, cfg *consumer.Config) *exporter {
	if env.MetricsAddr == "" {
		return nil
	}
	m := metrics.New(metrics.Config{Group: cfg.Group, Topics: cfg.Topics})
	cfg.Hooks, cfg.LagInterval = m.Hooks(), lagInterval
	return &exporter{addr: env.MetricsAddr, metrics: m}
}

// run runs c and serves its metrics meanwhile.
func (x *exporter) run(ctx context.Context, c *consumer.Consumer) error {
	if x == nil {
		return c.Run(ctx)
	}
	l, err := net.Listen("tcp", x.addr)
	if err != nil {
		return fmt.Errorf("reference: serve metrics at KSIM_METRICS_ADDR: %w", err)
	}
	x.metrics.Watch(c)
	registry := prometheus.NewRegistry()
	registry.MustRegister(x.metrics)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	err = c.Run(ctx)
	closed := server.Close()
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return errors.Join(err, closed)
}
