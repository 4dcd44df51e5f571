package mutant

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// lagMetric is the gauge that tells the lag of a partition, with the labels that exporters of Kafka use.
const lagMetric = "kafka_consumergroup_lag"

// lagInterval is how old a lag that is told may be.
const lagInterval = 500 * time.Millisecond

// gauges are the lags that are shown, by partition.
type gauges struct {
	mu sync.Mutex
	of map[int32]int64
}

// exportLag serves the lag of the partitions that c owns until ctx ends.
func (c *consumer) exportLag(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("serve metrics at KSIM_METRICS_ADDR: %w", err)
	}
	g := &gauges{of: map[int32]int64{}}
	mux := http.NewServeMux()
	mux.Handle("/metrics", g.page(c.env.GroupID, c.env.Topic))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c.every(lagInterval, func() { c.refresh(ctx, g) })
	err = server.Close()
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	return err
}

// refresh asks the brokers. What could not be told is not shown, rather than shown as it was.
func (c *consumer) refresh(ctx context.Context, g *gauges) {
	bounded, cancel := context.WithTimeout(ctx, lagInterval)
	defer cancel()
	lags, err := kadm.NewClient(c.client).Lag(bounded, c.env.GroupID)
	owned := c.owned()
	g.mu.Lock()
	defer g.mu.Unlock()
	c.do.unshown(g, owned)
	for _, id := range owned {
		l, ok := lags[c.env.GroupID].Lag.Lookup(c.env.Topic, id)
		if err != nil || !ok || l.Err != nil || l.Lag < 0 {
			delete(g.of, id)
			continue
		}
		g.of[id] = l.Lag
	}
}

// onlyOwned takes out what is not owned any more.
func onlyOwned(g *gauges, owned []int32) {
	for id := range g.of {
		if !slices.Contains(owned, id) {
			delete(g.of, id)
		}
	}
}

// page shows the gauges in the text format of Prometheus.
func (g *gauges) page(group, topic string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, "# TYPE %s gauge\n", lagMetric)
		g.mu.Lock()
		defer g.mu.Unlock()
		for id, lag := range g.of {
			_, _ = fmt.Fprintf(w, "%s{consumergroup=%s,topic=%s,partition=\"%d\"} %d\n", lagMetric, strconv.Quote(group), strconv.Quote(topic), id, lag)
		}
	}
}
