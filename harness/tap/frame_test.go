package tap

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/history"
)

// TestProduceAcks reads acks in every version, with and without what may stand before it.
func TestProduceAcks(t *testing.T) {
	txn := "txn-1"
	for version := int16(0); version <= kmsg.NewPtrProduceRequest().MaxVersion(); version++ {
		for _, acks := range []int16{-1, 0, 1} {
			for _, id := range []*string{nil, &txn} {
				req := kmsg.NewPtrProduceRequest()
				req.Version, req.Acks, req.TransactionID = version, acks, id
				for _, f := range []*kmsg.RequestFormatter{kmsg.NewRequestFormatter(), kmsg.NewRequestFormatter(kmsg.FormatterClientID("some client"))} {
					b := f.AppendRequest(nil, req, 1)
					if got, err := produceAcks(b[sizeBytes:], version); err != nil || got != acks {
						t.Errorf("v%d: acks %d, %v; want %d", version, got, err, acks)
					}
				}
			}
		}
	}
}

// bareConn returns a connection of a member with listeners and no client.
func bareConn(t *testing.T) *conn {
	t.Helper()
	tap := New(Config{Log: history.NewMemory(history.Header{}), Seeds: []string{"kafka-1:9092"}})
	t.Cleanup(tap.Close)
	m, err := tap.Open(t.Context(), "m1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return &conn{m: m}
}

// responseFrame is a frame as a broker writes it.
func responseFrame(resp kmsg.Response) []byte {
	b := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		b = append(b, 1, 3, 2, 'h', 'i') // a tag nobody knows
	}
	return encodeBody(b, resp)
}

// TestRewrite replaces addresses in every version of every response that has
// them, and leaves the rest of it as it is.
func TestRewrite(t *testing.T) {
	c := bareConn(t)
	for _, empty := range []func() kmsg.Response{
		func() kmsg.Response {
			r := kmsg.NewPtrMetadataResponse()
			r.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "kafka-1", Port: 9092}, {NodeID: 2, Host: "kafka-2", Port: 9092}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrFindCoordinatorResponse()
			r.NodeID, r.Host, r.Port = 2, "kafka-2", 9092
			r.Coordinators = []kmsg.FindCoordinatorResponseCoordinator{{Key: "g", NodeID: 2, Host: "kafka-2", Port: 9092}, {NodeID: -1, Port: -1}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrDescribeClusterResponse()
			r.Brokers = []kmsg.DescribeClusterResponseBroker{{NodeID: 1, Host: "kafka-1", Port: 9092}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrProduceResponse()
			r.Brokers = []kmsg.ProduceResponseBroker{{NodeID: 2, Host: "kafka-2", Port: 9092}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrFetchResponse()
			r.Brokers = []kmsg.FetchResponseBroker{{NodeID: 2, Host: "kafka-2", Port: 9092}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrShareFetchResponse()
			r.NodeEndpoints = []kmsg.ShareFetchResponseNodeEndpoint{{NodeID: 2, Host: "kafka-2", Port: 9092}}
			return r
		},
		func() kmsg.Response {
			r := kmsg.NewPtrShareAcknowledgeResponse()
			r.NodeEndpoints = []kmsg.ShareAcknowledgeResponseNodeEndpoint{{NodeID: 2, Host: "kafka-2", Port: 9092}}
			return r
		},
	} {
		for version := range empty().MaxVersion() + 1 {
			resp := empty()
			resp.SetVersion(version)
			h := header{key: resp.Key(), version: version}
			if !rewrites(h) {
				continue // only old Fetch and Produce, which have none
			}
			frame := responseFrame(resp)
			got, body := c.decodeResponse(h, frame)
			if got == nil {
				t.Fatalf("%s v%d: not decoded", kmsg.NameForKey(h.key), version)
			}
			if again := encodeBody(slices.Clone(frame[:body]), got); !bytes.Equal(again, frame) {
				t.Errorf("%s v%d changes by itself", kmsg.NameForKey(h.key), version)
			}
			if err := c.rewrite(got); err != nil {
				t.Fatal(err)
			}
			out := encodeBody(slices.Clone(frame[:body]), got)
			if bytes.Contains(out, []byte("kafka-")) || !bytes.Contains(out, []byte(loopback)) {
				t.Errorf("%s v%d leaks: %q", kmsg.NameForKey(h.key), version, out)
			}
			if int(binary.BigEndian.Uint32(out)) != len(out)-sizeBytes || !bytes.Equal(out[sizeBytes:body], frame[sizeBytes:body]) {
				t.Errorf("%s v%d: bad frame", kmsg.NameForKey(h.key), version)
			}
		}
	}
	if n := len(c.m.listeners); n != 2 { // kafka-1 is the seed
		t.Errorf("%d listeners for 2 brokers", n)
	}
	r := kmsg.NewPtrMetadataResponse()
	r.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "elsewhere", Port: 1}}
	if err := c.rewrite(r); err != nil || r.Brokers[0].Port != portOf(c.m.listeners[0]) || c.m.tap.brokers.address(c.m.listeners[0].leadsTo()) != "elsewhere:1" {
		t.Errorf("a broker that moved: %v %v", r.Brokers, err)
	}
}

func TestClamp(t *testing.T) {
	c := bareConn(t)
	for version := range kmsg.NewPtrApiVersionsResponse().MaxVersion() + 1 {
		r := kmsg.NewPtrApiVersionsResponse()
		r.Version = version
		r.ApiKeys = append(r.ApiKeys, []kmsg.ApiVersionsResponseApiKey{
			{ApiKey: 0, MaxVersion: 99}, {ApiKey: 1, MinVersion: 4, MaxVersion: 99}, {ApiKey: 1, MinVersion: 16, MaxVersion: 99},
			{ApiKey: 8, MaxVersion: 99}, {ApiKey: 9, MaxVersion: 3}, {ApiKey: 9999, MaxVersion: 1},
		}...)
		h := header{key: r.Key(), version: version}
		resp, _ := c.decodeResponse(h, responseFrame(r))
		if err := c.rewrite(resp); err != nil {
			t.Fatal(err)
		}
		var got [][2]int16
		for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
			got = append(got, [2]int16{k.ApiKey, k.MaxVersion})
		}
		want := [][2]int16{{0, kmsg.NewPtrProduceRequest().MaxVersion()}, {1, 15}, {8, 9}, {9, 3}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("v%d: %v, want %v", version, got, want)
		}
	}
	// A broker that does not know the version answers in version 0.
	r := kmsg.NewPtrApiVersionsResponse()
	r.ErrorCode = unsupportedVersion
	r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 18, MaxVersion: 3}}
	frame := responseFrame(r)
	for version := range int16(7) { // newer than kmsg knows too
		resp, body := c.decodeResponse(header{key: 18, version: version}, slices.Clone(frame))
		if resp == nil || c.rewrite(resp) != nil || !bytes.Equal(encodeBody(slices.Clone(frame[:body]), resp), frame) {
			t.Errorf("v%d: the fallback is harmed", version)
		}
	}
}

// FuzzFrames gives arbitrary bytes to everything that decodes.
func FuzzFrames(f *testing.F) {
	for key := range int16(93) {
		req := kmsg.RequestForKey(key)
		h := header{key: key, version: kmsg.MaxKey}
		if req == nil || !decodesRequest(key) && !rewrites(h) && !slices.Contains(refusable, kmsg.Key(key)) {
			continue
		}
		for _, version := range []int16{0, req.MaxVersion()} {
			req.SetVersion(version)
			f.Add(key, version, frameOf(req, 1)[sizeBytes:], responseFrame(req.ResponseKind())[sizeBytes:])
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, request, response []byte) {
		if len(request) > 1<<12 || len(response) > 1<<12 {
			t.Skip() // decoders allocate by the size of a frame
		}
		_, _ = produceAcks(request, version)
		h := header{key: key, version: version}
		g := newGroup(history.NewMemory(history.Header{}), "")
		g.open(m1)
		c := &conn{m: &Member{tap: &Tap{group: g}, life: m1}}
		ex := &exchange{header: h}
		known := decodesRequest(key) || rewrites(h) || slices.Contains(refusable, kmsg.Key(key))
		if known && len(request) >= minRequest {
			if ex.req, _ = c.decodeRequest(h, append(make([]byte, sizeBytes), request...)); ex.req != nil {
				g.requested(m1, ex)
				call := c.call(Request, ex, nil, true)
				s := selection{topic: testTopic, naming: g.topic}
				answer, _ := s.refuse(ex.req, call.Group, 16)
				replyFrame(h, answer)
				s.prune(reflect.ValueOf(ex.req).Elem(), place{}, func(p place) bool { return !s.names(p) })
				encodeBody(make([]byte, sizeBytes), ex.req)
				ex.req, _ = c.decodeRequest(h, append(make([]byte, sizeBytes), request...))
			}
		}
		resp, _ := c.decodeResponse(h, append(make([]byte, sizeBytes), response...))
		if resp == nil {
			return
		}
		if r, ok := resp.(*kmsg.MetadataResponse); ok {
			g.learn(r)
		}
		if r, ok := resp.(*kmsg.ApiVersionsResponse); ok {
			clamp(r)
		}
		if ex.req != nil && ex.version == h.version {
			g.answered(m1, ex, resp, true)
		}
		fl := &flight{conn: c, ex: ex, resp: resp, call: c.call(Response, ex, resp, true)}
		s := selection{naming: g.topic}
		for _, b := range batches(fl, s) {
			weakSpot(b)
		}
		if ex.req != nil && readsOnly(kmsg.Key(key)) {
			answer, _ := s.refuse(ex.req, "", 3)
			s.layOver(resp, answer, 3)
		}
		s.setCodes(resp, fl.call.Group, 16)
		encodeBody(make([]byte, sizeBytes), resp)
	})
}
