package subject

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Env is what a member is told, as environment variables (see [Variables]). A
// zero value is not set in the environment: the subject uses its own default.
type Env struct {
	BootstrapServers string // host:port, comma-separated
	Topic            string
	GroupID          string

	Member      string // its name, m1, m2, …
	Incarnation int    // 1 + restarts
	RunID       string
	InstanceID  string // group.instance.id, only with static membership

	GroupProtocol   string        // classic or consumer (KIP-848)
	SessionTimeout  time.Duration // whole milliseconds, as all durations here
	MaxPollInterval time.Duration
	MetadataMaxAge  time.Duration // only where a scenario changes the topic

	BatchSize   int
	BatchWait   time.Duration
	MaxAttempts int
	Order       string // none, partition or key
	Assignor    string // cooperative-sticky or eager

	DLQTopic          string
	OutputTopic       string
	TransactionalID   string
	SinkURL           string
	SchemaRegistryURL string
	MetricsAddr       string // host:port

	// Extra variables, by their full names, beside those above.
	Extra map[string]string
}

// Variable describes one environment variable of a member.
type Variable struct {
	Name        string // KSIM_BOOTSTRAP_SERVERS
	Placeholder string // bootstrap_servers, written {bootstrap_servers}
	Field       string // BootstrapServers, written {{.BootstrapServers}}
	Doc         string
	value       func(*Env) value
}

// Variables lists the environment variables of a member, in the order of the
// documentation. Durations are whole milliseconds.
func Variables() []Variable {
	v := func(field, name, doc string, at func(*Env) value) Variable {
		return Variable{Name: name, Placeholder: strings.ToLower(strings.TrimPrefix(name, "KSIM_")), Field: field, Doc: doc, value: at}
	}
	return []Variable{
		v("BootstrapServers", "KSIM_BOOTSTRAP_SERVERS", "the brokers, as this member is to reach them", func(e *Env) value { return (*text)(&e.BootstrapServers) }),
		v("Topic", "KSIM_TOPIC", "the topic to consume", func(e *Env) value { return (*text)(&e.Topic) }),
		v("Topics", "KSIM_TOPICS", "the same, for consumers that take a list", func(e *Env) value { return (*text)(&e.Topic) }),
		v("GroupID", "KSIM_GROUP_ID", "the group to consume as", func(e *Env) value { return (*text)(&e.GroupID) }),
		v("Member", "KSIM_MEMBER", "name of the member (m1), good as client.id", func(e *Env) value { return (*text)(&e.Member) }),
		v("Incarnation", "KSIM_INCARNATION", "1 + restarts of the member", func(e *Env) value { return (*number)(&e.Incarnation) }),
		v("RunID", "KSIM_RUN_ID", "the run", func(e *Env) value { return (*text)(&e.RunID) }),
		v("InstanceID", "KSIM_INSTANCE_ID", "group.instance.id, set only for static membership", func(e *Env) value { return (*text)(&e.InstanceID) }),
		v("GroupProtocol", "KSIM_GROUP_PROTOCOL", "classic or consumer (KIP-848)", func(e *Env) value { return (*text)(&e.GroupProtocol) }),
		v("SessionTimeout", "KSIM_SESSION_TIMEOUT_MS", "session.timeout.ms (with KIP-848 the broker owns it)", func(e *Env) value { return (*millis)(&e.SessionTimeout) }),
		v("MaxPollInterval", "KSIM_MAX_POLL_INTERVAL_MS", "max.poll.interval.ms", func(e *Env) value { return (*millis)(&e.MaxPollInterval) }),
		v("MetadataMaxAge", "KSIM_METADATA_MAX_AGE_MS", "metadata.max.age.ms, set where a scenario changes the topic: how soon that must be noticed", func(e *Env) value { return (*millis)(&e.MetadataMaxAge) }),
		v("BatchSize", "KSIM_BATCH_SIZE", "records in a batch at most", func(e *Env) value { return (*number)(&e.BatchSize) }),
		v("BatchWait", "KSIM_BATCH_WAIT_MS", "how long to wait for a batch to fill", func(e *Env) value { return (*millis)(&e.BatchWait) }),
		v("MaxAttempts", "KSIM_MAX_ATTEMPTS", "attempts for one record at most", func(e *Env) value { return (*number)(&e.MaxAttempts) }),
		v("Order", "KSIM_ORDER", "the order that is promised: none, partition or key", func(e *Env) value { return (*text)(&e.Order) }),
		v("Assignor", "KSIM_ASSIGNOR", "how a classic group shares partitions out: cooperative-sticky or eager; absent where it is left to the consumer", func(e *Env) value { return (*text)(&e.Assignor) }),
		v("DLQTopic", "KSIM_DLQ_TOPIC", "where poison goes", func(e *Env) value { return (*text)(&e.DLQTopic) }),
		v("OutputTopic", "KSIM_OUTPUT_TOPIC", "where outputs go, when the scenario has them", func(e *Env) value { return (*text)(&e.OutputTopic) }),
		v("TransactionalID", "KSIM_TRANSACTIONAL_ID", "transactional.id, when the scenario has transactions", func(e *Env) value { return (*text)(&e.TransactionalID) }),
		v("SinkURL", "KSIM_SINK_URL", "where effects are posted; who calls is in its path", func(e *Env) value { return (*text)(&e.SinkURL) }),
		v("SchemaRegistryURL", "KSIM_SCHEMA_REGISTRY_URL", "the schema registry, when the scenario has schemas", func(e *Env) value { return (*text)(&e.SchemaRegistryURL) }),
		v("MetricsAddr", "KSIM_METRICS_ADDR", "host:port of this life of the member to serve Prometheus metrics at, as /metrics; set when its own lag is to be judged", func(e *Env) value { return (*text)(&e.MetricsAddr) }),
	}
}

// envExtra lists the names in Env.Extra, so that FromEnviron finds them again.
const envExtra = "KSIM_EXTRA"

// Environ returns the variables as NAME=value: those that are not zero, then
// Extra by name.
func (e Env) Environ() []string {
	var out []string
	for _, v := range Variables() {
		s := v.value(&e).String()
		if s == "" && v.Field == "BatchWait" {
			s = "0" // not to wait is a setting too, and a consumer may read it without asking whether it is there
		}
		if s != "" {
			out = append(out, v.Name+"="+s)
		}
	}
	names := make([]string, 0, len(e.Extra))
	for name := range e.Extra {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, name+"="+e.Extra[name])
	}
	if len(names) > 0 {
		out = append(out, envExtra+"="+strings.Join(names, ","))
	}
	return out
}

// FromEnviron reads the environment of this process, which ksim started. The
// error names every variable that is missing or malformed.
func FromEnviron() (Env, error) { return parse(os.LookupEnv) }

func parse(lookup func(string) (string, bool)) (Env, error) {
	var e Env
	var errs []error
	for _, v := range Variables() {
		s, ok := lookup(v.Name)
		if !ok || s == "" {
			continue
		}
		if err := v.value(&e).Set(s); err != nil {
			errs = append(errs, fmt.Errorf("subject: %s=%q: %w", v.Name, s, err))
		}
	}
	for _, need := range []struct{ name, have string }{
		{"KSIM_BOOTSTRAP_SERVERS", e.BootstrapServers}, {"KSIM_TOPIC", e.Topic}, {"KSIM_GROUP_ID", e.GroupID},
	} {
		if need.have == "" {
			errs = append(errs, fmt.Errorf("subject: %s is not set: run this program by ksim, or set it", need.name))
		}
	}
	if names, ok := lookup(envExtra); ok && names != "" {
		e.Extra = map[string]string{}
		for name := range strings.SplitSeq(names, ",") {
			if s, ok := lookup(name); ok {
				e.Extra[name] = s
			}
		}
	}
	return e, errors.Join(errs...)
}

// value is a field of Env as text; "" stands for the zero value.
type value interface {
	String() string
	Set(string) error
}

type (
	text   string
	number int
	millis time.Duration
)

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(s); return nil }

func (n *number) String() string {
	if *n == 0 {
		return ""
	}
	return strconv.Itoa(int(*n))
}

func (n *number) Set(s string) error {
	i, err := strconv.Atoi(s)
	if err != nil || i < 0 {
		return errors.New("not a whole number of 0 or more")
	}
	*n = number(i)
	return nil
}

func (m *millis) String() string {
	if *m == 0 {
		return ""
	}
	return strconv.FormatInt(time.Duration(*m).Milliseconds(), 10)
}

// maxMillis is what a time.Duration can hold.
const maxMillis = int64(1<<63-1) / int64(time.Millisecond)

func (m *millis) Set(s string) error {
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil || i < 0 || i > maxMillis {
		return errors.New("not a whole number of milliseconds")
	}
	*m = millis(time.Duration(i) * time.Millisecond)
	return nil
}
