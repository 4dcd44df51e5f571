package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/ksim-dev/ksim/harness/history"
)

// Bounds of one look at the metrics of a member.
const (
	scrapeTimeout = time.Second
	maxScrape     = 8 << 20 // bytes
)

// groupLabels are labels that tell of which group a series is, by the exporters that are in use.
var groupLabels = []string{"consumergroup", "group", "group_id"}

// MetricsConfig is what StartMetrics needs.
type MetricsConfig struct {
	Log    *history.Log
	Metric string // name of the gauge that tells the lag of a partition
	// Names of its labels; the defaults are topic and partition. A series without the label of
	// the topic is taken to be of Topic.
	TopicLabel, PartitionLabel string
	Topic, Group               string
	Interval                   time.Duration
	// Targets returns the members that live now.
	Targets func() []Target
}

// Target is the metrics of one life of a member.
type Target struct {
	Member      string
	Incarnation int
	Addr        string // host:port; the page is /metrics
}

// Metrics reads, again and again, what members say of their own lag, and logs a
// [history.LagReported] event for each series, and a [history.Scraped] event where the number of
// series has changed, or whether there are any.
type Metrics struct {
	cfg    MetricsConfig
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	last map[Target]string // what the last Scraped event of a target said
}

// StartMetrics starts to read. Close ends it.
func StartMetrics(cfg MetricsConfig) (*Metrics, error) {
	if cfg.Log == nil || cfg.Metric == "" || cfg.Interval <= 0 || cfg.Targets == nil {
		return nil, errors.New("observe metrics: Log, Metric, Targets and a positive Interval are required")
	}
	if cfg.TopicLabel == "" {
		cfg.TopicLabel = "topic"
	}
	if cfg.PartitionLabel == "" {
		cfg.PartitionLabel = "partition"
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Metrics{
		cfg: cfg, cancel: cancel, done: make(chan struct{}), last: map[Target]string{},
		client: &http.Client{Timeout: scrapeTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	go m.run(ctx)
	return m, nil
}

// Close stops reading. It may be called again.
func (m *Metrics) Close() {
	m.cancel()
	<-m.done
}

func (m *Metrics) run(ctx context.Context) {
	defer close(m.done)
	for pause(ctx, m.cfg.Interval) {
		var round sync.WaitGroup // one that is frozen must not hold up the others
		for _, t := range m.cfg.Targets() {
			round.Go(func() { m.look(ctx, t) })
		}
		round.Wait()
	}
}

// look reads one member once.
func (m *Metrics) look(ctx context.Context, t Target) {
	asked := m.cfg.Log.Now()
	events, err := m.scrape(ctx, t)
	if ctx.Err() != nil {
		return
	}
	for i := range events {
		e := &events[i]
		e.Kind, e.Member, e.Incarnation, e.Due = history.LagReported, t.Member, t.Incarnation, asked
	}
	seen := history.Event{Kind: history.Scraped, Member: t.Member, Incarnation: t.Incarnation, Size: len(events)}
	if err != nil {
		seen.Error = bounded(err.Error(), maxHeaderValue)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if said := fmt.Sprint(seen.Size, seen.Error); m.last[t] != said {
		m.last[t] = said
		events = append([]history.Event{seen}, events...)
	}
	if len(events) > 0 {
		m.cfg.Log.AppendAll(events)
	}
}

// scrape returns one event for each series of the metric that belongs to the topic and the group.
func (m *Metrics) scrape(ctx context.Context, t Target) ([]history.Event, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics answered %s", resp.Status)
	}
	return m.parse(io.LimitReader(resp.Body, maxScrape))
}

// parse reads Prometheus' text format.
func (m *Metrics) parse(r io.Reader) ([]history.Event, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("/metrics is not in Prometheus' text format: %w", err)
	}
	var events []history.Event
	for _, series := range families[m.cfg.Metric].GetMetric() {
		labels := map[string]string{}
		for _, l := range series.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if topic, told := labels[m.cfg.TopicLabel]; told && topic != m.cfg.Topic || m.ofOtherGroup(labels) {
			continue
		}
		partition, err := strconv.ParseInt(labels[m.cfg.PartitionLabel], 10, 32)
		if err != nil {
			continue // a sum over partitions, or another thing by the same name
		}
		events = append(events, history.Event{Topic: m.cfg.Topic, Partition: int32(partition), Offset: whole(value(series))})
	}
	return events, nil
}

func (m *Metrics) ofOtherGroup(labels map[string]string) bool {
	for _, name := range groupLabels {
		if g, told := labels[name]; told && g != m.cfg.Group {
			return true
		}
	}
	return false
}

// value is that of a gauge, a counter, or a series without a type.
func value(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Untyped != nil:
		return m.Untyped.GetValue()
	}
	return math.NaN()
}

// whole rounds down; -1 for what is no number, or none that a lag can be.
func whole(v float64) int64 {
	if math.IsNaN(v) || v < 0 || v >= math.MaxInt64 {
		return -1
	}
	return int64(v)
}
