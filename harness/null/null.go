// Package null is the consumer that does nothing. It fetches, tells the sink what it has, and commits by the clock: what it
// reaches is what harness, broker and machine together let any consumer reach, and no measurement near it says anything
// about the subject.
package null

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/subject"
)

// Subject is the consumer as members of a group.
func Subject() subject.Func { return subject.Func{Label: "null", Run: Run} }

// commitInterval is how often it commits.
const commitInterval = 100 * time.Millisecond

// Run consumes until ctx ends. With KSIM_SINK_URL it posts its batches there by the places of their records, without what is in
// them, partitions side by side.
func Run(ctx context.Context, env subject.Env) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(env.BootstrapServers, ",")...), kgo.ConsumerGroup(env.GroupID), kgo.ConsumeTopics(env.Topic),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitInterval), kgo.DisableClientMetrics(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250 * time.Millisecond),
	}
	if env.SessionTimeout > 0 {
		opts = append(opts, kgo.SessionTimeout(env.SessionTimeout))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("null: %w", err)
	}
	defer cl.Close()
	post := &poster{url: env.SinkURL + "/batch", client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, size: max(1, env.BatchSize)}
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return cl.CommitMarkedOffsets(bounded)
		}
		if env.SinkURL != "" {
			if err := post.all(ctx, fetches); err != nil {
				return err
			}
		}
		cl.MarkCommitRecords(fetches.Records()...)
	}
}

// poster posts batches of at most size records.
type poster struct {
	url    string
	client *http.Client
	size   int
}

func (p *poster) all(ctx context.Context, fetches kgo.Fetches) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		wg.Go(func() {
			if err := p.partition(ctx, f.Records); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	})
	wg.Wait()
	return errors.Join(errs...)
}

func (p *poster) partition(ctx context.Context, records []*kgo.Record) error {
	var body bytes.Buffer
	for from := 0; from < len(records); from += p.size {
		batch := records[from:min(from+p.size, len(records))]
		body.Reset()
		body.WriteString(`{"effects":[`)
		for i, r := range batch {
			if i > 0 {
				body.WriteByte(',')
			}
			body.WriteString(`{"record":"` + r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10) + `"}`)
		}
		body.WriteString(`]}`)
		if err := p.post(ctx, &body); err != nil {
			return err
		}
	}
	return nil
}

func (p *poster) post(ctx context.Context, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return fmt.Errorf("null: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("null: post a batch: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	return errors.Join(err, resp.Body.Close())
}
