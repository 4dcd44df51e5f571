package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/ksim-dev/ksim/harness/observe"
)

// metricsInterval is how often the metrics of each member are read.
const metricsInterval = 500 * time.Millisecond

// Ports for the metrics of members lie below those that Linux gives to connections
// (32768 and up), so that no connection takes one between its choice and the member's listening on it.
const (
	firstPort = 20000
	lastPort  = 29999
)

// freePort finds an address of 127.0.0.1 that nobody listens on.
func freePort() (string, error) {
	var err error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		var l net.Listener
		if l, err = net.Listen("tcp4", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port for the metrics of a member: %w", err)
}

// metricsAddr is where the next life of a member is to serve its metrics; "" if nobody will ask.
func (g *members) metricsAddr() (string, error) {
	if g.cfg.Promises.LagMetric == "" {
		return "", nil
	}
	return freePort()
}

// targets are the members whose metrics can be read now.
func (g *members) targets() []observe.Target {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ts []observe.Target
	for _, m := range g.all {
		if m.alive && m.wanted && m.metrics != "" {
			ts = append(ts, observe.Target{Member: m.name, Incarnation: m.incarnation, Addr: m.metrics})
		}
	}
	return ts
}

// observeMetrics starts to read what members say of their lag, where they promise that it is true.
func (s *stage) observeMetrics() error {
	if s.cfg.Promises.LagMetric == "" {
		return nil
	}
	var err error
	s.metrics, err = observe.StartMetrics(observe.MetricsConfig{
		Log: s.log, Metric: s.cfg.Promises.LagMetric, TopicLabel: s.cfg.LagTopicLabel, PartitionLabel: s.cfg.LagPartitionLabel,
		Topic: s.names.topic, Group: s.names.group, Interval: metricsInterval, Targets: s.members.targets,
	})
	return err
}
