package tap

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// fetches is how far a life has fetched.
type fetches struct {
	mu sync.Mutex
	at map[fetchedFrom]int64
}

// fetchedFrom names a partition as a request does: by the topic's name, or by its id.
type fetchedFrom struct {
	topic     string
	id        topicID
	partition int32
}

// follows tells whether requests are decoded because the history wants fetches.
func (c *conn) follows(key int16) bool {
	return c.m.tap.cfg.Fetches && key == kmsg.Fetch.Int16()
}

// fetched writes down the positions of a Fetch request that are new for this life. A
// request within a fetch session (KIP-227) lists what has changed, any other lists all. What is new came with the response
// before it on the same connection, at that time: a client may be long in asking for more.
func (m *Member) fetched(r *kmsg.FetchRequest, answered time.Duration) {
	if !m.tap.cfg.Fetches {
		return
	}
	m.fetches.mu.Lock()
	defer m.fetches.mu.Unlock()
	var events []history.Event
	for i := range r.Topics {
		t := &r.Topics[i]
		name := ""
		for j := range t.Partitions {
			p := &t.Partitions[j]
			from := fetchedFrom{t.Topic, t.TopicID, p.Partition}
			if at, known := m.fetches.at[from]; known && at == p.FetchOffset {
				continue
			}
			if name == "" {
				if name = m.tap.group.topic(t.Topic, t.TopicID); name == "" {
					break // it has not asked for the topic's name through the tap
				}
			}
			m.fetches.at[from] = p.FetchOffset
			events = append(events, history.Event{
				Kind: history.Fetched, Member: m.life.member, Incarnation: m.life.incarnation,
				Topic: name, Partition: p.Partition, Offset: p.FetchOffset, Time: answered,
			})
		}
	}
	if len(events) > 0 {
		m.tap.cfg.Log.AppendAll(events)
	}
}
