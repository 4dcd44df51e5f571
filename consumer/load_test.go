package consumer

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const leastFile = "brokers: [kafka:9092]\ntopics: [orders]\ngroup: g\n"

func TestParseConfig(t *testing.T) {
	t.Setenv("KSIM_TEST_BROKERS", "kafka-1:9092, kafka-2:9092")
	t.Setenv("KSIM_TEST_BATCH", "50")
	t.Setenv("KSIM_TEST_EMPTY", "")
	got, err := ParseConfig([]byte("\ufeff" + `
# a comment
brokers: ${KSIM_TEST_BROKERS}
topics: &all [orders, "payments"]
group: 4711
client-id: $${c}-${KSIM_TEST_BATCH}-${KSIM_TEST_NONE:-x}-${KSIM_TEST_EMPTY:-y}-$5
protocol: consumer
order: key
batch-size: ${KSIM_TEST_BATCH}
batch-wait: 50ms
commit-each-batch: true
max-span: &n 5000
max-in-flight: *n
retry:
  attempts: 8
  initial: 1s
  max: 1m30s
  multiplier: 1.5
  jitter: 0
poison: {policy: dead-letter, topic: "dead.{topic}"}
tls: {enabled: true, ca-file: ca.pem}
sasl:
  mechanism: SCRAM-SHA-512
  user: me
  password-env: PASSWORD
handler-timeout: 0
stall-timeout: 0s
start: latest
fetch-max-bytes: 1.5 MiB
fetch-max-partition-bytes: 4096
`))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Brokers, want.Topics, want.Group = []string{"kafka-1:9092", "kafka-2:9092"}, []string{"orders", "payments"}, "4711"
	want.ClientID, want.Protocol, want.Order = "${c}-50-x-y-$5", ProtocolConsumer, OrderKey
	want.BatchSize, want.BatchWait, want.CommitEachBatch, want.MaxSpan, want.MaxInFlight = 50, 50*time.Millisecond, true, 5000, 5000
	want.Retry = Retry{8, time.Second, 90 * time.Second, 1.5, 0}
	want.Poison = Poison{Policy: PoisonDeadLetter, Topic: "dead.{topic}"}
	want.TLS = TLS{Enabled: true, CAFile: "ca.pem"}
	want.SASL = SASL{Mechanism: SASLScram512, User: "me", PasswordEnv: "PASSWORD"}
	want.HandlerTimeout, want.StallTimeout, want.Start = 0, 0, Latest
	want.FetchMaxBytes, want.FetchMaxPartitionBytes = 3<<19, 4096
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// Every error is told at once, with its line, in the order of the file.
func TestParseConfigTellsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "consumer.yaml")
	if err := os.WriteFile(path, []byte(`brokers: [kafka:9092]
group: billing
batch_size: 10
batch-size: ten
batch-wait: 50
retry:
  atempts: 3
  attempts: 0
  max: 1ms
  backoff: 2
poison: dead-letter
order: keys
order: key
sasl:
  mechanism: PLAIN
  user: me
  password: hunter2
logger: stderr
attempts: 5
commit-each-batch: yes
rebalance-timeout: 20s
fetch-max-bytes: 1,5MiB
stall-timeout:
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig(path)
	want := `
consumer.yaml: topics: give at least one topic
consumer.yaml:3: batch_size: there is no such field; batch-size is meant?
consumer.yaml:4: batch-size: a whole number is wanted, and this is "ten"
consumer.yaml:5: batch-wait: 50 has no unit: write 50s for seconds, 50ms for milliseconds
consumer.yaml:7: retry.atempts: there is no such field; retry.attempts is meant?
consumer.yaml:8: retry.attempts: 0 is less than 1
consumer.yaml:9: retry.max: 1ms is less than retry.initial, 200ms
consumer.yaml:10: retry.backoff: there is no such field; there are attempts, initial, max, multiplier, jitter
consumer.yaml:11: poison: fields are wanted here (policy, topic, headers), and this is "dead-letter"
consumer.yaml:12: order: "keys" is none of partition, key, none
consumer.yaml:13: order: it stands here again, first on line 12
consumer.yaml:14: sasl.password-env: say where the password is: sasl.password-env or sasl.password-file, or SASL.Password in code
consumer.yaml:17: sasl.password: a secret does not belong into a file: give sasl.password-env or sasl.password-file
consumer.yaml:18: logger: it cannot stand in a file: set it in code
consumer.yaml:19: attempts: there is no such field here; retry.attempts stands in the section retry
consumer.yaml:20: commit-each-batch: true or false is wanted, and this is "yes"
consumer.yaml:21: drain-timeout: 30s is not less than rebalance-timeout, 20s: the group would throw this member out while it drains
consumer.yaml:22: fetch-max-bytes: a number of bytes is wanted, like 65536, 512KiB or 16MiB, and this is "1,5MiB"
consumer.yaml:23: stall-timeout: it has no value: leave it out for the default`
	if err == nil || !reflect.DeepEqual(got, Config{}) {
		t.Fatalf("%v, %v", got, err)
	}
	said := strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")
	if said != want[1:] {
		t.Errorf("got\n%s\nwant%s", said, want)
	}
	if strings.Contains(said, "hunter2") {
		t.Error("the error shows a password")
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                               emptyFile,
		"# nothing\n---\n":                               emptyFile,
		"- a\n":                                          "line 1: fields are wanted here (group: billing), and this is a list",
		"hello":                                          `line 1: fields are wanted here (group: billing), and this is "hello"`,
		leastFile + "---\ngroup: h\n":                    "line 4: a second document begins here: a file holds one",
		leastFile + "---\n{":                             "line 5: not YAML:",
		leastFile + "retry:\n\tattempts: 3\n":            "line 5: this line is indented with a tab: YAML wants spaces",
		leastFile + "order: [key":                        "not YAML:",
		"brokers: [a]\ngroup: \xff\n":                    "line 2: this is not UTF-8",
		"\xff\xfeb\x00r\x00":                             "line 1: this is not UTF-8",
		leastFile + "<<: {order: key}":                   "line 4: <<: merging mappings is not possible here",
		leastFile + "order: {a: b}":                      "line 4: order: a single value is wanted, and this is a mapping",
		leastFile + "? [a]\n: b":                         "the name of a field is wanted here, and this is a list",
		leastFile + `batch-size: "5"`:                    `line 4: batch-size: a whole number is wanted, and this is the text "5": write it without quotes`,
		leastFile + "batch-size: 010":                    "line 4: batch-size: a whole number is wanted",
		leastFile + "batch-size: !!int 10":               "line 4: batch-size: a plain value is wanted, without the tag !!int",
		leastFile + "batch-size: 1e3":                    "line 4: batch-size: a whole number is wanted",
		leastFile + "retry: {jitter: .nan}":              "line 4: retry.jitter: a number is wanted",
		leastFile + "retry: {jitter: 2}":                 "line 4: retry.jitter: 2 is not between 0 and 1",
		leastFile + "retry: {multiplier: 0.5}":           "line 4: retry.multiplier: 0.5 is not a number of 1 or more",
		leastFile + "retry:":                             "line 4: retry: fields are wanted here (attempts, initial, max, multiplier, jitter), and this is empty",
		leastFile + "batch-wait: 1 second":               `line 4: batch-wait: a duration is wanted, like 250ms, 30s or 1m30s, and this is "1 second"`,
		leastFile + "batch-wait: -1s":                    "line 4: batch-wait: -1s is negative",
		leastFile + "fetch-max-bytes: 3GiB":              "line 4: fetch-max-bytes: 3GiB is more than 2147483647 bytes",
		leastFile + "client-id: ${ab":                    `a variable is written ${NAME} or ${NAME:-default}`,
		leastFile + "client-id: ${KSIM_NOT_SET}":         "the environment variable KSIM_NOT_SET is not set",
		leastFile + "topic: x":                           "line 4: topic: there is no such field; topics is meant?",
		leastFile + "retry: {group: x}":                  "line 4: retry.group: there is no such field here; group stands at the top, not in a section",
		leastFile + "retry.attempts: 3":                  "line 4: retry.attempts: there is no such field here; retry.attempts stands in the section retry",
		leastFile + "zzz: 3":                             "line 4: zzz: there is no such field; there are brokers, topics, group,",
		"brokers: [http://a:1]\ntopics: [a b]\ngroup: g": "line 1: brokers: \"http://a:1\" is not host:port\nline 2: topics: \"a b\" cannot be a topic",
	} {
		_, err := ParseConfig([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\nwant %s\ngot  %v", text, want, err)
		}
	}
	if _, err := LoadConfig("/nowhere/consumer.yaml"); err == nil || !strings.Contains(err.Error(), "/nowhere/consumer.yaml") {
		t.Errorf("no file: %v", err)
	}
}

// Every exported field of Config can stand in a file, or is known not to. If this
// fails for a new field: add a line to the table in fields.go.
func TestEveryFieldIsKnown(t *testing.T) {
	var walk func(prefix string, of reflect.Type) []string
	walk = func(prefix string, of reflect.Type) (names []string) {
		for f := range of.Fields() {
			name := prefix + f.Name
			_, leaf := codeOnly[name]
			if f.Type.Kind() == reflect.Struct && !leaf {
				names = append(names, walk(name+".", f.Type)...)
			} else if f.IsExported() {
				names = append(names, name)
			}
		}
		return names
	}
	all := walk("", reflect.TypeFor[Config]())
	for _, name := range all {
		_, inCode := codeOnly[name]
		if inFile := fieldNamed(name) != nil; inFile == inCode {
			t.Errorf("Config.%s: add a line for it to fields (or to codeOnly) in fields.go, not both, then go test ./consumer -run Docs -update", name)
		}
	}
	seen := map[string]bool{}
	for _, f := range fields {
		if !slices.Contains(all, f.name) || seen[key(f.name)] {
			t.Errorf("the table has %s, which is no field of Config, or twice", f.name)
		}
		seen[key(f.name)] = true
	}
	for name := range codeOnly {
		if !slices.Contains(all, name) {
			t.Errorf("codeOnly has %s, which is no field of Config", name)
		}
	}
	for name, want := range map[string]string{"TLS.CAFile": "tls.ca-file", "InstanceID": "instance-id", "FetchMaxBytes": "fetch-max-bytes", "SASL.PasswordEnv": "sasl.password-env", "TransactionalID": "transactional-id"} {
		if got := key(name); got != want {
			t.Errorf("%s is %s in a file, want %s", name, got, want)
		}
	}
}

// Whatever it is given, the parser returns a valid configuration or an error, and
// what it takes it can print and read again.
func FuzzParseConfig(f *testing.F) {
	cfg := testConfig()
	text, err := cfg.YAML()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, seed := range []string{
		"", leastFile, leastFile + "retry: {attempts: 3, jitter: 0.5}", "a: &a [*a]", "&a {tls: *a}", "? {a: b}\n: c", "--- |\n x\n--- >\n y",
		leastFile + "client-id: \"\\u0085 ${HOME:-x} $${\"", "\ufeffgroup: g\n...\n", "retry:\n\tattempts: 1", leastFile + "fetch-max-bytes: 1.5MiB\nstall-timeout: 1h",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := ParseConfig(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" || !reflect.DeepEqual(cfg, Config{}) {
				t.Fatalf("%v, %+v", err, cfg)
			}
			return
		}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		printed, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseConfig(printed)
		if err != nil || !reflect.DeepEqual(cfg, again) {
			t.Fatalf("%v\n%s\n%+v\n%+v", err, printed, cfg, again)
		}
	})
}
