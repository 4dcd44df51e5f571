package schemas

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/ksim-dev/ksim/harness/workload"
)

// Encoder writes the messages of a workload by the newest of its schemas. All methods may be called from
// any goroutine.
type Encoder struct {
	client  *sr.Client
	subject string

	mu      sync.Mutex
	version int
	id      int
	schema  *avro.Schema
	first   string // id of the first message by it
}

// patience bounds one request of ours. The first one that a registry gets, while eight scenarios begin beside it, may take it
// far longer than the 5 s that the client gives it by itself: that is a failure of the harness, and shows nothing.
const patience = time.Minute

// NewEncoder registers the first version of a schema for the values of a topic, at the registry with that
// address: TOPIC-value.
func NewEncoder(ctx context.Context, url, topic string) (*Encoder, error) {
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Timeout: patience}))
	if err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	e := &Encoder{client: client, subject: topic + "-value"}
	_, err = e.Evolve(ctx)
	return e, err
}

// text is the n-th version, from 1: each has a field more, which readers of older ones need not know.
func (e *Encoder) text(version int) string {
	fields := []string{`{"name":"id","type":"string"}`, `{"name":"key","type":"string"}`, `{"name":"seq","type":"long"}`, `{"name":"value","type":"bytes"}`}
	for n := 2; n <= version; n++ {
		fields = append(fields, fmt.Sprintf(`{"name":"since_v%d","type":["null","string"],"default":null}`, n))
	}
	return `{"type":"record","name":"Message","namespace":"ksim","doc":"` + e.subject + `","fields":[` + strings.Join(fields, ",") + `]}`
}

// Evolve registers the next version. All that is encoded from now on is written by it.
func (e *Encoder) Evolve(ctx context.Context) (id int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.text(e.version + 1)
	schema, err := avro.Parse(text)
	if err != nil {
		return 0, fmt.Errorf("schemas: version %d: %w", e.version+1, err)
	}
	registered, err := e.client.CreateSchema(ctx, e.subject, sr.Schema{Schema: text})
	if err != nil {
		return 0, fmt.Errorf("schemas: register version %d of %s: %w", e.version+1, e.subject, err)
	}
	e.version, e.id, e.schema, e.first = e.version+1, registered.ID, schema, ""
	return e.id, nil
}

// First is the id of the first message that was written by the newest version; "" if there is none yet.
func (e *Encoder) First() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.first
}

// unknownID is that of no schema: registries count from 1.
const unknownID = 0x7ffffff0

// Encode returns the message with its value in the wire format. One that cannot be decoded names a
// schema that the registry does not know. A tombstone stays one.
func (e *Encoder) Encode(m workload.Message) (workload.Message, error) {
	if m.Value == nil {
		return m, nil
	}
	e.mu.Lock()
	id, version, schema := e.id, e.version, e.schema
	if m.Poison == workload.Undecodable {
		id = unknownID
	} else if e.first == "" {
		e.first = m.ID
	}
	e.mu.Unlock()
	record := map[string]any{"id": m.ID, "key": string(m.Key), "seq": int64(m.Seq), "value": m.Value}
	for n := 2; n <= version; n++ {
		record[fmt.Sprintf("since_v%d", n)] = nil
	}
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(id))
	value, err := schema.AppendEncode(slices.Clip(head), record)
	if err != nil {
		return m, fmt.Errorf("schemas: encode %s: %w", m.ID, err)
	}
	m.Value = value
	return m, nil
}
