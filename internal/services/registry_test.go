package services

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/goleak"
)

const envOwner = "SERVICES_TEST_OWNER"

// owner makes this binary a process that owns a registry, to be killed.
type owner struct{}

func (owner) Run() int {
	i, err := findRegistry()
	if err == nil {
		var r *RegistryServer
		if r, err = newRegistry(i); err == nil {
			fmt.Println(r.process.cmd.Process.Pid, r.dir)
			select {}
		}
	}
	fmt.Println(err)
	return 1
}

func TestMain(m *testing.M) {
	if os.Getenv(envOwner) != "" {
		os.Exit(owner{}.Run())
	}
	goleak.VerifyTestMain(StopAfter(m))
}

func client(t *testing.T, url string) *sr.Client {
	t.Helper()
	cl, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// The tests run what is fetched.
func TestRegistryVersionIsTheOneFetched(t *testing.T) {
	pom, err := os.ReadFile(filepath.Join("..", "..", "deploy", "registry", "pom.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "<apicurio.version>" + RegistryVersion + "</apicurio.version>"; !strings.Contains(string(pom), want) {
		t.Errorf("deploy/registry/pom.xml has no %s", want)
	}
}

func TestSharedRegistryIsOne(t *testing.T) {
	url := Registry(t)
	if again := Registry(t); again != url {
		t.Errorf("two registries: %s and %s", url, again)
	}
	types, err := client(t, url).SupportedTypes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(types) < 3 {
		t.Errorf("it knows only %v", types)
	}
}

// A registry that was killed comes back at its address, with what was registered.
func TestRegistryComesBack(t *testing.T) {
	r := NewRegistry(t)
	cl := client(t, r.URL())
	const text = `{"type":"record","name":"A","fields":[]}`
	made, err := cl.CreateSchema(t.Context(), "a-value", sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	r.Stop()
	if _, err := cl.SchemaByID(t.Context(), made.ID); err == nil {
		t.Fatal("it answers after it was stopped")
	}
	r.Start(t)
	got, err := cl.SchemaByID(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Schema != text {
		t.Errorf("schema %d is now %s", made.ID, got.Schema)
	}
}

// No registry outlives the process that started it, however that ends.
func TestRegistryDiesWithItsOwner(t *testing.T) {
	installed(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envOwner+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Fscan(out, &pid, &dir); err != nil {
		t.Fatalf("the owner did not start one: %v", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone := func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}
	for deadline := time.Now().Add(30 * time.Second); !gone(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived its owner", pid)
		}
	}
}

// A start that cannot succeed says why, and waits for nothing.
func TestRegistryThatCannotStart(t *testing.T) {
	i := installed(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	taken := l.Addr().(*net.TCPAddr).Port
	health, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	_, err = startRegistry(i, t.TempDir(), taken, health)
	if err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(err.Error(), strconv.Itoa(taken)) {
		t.Errorf("got %v", err)
	}
}

func TestJavaRelease(t *testing.T) {
	for _, c := range []struct {
		says string
		want int
	}{
		{`openjdk version "25.0.3" 2026-04-21 LTS`, 25},
		{`openjdk version "21" 2023-09-19`, 21},
		{`java version "1.8.0_392"`, 1},
		{`something else`, 0},
	} {
		path := filepath.Join(t.TempDir(), "java")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+c.says+"' >&2\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := javaRelease(path); got != c.want {
			t.Errorf("%s: got %d, want %d", c.says, got, c.want)
		}
	}
}
