package tap

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var unsupportedVersion = kerr.UnsupportedVersion.Code

const (
	loopback = "127.0.0.1"
	// fetchWithEndpoints and produceWithEndpoints are the first versions
	// whose responses can name the new leader's address (KIP-951).
	fetchWithEndpoints   = 16
	produceWithEndpoints = 10
	// controllers is the endpoint type of DescribeCluster that asks for
	// controllers instead of brokers (KIP-919).
	controllers = 2
)

// rewrites tells whether responses of that kind and version can carry
// addresses of brokers, or versions to clamp, so that the tap must decode and encode them.
func rewrites(h header) bool {
	switch kmsg.Key(h.key) {
	case kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator, kmsg.DescribeCluster, kmsg.ShareFetch, kmsg.ShareAcknowledge:
		return true
	case kmsg.Fetch: // never, from a client that asks for versions first
		return h.version >= fetchWithEndpoints
	case kmsg.Produce:
		// Not clamped: transactions as of KIP-890 need version 12, and the
		// response is small.
		return h.version >= produceWithEndpoints
	}
	return false
}

// highest bounds versions below what kmsg knows.
func highest(key int16) int16 {
	switch kmsg.Key(key) {
	case kmsg.Fetch:
		return fetchWithEndpoints - 1
	case kmsg.OffsetCommit, kmsg.OffsetFetch:
		return 9 // later ones name topics by id only
	case kmsg.TxnOffsetCommit:
		return 5 // the same
	case kmsg.DescribeQuorum:
		return 1 // version 2 lists the addresses of controllers
	case kmsg.Vote, kmsg.BeginQuorumEpoch, kmsg.EndQuorumEpoch, kmsg.FetchSnapshot:
		return 0 // the same
	}
	if req := kmsg.RequestForKey(key); req != nil {
		return req.MaxVersion()
	}
	return -1
}

// clamp takes out of the versions that a broker offers what the tap cannot follow.
func clamp(r *kmsg.ApiVersionsResponse) {
	kept := r.ApiKeys[:0]
	for _, k := range r.ApiKeys {
		k.MaxVersion = min(k.MaxVersion, highest(k.ApiKey))
		if k.MaxVersion >= k.MinVersion {
			kept = append(kept, k)
		}
	}
	r.ApiKeys = kept
}

// rewrite replaces the addresses of brokers in a response by those of the
// member's listeners. It learns on the way: addresses, and names of topic ids.
func (c *conn) rewrite(resp kmsg.Response) error {
	var err error
	each := func(n node, host *string, port *int32) {
		if err == nil {
			err = c.redirect(n, host, port)
		}
	}
	switch r := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		clamp(r)
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			b := &r.Brokers[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
		c.m.tap.group.learn(r)
	case *kmsg.FindCoordinatorResponse:
		each(node{id: r.NodeID}, &r.Host, &r.Port)
		for i := range r.Coordinators {
			b := &r.Coordinators[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			b := &r.Brokers[i]
			each(node{id: b.NodeID, controller: r.EndpointType == controllers}, &b.Host, &b.Port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			b := &r.Brokers[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			b := &r.Brokers[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
	case *kmsg.ShareFetchResponse:
		for i := range r.NodeEndpoints {
			b := &r.NodeEndpoints[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
	case *kmsg.ShareAcknowledgeResponse:
		for i := range r.NodeEndpoints {
			b := &r.NodeEndpoints[i]
			each(node{id: b.NodeID}, &b.Host, &b.Port)
		}
	}
	return err
}

// redirect replaces one address. A response with an error has none: host "" and port -1.
func (c *conn) redirect(n node, host *string, port *int32) error {
	if *host == "" || *port <= 0 {
		return nil
	}
	c.m.tap.brokers.learn(n, *host, *port)
	p, err := c.m.port(n)
	if err != nil {
		return fmt.Errorf("no listener for broker %d: %w", n.id, err)
	}
	*host, *port = loopback, p
	return nil
}
