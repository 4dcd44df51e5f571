package backend_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/harness/backend"
)

func startEmbedded(t *testing.T, cfg backend.EmbeddedConfig) *backend.Embedded {
	t.Helper()
	e, err := backend.NewEmbedded(bounded(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEmbeddedServesOnLoopback(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{})
	if e.Name() != "embedded" || !strings.HasPrefix(e.Version(), "franz-go kfake") {
		t.Errorf("name %q, version %q", e.Name(), e.Version())
	}
	if len(e.Brokers()) != 3 {
		t.Fatalf("brokers %v, want three", e.Brokers())
	}
	for _, b := range e.Brokers() {
		host, _, err := net.SplitHostPort(b)
		if err != nil || host != "127.0.0.1" {
			t.Errorf("broker %s is not on 127.0.0.1", b)
		}
	}
	if err := e.CreateTopic(ctx, "t", 4, nil); err != nil {
		t.Fatal(err)
	}
	roundTrip(ctx, t, "t", append(e.ClientOpts(), kgo.Dialer(dialer(e)))...)
	if err := e.CreateTopic(ctx, "t", 4, nil); err == nil {
		t.Error("a topic was created twice")
	}
	for range 2 { // the second time it is not there: no error
		if err := e.DeleteTopic(ctx, "t"); err != nil {
			t.Error(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestEmbeddedVersionsSuitOtherClients(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{Nodes: 1})
	cl, err := kgo.NewClient(e.ClientOpts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	offered := map[int16]int16{}
	for _, k := range resp.ApiKeys {
		offered[k.ApiKey] = k.MaxVersion
	}
	if v := offered[kmsg.CreateTopics.Int16()]; v != 4 {
		t.Errorf("CreateTopics up to v%d, want v4: Java's admin client crashes on kfake's newer answers", v)
	}
	for _, k := range []kmsg.Key{kmsg.ConsumerGroupHeartbeat, kmsg.TxnOffsetCommit, kmsg.ShareFetch} {
		if _, ok := offered[k.Int16()]; !ok {
			t.Errorf("%s is not offered", k.Name())
		}
	}
}

func TestEmbeddedGroupTimes(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{Nodes: 1, ConsumerHeartbeat: 250 * time.Millisecond})
	if err := e.CreateTopic(ctx, "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(e.ClientOpts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	caps := e.Capabilities()
	join := func(session time.Duration) error {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.ProtocolType = "g-"+session.String(), "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(session.Milliseconds()), 1000
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: "range"})
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	}
	if err := join(caps.GroupMinSession); err != nil && err != kerr.MemberIDRequired {
		t.Errorf("session of %s refused: %v", caps.GroupMinSession, err)
	}
	if err := join(caps.GroupMinSession / 2); err != kerr.InvalidSessionTimeout {
		t.Errorf("session of %s: %v, want INVALID_SESSION_TIMEOUT", caps.GroupMinSession/2, err)
	}
	hb := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	hb.Group, hb.MemberID, hb.RebalanceTimeoutMillis = "g848", "AAAAAAAAAAAAAAAAAAAAAQ", 1000
	hb.SubscribedTopicNames, hb.Topics = []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	resp, err := hb.RequestWith(ctx, cl)
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("KIP-848 heartbeat: %v, code %d", err, resp.ErrorCode)
	}
	if got := time.Duration(resp.HeartbeatIntervalMillis) * time.Millisecond; got != caps.ConsumerHeartbeat {
		t.Errorf("heartbeat interval %s, capabilities say %s", got, caps.ConsumerHeartbeat)
	}
}

// The dead-letter observer wants the broker's time. kfake takes the setting
// and stamps nothing: when this test fails, kfake has learned it, and
// Capabilities.LogAppendTime can become true.
func TestEmbeddedLogAppendTimeIsAsStated(t *testing.T) {
	ctx := bounded(t)
	e := startEmbedded(t, backend.EmbeddedConfig{Nodes: 1})
	append1 := "LogAppendTime"
	if err := e.CreateTopic(ctx, "t", 1, map[string]*string{"message.timestamp.type": &append1}); err != nil {
		t.Fatal(err)
	}
	stamped := roundTrip(ctx, t, "t", e.ClientOpts()...) == 1
	if stamped != e.Capabilities().LogAppendTime {
		t.Errorf("records carry append time: %v; capabilities say %v", stamped, e.Capabilities().LogAppendTime)
	}
}
