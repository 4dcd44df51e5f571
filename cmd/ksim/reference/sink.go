package reference

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// sink posts effects, as docs/subject-protocol says.
type sink struct {
	url    string
	client *http.Client
	panics bool // where the sink asks for it
}

// newSink has no timeout of its own: an answer may be slow, and the handler
// timeout of the consumer ends the request.
func newSink(url string, concurrency int) *sink {
	return &sink{url: url, client: &http.Client{Transport: &http.Transport{
		MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, IdleConnTimeout: time.Minute, DisableCompression: true,
	}}}
}

func (s *sink) close() { s.client.CloseIdleConnections() }

// record posts one effect: the value as it is, known by its offset, since a
// poison record may have no readable id.
func (s *sink) record(ctx context.Context, r *kgo.Record) error {
	resp, err := s.post(ctx, s.url, r.Value, map[string]string{"Ksim-Record": name(r)})
	if err != nil {
		return err
	}
	return resp.err()
}

// batch posts whole batches. In an ordered one nothing is to be applied after
// the first failure, for that would overtake it.
func (s *sink) batch(ordered bool) consumer.Handler {
	return func(ctx context.Context, b consumer.Batch) error {
		body, err := encode(b.Records)
		if err != nil {
			return consumer.Permanent(err)
		}
		resp, err := s.post(ctx, s.url+"/batch", body, map[string]string{
			"Content-Type":         "application/json",
			"Ksim-Stop-On-Failure": strconv.FormatBool(ordered),
		})
		if err != nil {
			return err
		}
		if resp.status != http.StatusMultiStatus {
			return resp.err()
		}
		return resp.results(len(b.Records), ordered)
	}
}

type effect struct {
	Record string `json:"record"`
	// Exactly one of them: JSON as it is, anything else in base64.
	Value  json.RawMessage `json:"value,omitempty"`
	Base64 *string         `json:"value_base64,omitempty"`
}

func encode(records []*kgo.Record) ([]byte, error) {
	effects := make([]effect, len(records))
	for i, r := range records {
		effects[i].Record = name(r)
		if len(r.Value) > 0 && (r.Value[0] == '{' || r.Value[0] == '[') && json.Valid(r.Value) {
			effects[i].Value = r.Value
			continue
		}
		text := base64.StdEncoding.EncodeToString(r.Value)
		effects[i].Base64 = &text
	}
	return json.Marshal(map[string]any{"effects": effects})
}

func name(r *kgo.Record) string { return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset) }

// response is an answer of the sink.
type response struct {
	status int
	after  time.Duration // Retry-After
	body   []byte
}

func (s *sink) post(ctx context.Context, url string, body []byte, headers map[string]string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return response{}, consumer.Fatal(fmt.Errorf("KSIM_SINK_URL: %w", err))
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return response{}, unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := response{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
	if out.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return response{}, unanswered(err)
	}
	if s.panics && out.status == http.StatusInternalServerError && bytes.Contains(out.body, []byte(`"error":"panic"`)) {
		panic("the sink asked for a panic")
	}
	return out, nil
}

// unanswered sorts out a request without an answer. If no connection could be
// made, the sink is down and the record was not tried; otherwise it may have
// been applied, and is tried again.
func unanswered(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return consumer.Unavailable(err)
	}
	return err
}

func retryAfter(header string) time.Duration {
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

func (r response) err() error {
	switch {
	case r.status >= 200 && r.status < 300:
		return nil
	case r.status == http.StatusConflict:
		return consumer.Fenced(errors.New("the sink refused: the partition is not ours any more"))
	case r.status == http.StatusUnprocessableEntity, r.status == http.StatusBadRequest, r.status == http.StatusRequestEntityTooLarge:
		return consumer.Permanent(fmt.Errorf("the sink answered %d: %s", r.status, clip(r.body)))
	}
	return consumer.RetryAfter(fmt.Errorf("the sink answered %d: %s", r.status, clip(r.body)), r.after)
}

// results reads the fates of a batch, one by one.
func (r response) results(n int, ordered bool) error {
	var answer struct {
		Results []struct{ ID, Status, Error string }
	}
	if err := json.Unmarshal(r.body, &answer); err != nil {
		return fmt.Errorf("the sink answered 207 with a body that is no JSON: %w", err)
	}
	if len(answer.Results) != n {
		return fmt.Errorf("the sink answered 207 with %d results for %d effects", len(answer.Results), n)
	}
	failed := make(map[int]error)
	for i, result := range answer.Results {
		var err error
		switch result.Status {
		case "applied", "duplicate":
			continue
		case "poison":
			err = consumer.Permanent(fmt.Errorf("the sink: %s", result.Error))
		default:
			err = consumer.RetryAfter(fmt.Errorf("the sink: %s: %s", result.Status, result.Error), r.after)
		}
		if ordered {
			return consumer.FailedAt(i, err)
		}
		failed[i] = err
	}
	return consumer.Failed(failed)
}

func clip(body []byte) string {
	const length = 200
	return string(body[:min(len(body), length)])
}
