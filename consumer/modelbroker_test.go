package consumer

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// modelBroker is a broker that knows commits, and holds each to the model. It has
// no topics, so that the client never joins: the test calls what the client would.
type modelBroker struct {
	m     *model
	fault *kerr.Error // what it answers to commits of partition 0, or all
	all   bool
	takes bool // though it refuses
	delay time.Duration
	ok    time.Time // since when it takes commits as it should
	life  int       // of the consumer: how many sessions it has had
	// refused: it has told this life that it is no member. If nobody waited for that
	// answer any more, because a revoke's time was over, it can go unheard.
	refused, heard bool
}

// shift is added to all delays, so that nothing else happens when an answer comes.
const shift = hop/5 + time.Microsecond

// reply is an answer, and when it leaves.
type reply struct {
	body []byte
	due  time.Time
	tell func() // the model, just before
}

func (b *modelBroker) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	replies := make(chan reply, 100)
	go func() {
		defer close(replies)
		for b.read(server, replies) == nil {
		}
	}()
	go func() {
		defer func() { _ = server.Close() }()
		for r := range replies {
			time.Sleep(time.Until(r.due))
			if r.tell != nil {
				r.tell()
			}
			if _, err := server.Write(r.body); err != nil {
				return
			}
		}
	}()
	return client, nil
}

// read takes the next request; what it says counts from here on.
func (b *modelBroker) read(conn net.Conn, replies chan<- reply) error {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	buf := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	r := kbin.Reader{Src: buf}
	key, version, id := r.Int16(), r.Int16(), r.Int32()
	r.NullableString()
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := req.ReadFrom(r.Src); err != nil {
		return err
	}
	resp, next := b.answer(req)
	resp.SetVersion(version)
	out := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(id))
	if req.IsFlexible() && key != int16(kmsg.ApiVersions) {
		out = append(out, 0)
	}
	next.body = resp.AppendTo(out)
	binary.BigEndian.PutUint32(next.body, uint32(len(next.body)-4))
	replies <- next
	return nil
}

func (b *modelBroker) answer(req kmsg.Request) (kmsg.Response, reply) {
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for key, most := range map[kmsg.Key]int16{kmsg.ApiVersions: 3, kmsg.Metadata: 7, kmsg.FindCoordinator: 3, kmsg.OffsetCommit: 8, kmsg.OffsetFetch: 7} {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: int16(key), MaxVersion: most})
		}
		return resp, reply{}
	case *kmsg.MetadataRequest:
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "127.0.0.1", Port: 1}}
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, kmsg.MetadataResponseTopic{Topic: t.Topic, ErrorCode: kerr.UnknownTopicOrPartition.Code})
		}
		return resp, reply{}
	case *kmsg.FindCoordinatorRequest:
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.NodeID, resp.Host, resp.Port = 1, "127.0.0.1", 1
		return resp, reply{}
	case *kmsg.OffsetFetchRequest:
		return b.fetch(req), reply{}
	case *kmsg.OffsetCommitRequest:
		return b.commit(req)
	}
	return req.ResponseKind(), reply{}
}

func (b *modelBroker) fetch(req *kmsg.OffsetFetchRequest) kmsg.Response {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	t := kmsg.NewOffsetFetchResponseTopic()
	t.Topic = "t"
	for _, p := range b.m.parts {
		part := kmsg.NewOffsetFetchResponseTopicPartition()
		note := p.note
		part.Partition, part.Offset, part.Metadata = p.tp.partition, p.committed, &note
		t.Partitions = append(t.Partitions, part)
	}
	resp.Topics = append(resp.Topics, t)
	return resp
}

func (b *modelBroker) commit(req *kmsg.OffsetCommitRequest) (kmsg.Response, reply) {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	var answers []func()
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	life := b.life
	for _, t := range req.Topics {
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			ep := b.m.parts[p.Partition].owned()
			b.m.tell("commit %d/%d fault %v all %v", p.Partition, p.Offset, b.fault, b.all)
			if ep == nil {
				b.m.fail("a commit of %d/%d, which nobody has", p.Partition, p.Offset)
				continue
			}
			note := ""
			if p.Metadata != nil {
				note = *p.Metadata
			}
			var fault *kerr.Error
			if b.all || p.Partition == 0 {
				fault = b.fault
			}
			b.m.judgeCommit(ep, p.Offset, note)
			if fault == nil || b.takes && !membership(fault) {
				ep.of.committed, ep.of.note = p.Offset, note
			}
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition = p.Partition
			if fault != nil {
				answer.ErrorCode = fault.Code
			}
			out.Partitions = append(out.Partitions, answer)
			answers = append(answers, func() {
				if fault != nil && membership(fault) && life == b.life {
					b.refused = true
					b.heard = b.heard || ep.state != fenced && !ep.part.ended()
				}
				b.m.answered(ep, p.Offset, note, fault == nil)
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, reply{due: time.Now().Add(b.delay + shift), tell: func() {
		b.m.mu.Lock()
		defer b.m.mu.Unlock()
		b.m.tell("answers")
		for _, answer := range answers {
			answer()
		}
	}}
}

// judgeCommit holds a commit that has arrived to what is done.
func (m *model) judgeCommit(ep *modelEpoch, offset int64, note string) {
	next, passed := ep.watermark()
	switch {
	case passed && offset > next, !passed && offset != ep.from:
		m.fail("%v: a commit of %d, with %d done", ep.of.tp, offset, next)
	case offset < ep.committed || offset < ep.from:
		m.fail("%v: a commit of %d after one of %d", ep.of.tp, offset, max(ep.committed, ep.from))
	}
	known, err := parseAttempts(note)
	if err != nil {
		m.fail("%v: the note %q", ep.of.tp, note)
	}
	for at, tr := range known {
		attempts := ep.of.memory[at]
		for _, it := range ep.items {
			if it.rec.Offset == at {
				attempts = it.attempts
			}
		}
		if tr.attempts > attempts {
			m.fail("%v: %d attempts at %d are noted, which had %d", ep.of.tp, tr.attempts, at, attempts)
		}
	}
}
