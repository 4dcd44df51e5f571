package consumer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// field is what there is to know of one field of Config beside its Go type. From
// the table of them come the names in a file, how it is read, checked and
// printed, its JSON Schema, and its reference page.
type field struct {
	name string // in Go, "Retry.Attempts"
	doc  string // for those who write files
	// least and most bound a number; a most of 0 is no bound. Of a duration it is
	// the least number of seconds, and above says that 0 is not enough.
	least, most float64
	above       bool
	bytes       bool     // a number of bytes
	values      []string // allowed; "" among them means that it may be empty
}

// fields are all that can stand in a file, in the order in which they are printed.
// A new field of Config is a new line here; or in codeOnly.
var fields = []field{
	{name: "Brokers", doc: "host:port of some brokers; more are found through them"},
	{name: "Topics", doc: "the topics to consume"},
	{name: "Group", doc: "the consumer group"},
	{name: "ClientID", doc: "shows in the brokers' logs and metrics"},
	{name: "InstanceID", doc: "makes this a static member, which keeps its partitions over a restart; unique in the group"},
	{name: "Protocol", doc: "how the group shares out partitions; the same for all its members", values: []string{string(ProtocolCooperative), string(ProtocolEager), string(ProtocolConsumer)}},

	{name: "TLS.Enabled", doc: "encrypt connections to the brokers"},
	{name: "TLS.CAFile", doc: "PEM file of the authorities to trust; without it, those of the system"},
	{name: "TLS.CertFile", doc: "PEM file of this client's certificate"},
	{name: "TLS.KeyFile", doc: "PEM file of its key"},
	{name: "TLS.ServerName", doc: "name that the brokers' certificates bear, if not their host"},
	{name: "SASL.Mechanism", doc: "how this client proves who it is", values: []string{"", string(SASLPlain), string(SASLScram256), string(SASLScram512)}},
	{name: "SASL.User", doc: "who it is"},
	{name: "SASL.PasswordEnv", doc: "environment variable that holds the password"},
	{name: "SASL.PasswordFile", doc: "file that holds the password; read again for each connection"},

	{name: "Order", doc: "what is handled one batch at a time: each partition, each key of it, or nothing", values: []string{string(OrderPartition), string(OrderKey), string(Unordered)}},
	{name: "BatchSize", doc: "records in a batch at most", least: 1},
	{name: "BatchWait", doc: "how long a batch that is not full waits for more records"},
	{name: "Concurrency", doc: "handler calls side by side at most, over all partitions", least: 1},
	{name: "MaxInFlight", doc: "records of one partition that are delivered and not done, before fetching it pauses", least: 1},
	{name: "MaxSpan", doc: "how far, in offsets, a record may be ahead of the oldest one that is not done", least: 1},

	{name: "CommitInterval", doc: "time between commits", above: true},
	{name: "CommitEachBatch", doc: "commit after every batch too, before the next one of its lane"},

	{name: "Retry.Attempts", doc: "how often a record is given to the handler at most, the first time included", least: 1},
	{name: "Retry.Initial", doc: "wait before the second attempt", above: true},
	{name: "Retry.Max", doc: "longest wait between two attempts"},
	{name: "Retry.Multiplier", doc: "growth of the wait from one attempt to the next", least: 1},
	{name: "Retry.Jitter", doc: "spread of the wait: 0.2 is 20 % up or down", most: 1},
	{name: "Poison.Policy", doc: "what becomes of a record that cannot be handled", values: []string{"", string(PoisonDeadLetter), string(PoisonSkip), string(PoisonStop)}},
	{name: "Poison.Topic", doc: "the dead-letter topic, which must exist; {group} and {topic} stand for the group and the record's own topic"},
	{name: "Poison.Headers", doc: "whose names the headers of a dead letter have", values: []string{string(HeadersKIP1191), string(HeadersConnect), string(HeadersSpring)}},

	{name: "SessionTimeout", doc: "after which the broker takes a silent member for dead; with protocol consumer it is the broker's"},
	{name: "HeartbeatInterval", doc: "time between signs of life; with protocol consumer it is the broker's"},
	{name: "RebalanceTimeout", doc: "how long the broker waits for this member to give up partitions", least: 0.1},
	{name: "DrainTimeout", doc: "how long giving up partitions waits for work in flight", above: true},
	{name: "HandlerTimeout", doc: "ends the context of a handler call; 0s: never"},
	{name: "StallTimeout", doc: "how long a handler call may run before the consumer gives up and ends; 0s: for ever"},
	{name: "ShutdownTimeout", doc: "how long a graceful stop takes at most", above: true},
	{name: "CommitTimeout", doc: "how long a commit waits for a rebalance to let it through", above: true},

	{name: "TransactionalID", doc: "names this member to the transaction coordinator, for a consumer with transactions; unique in the cluster, the same over restarts"},
	{name: "TransactionTimeout", doc: "how long a transaction may be open", above: true},
	{name: "LagInterval", doc: "time between looks at the ends of partitions, for lag; 0s: never"},
	{name: "HealthTimeout", doc: "how long trouble may last before probes tell", above: true},

	{name: "Start", doc: "where a partition without a committed offset begins", values: []string{string(Earliest), string(Latest)}},
	{name: "Reset", doc: "where a partition goes on when its offset is no longer in the log", values: []string{string(Earliest), string(Latest)}},
	{name: "FetchMaxBytes", doc: "what one fetch from one broker brings at most", least: 1, most: 1 << 30, bytes: true},
	{name: "FetchMaxPartitionBytes", doc: "what one fetch brings of one partition at most", least: 1, most: 1 << 30, bytes: true},
}

// codeOnly are the fields that a file cannot hold, and what to do instead.
var codeOnly = map[string]string{
	"SASL.Password": "a secret does not belong into a file: give sasl.password-env or sasl.password-file",
	"Offsets":       setInCode, "ClientOpts": setInCode, "Hooks": setInCode, "Logger": setInCode,
}

const setInCode = "it cannot stand in a file: set it in code"

type kind uint8

const (
	kindText kind = iota
	kindList
	kindBool
	kindInt
	kindFloat
	kindBytes
	kindDuration
)

// in is the field of c, which can be set.
func (f *field) in(c *Config) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for part := range strings.SplitSeq(f.name, ".") {
		v = v.FieldByName(part)
	}
	return v
}

func (f *field) kind() kind {
	switch t := f.in(&Config{}).Type(); {
	case t == reflect.TypeFor[time.Duration]():
		return kindDuration
	case f.bytes:
		return kindBytes
	case t.Kind() == reflect.Slice:
		return kindList
	case t.Kind() == reflect.Bool:
		return kindBool
	case t.Kind() == reflect.Float64:
		return kindFloat
	case t.Kind() == reflect.String:
		return kindText
	}
	return kindInt
}

func (f *field) bounds() string {
	if f.most > 0 {
		return fmt.Sprintf("between %v and %v", f.least, f.most)
	}
	return fmt.Sprintf("a number of %v or more", f.least)
}

// fieldNamed finds a field by its name in Go; nil if there is none.
func fieldNamed(name string) *field {
	return fieldWhere(func(f *field) bool { return f.name == name })
}

func fieldWhere(is func(*field) bool) *field {
	for i := range fields {
		if is(&fields[i]) {
			return &fields[i]
		}
	}
	return nil
}

// key is the name in a file: "Retry.Attempts" is retry.attempts, "TLS.CAFile" is
// tls.ca-file, "InstanceID" is instance-id.
func key(name string) string { return strictyaml.Key(name) }

// keysIn are the keys that may stand in a section ("" for the top), sections
// among them, without its name.
func keysIn(section string) []string {
	var keys []string
	for i := range fields {
		rest, ok := strings.CutPrefix(key(fields[i].name), section)
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(keys, first) {
			keys = append(keys, first)
		}
	}
	return keys
}
