package tap

import (
	"net"
	"slices"
	"strconv"
	"sync"
)

// node names a broker. Controllers, which DescribeCluster can list, have ids
// in the same range and other addresses.
type node struct {
	id         int32
	controller bool
}

// brokers knows where the brokers are: the seeds, and every node by what its
// cluster said last.
type brokers struct {
	seeds []string
	mu    sync.Mutex
	nodes map[node]string
}

// learn keeps the address of a node; it follows one that restarts elsewhere.
func (b *brokers) learn(n node, host string, port int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[n] = net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// address returns where a target is now.
func (b *brokers) address(t target) string {
	if t.seed >= 0 {
		return b.seeds[t.seed]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[t.node]
}

// seedAt returns the index of the seed with the address that node n has now, or -1.
func (b *brokers) seedAt(n node) int {
	return slices.Index(b.seeds, b.address(target{node: n, seed: -1}))
}

// target is what a listener leads to: a seed until its node id is known.
type target struct {
	node node
	seed int // -1: node counts
}
