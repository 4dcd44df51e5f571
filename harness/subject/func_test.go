package subject

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// endThreads makes the runtime end threads: one that is locked to a goroutine
// which returns is destroyed.
func endThreads() {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(runtime.LockOSThread)
	}
	wg.Wait()
}

func TestFuncRunsInAProcessOfItsOwn(t *testing.T) {
	t.Setenv("KSIM_SECRET_OF_THE_HARNESS", "x")
	in, logPath := start(t, reporter)
	if exit := ended(t, in); exit.Code != 0 || exit.Err != nil {
		t.Fatalf("exit is %+v", exit)
	}
	if in.PID() == os.Getpid() || in.PID() == 0 {
		t.Fatalf("its process is %d", in.PID())
	}
	text := awaitLog(t, logPath, "inherited=")
	if want := "topic=orders member=m1.2 extra=blue session=6s os=blue\ninherited=false\n"; text != want {
		t.Fatalf("it printed %q, want %q", text, want)
	}
}

func TestFuncEnds(t *testing.T) {
	t.Run("with an error", func(t *testing.T) {
		in, _ := start(t, failing)
		if exit := ended(t, in); exit.Code != 1 || exit.Tail != "failing: out of luck" {
			t.Fatalf("exit is %+v", exit)
		}
	})
	t.Run("in order on SIGTERM", func(t *testing.T) {
		in, logPath := start(t, waiting)
		awaitLog(t, logPath, "ready")
		if err := in.Terminate(); err != nil {
			t.Fatal(err)
		}
		if exit := ended(t, in); exit.Code != 0 || !strings.HasSuffix(exit.Tail, "asked to end") {
			t.Fatalf("exit is %+v", exit)
		}
	})
	t.Run("by SIGKILL, frozen and deaf", func(t *testing.T) {
		in, logPath := start(t, deaf)
		awaitLog(t, logPath, "ready")
		for _, call := range []func() error{in.Terminate, in.Terminate, in.Stop, in.Continue, in.Stop, in.Kill} {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
		if exit := ended(t, in); exit.Signal != syscall.SIGKILL.String() {
			t.Fatalf("exit is %+v", exit)
		}
		if alive(in.PID()) {
			t.Fatal("it is still there")
		}
	})
	t.Run("not at all where its mode is missing", func(t *testing.T) {
		_, err := Func{Label: "stranger", Run: wait}.Start(t.Context(), testEnv(), filepath.Join(t.TempDir(), "log"))
		if err == nil || !strings.Contains(err.Error(), "reexec.Main") {
			t.Fatalf("error is %v", err)
		}
	})
}

// 200 MiB go through in seconds; of them the first and the last half MiB are
// kept, and the log says what was dropped.
func TestAFloodNeitherBlocksNorFills(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in, logPath := start(t, flood)
	exit := ended(t, in)
	runtime.ReadMemStats(&after)
	if exit.Code != 0 || !strings.HasSuffix(exit.Tail, "x\nlast line") && !strings.HasSuffix(exit.Tail, "…\nlast line") {
		t.Fatalf("exit is %d, %v, tail ends with %q", exit.Code, exit.Err, exit.Tail[max(0, len(exit.Tail)-40):])
	}
	text, err := os.ReadFile(logPath)
	if err != nil {
		t.Fatal(err)
	}
	written := floodBytes + len("first line\n") + len("last line\n")
	note := "[ksim: " + strconv.Itoa(written-LogHead-LogTail) + " bytes dropped here"
	if !bytes.HasPrefix(text, []byte("first line\n")) || !bytes.HasSuffix(text, []byte("\nlast line\n")) || !bytes.Contains(text, []byte(note)) {
		t.Fatalf("the log (%d bytes) lacks its head, its tail or %q", len(text), note)
	}
	if len(text) > LogHead+LogTail+200 {
		t.Fatalf("the log has %d bytes", len(text))
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 16<<20 {
		t.Fatalf("%d bytes were allocated", grown)
	}
}

func TestLogKeepsHeadAndTailExactly(t *testing.T) {
	for _, size := range []int{0, 1, LogHead, LogHead + 1, LogHead + LogTail, LogHead + LogTail + 1, 3*LogHead + 77} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte('a' + i*7919%26)
		}
		path := filepath.Join(t.TempDir(), "log")
		l, err := createLog(path)
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; { // uneven pieces
			n := min(len(rest), 77_777)
			if _, err := l.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if size <= LogHead+LogTail {
			if !bytes.Equal(text, data) {
				t.Fatalf("%d bytes: the log differs", size)
			}
			continue
		}
		if !bytes.Equal(text[:LogHead], data[:LogHead]) || !bytes.Equal(text[len(text)-LogTail:], data[size-LogTail:]) {
			t.Fatalf("%d bytes: head or tail differ", size)
		}
	}
}

func TestInProcess(t *testing.T) {
	t.Run("Terminate", func(t *testing.T) {
		f := waiting
		f.InProcess = true
		in, _ := start(t, f)
		if in.PID() != 0 || in.Stop() == nil || in.Continue() == nil {
			t.Fatal("it has a process to freeze")
		}
		if err := in.Terminate(); err != nil {
			t.Fatal(err)
		}
		if exit := ended(t, in); exit.Code != 0 || exit.Err != nil {
			t.Fatalf("exit is %+v", exit)
		}
	})
	t.Run("Kill says that it was none", func(t *testing.T) {
		cause := make(chan error, 1)
		in, _ := start(t, Func{Label: "x", InProcess: true, Run: func(ctx context.Context, _ Env) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return ctx.Err()
		}})
		if err := in.Kill(); err != nil {
			t.Fatal(err)
		}
		if exit := ended(t, in); exit.Err == nil || !strings.Contains(exit.Err.Error(), "not killed with SIGKILL") {
			t.Fatalf("exit is %+v", exit)
		}
		if got := <-cause; !errors.Is(got, ErrKilled) {
			t.Fatalf("the cause is %v", got)
		}
	})
	t.Run("a panic is the subject's", func(t *testing.T) {
		in, _ := start(t, Func{Label: "x", InProcess: true, Run: func(context.Context, Env) error {
			var handlers []func()
			handlers[len(handlers)]()
			return nil
		}})
		if exit := ended(t, in); exit.Code != 2 || !strings.Contains(exit.Tail, "index out of range") {
			t.Fatalf("exit is %+v", exit)
		}
	})
}

func TestEnvironIsReadBack(t *testing.T) {
	full := Env{
		BootstrapServers: "a:1,b:2", Topic: "t", GroupID: "g", Member: "m3", Incarnation: 4, RunID: "r", InstanceID: "i", GroupProtocol: "consumer",
		SessionTimeout: time.Second, MaxPollInterval: time.Minute, BatchSize: 7, BatchWait: 50 * time.Millisecond, MaxAttempts: 5, Order: "key", Assignor: "eager",
		DLQTopic: "d", OutputTopic: "o", TransactionalID: "x", SinkURL: "http://s", SchemaRegistryURL: "http://r",
		Extra: map[string]string{"B": "c", "A": "with = and , and \n"},
	}
	for _, want := range []Env{full, {BootstrapServers: "a:1", Topic: "t", GroupID: "g"}} {
		vars := map[string]string{}
		for _, entry := range want.Environ() {
			name, v, _ := strings.Cut(entry, "=")
			vars[name] = v
		}
		got, err := parse(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read back %+v, %v\nwant %+v", got, err, want)
		}
	}
	if n := reflect.TypeFor[Env]().NumField(); n != len(Variables()) { // Topics for Extra
		t.Errorf("Env has %d fields, Variables lists %d", n, len(Variables()))
	}
	_, err := parse(func(name string) (string, bool) {
		v, ok := map[string]string{"KSIM_TOPICS": "t", "KSIM_BATCH_SIZE": "many", "KSIM_SESSION_TIMEOUT_MS": "-5"}[name]
		return v, ok
	})
	for _, want := range []string{`KSIM_BATCH_SIZE="many"`, `KSIM_SESSION_TIMEOUT_MS="-5"`, "KSIM_BOOTSTRAP_SERVERS is not set", "KSIM_GROUP_ID is not set"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %s", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "KSIM_TOPIC is") {
		t.Errorf("KSIM_TOPICS was not taken for the topic: %v", err)
	}
}

func TestPlaceholders(t *testing.T) {
	x := newExpander(testEnv())
	for in, want := range map[string]string{
		"plain":                           "plain",
		"{topic}/{{.Topic}}":              "orders/orders",
		"{session_timeout_ms}":            "6000",
		"{{.SessionTimeout}}":             "6000",
		"{instance_id}":                   "",
		"{{.Extra.COLOUR}}":               "blue",
		"{{if .InstanceID}}x{{end}}y":     "y",
		"awk {print} {} ${topic}":         "awk {print} {} ${topic}",
		`{"json":{"a":1}}`:                `{"json":{"a":1}}`,
		"{{slice .BootstrapServers 0 3}}": "127",
	} {
		got, err := x.expand(in)
		if err != nil || got != want {
			t.Errorf("%s became %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"{{.Extra.NONE}}", "{{.}", "{{topic}}", "{group_ids}"} {
		if got, err := x.expand(in); err == nil || !strings.Contains(err.Error(), "{group_id}") {
			t.Errorf("%s became %q, %v; want an error that lists the placeholders", in, got, err)
		}
	}
}
