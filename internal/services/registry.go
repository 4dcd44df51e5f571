package services

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// RegistryVersion is the release of Apicurio Registry that tests run against. It
// is the one that deploy/registry fetches.
const RegistryVersion = "3.3.3"

// needsRegistry is in the reason of every test that is skipped for lack of it;
// internal/testsummary looks for it.
const needsRegistry = "needs a schema registry (make registry)"

// shared is the registry of this test binary, started by the first test that asks.
var shared struct {
	sync.Mutex
	tried    bool
	registry *RegistryServer
	err      error
}

// Registry returns the base URL, in Confluent's API, of a Schema Registry that all
// tests of this binary share: each should use subjects of its own. The first
// call starts it; [StopAfter] in TestMain ends it.
func Registry(t testing.TB) string {
	t.Helper()
	installed(t)
	url, err := SharedRegistry()
	if err != nil {
		t.Fatalf("start the shared schema registry: %v", err)
	}
	return url
}

// SharedRegistry is what [Registry] returns, for a process that is no test. The error says
// what is missing, or why the registry does not start.
func SharedRegistry() (string, error) {
	shared.Lock()
	defer shared.Unlock()
	if !shared.tried {
		shared.tried = true
		i, err := findRegistry()
		if err == nil {
			shared.registry, err = newRegistry(i)
		} else {
			err = fmt.Errorf("%s: %w", needsRegistry, err)
		}
		shared.err = err
	}
	if shared.err != nil {
		return "", shared.err
	}
	return shared.registry.URL(), nil
}

// StopShared ends what [SharedRegistry] has started. The next call starts it anew.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.registry != nil {
		shared.registry.remove()
		shared.registry = nil
	}
	shared.tried, shared.err = false, nil
}

// StopAfter returns m with a Run that ends the shared services after the tests:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(services.StopAfter(m)) }
//
// Without it they end with the process.
func StopAfter(m interface{ Run() int }) interface{ Run() int } { return stopAfter{m} }

type stopAfter struct{ m interface{ Run() int } }

// Run runs the tests.
func (s stopAfter) Run() int {
	defer StopShared()
	return s.m.Run()
}

// RegistryServer is a Schema Registry that one test has for itself, to take it
// away and bring it back: its address and what is registered stay.
type RegistryServer struct {
	install      registryInstall
	dir          string // database and log
	port, health int
	process      *child // nil while it is stopped
}

// NewRegistry starts a registry for one test, and ends it with the test.
func NewRegistry(t testing.TB) *RegistryServer {
	t.Helper()
	r, err := newRegistry(installed(t))
	if err != nil {
		t.Fatalf("start a schema registry: %v", err)
	}
	t.Cleanup(r.remove)
	return r
}

// URL is the base URL of Confluent's API.
func (r *RegistryServer) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) + "/apis/ccompat/v7"
}

// Stop kills the registry, as a crash would. Connections to it are then refused.
func (r *RegistryServer) Stop() {
	if r.process != nil {
		r.process.kill()
		r.process = nil
	}
}

// Start starts it again after Stop, and returns when it is ready.
func (r *RegistryServer) Start(t testing.TB) {
	t.Helper()
	r.Stop()
	if err := r.start(); err != nil {
		t.Fatalf("start the schema registry again: %v", err)
	}
}

func newRegistry(i registryInstall) (*RegistryServer, error) {
	dir, err := os.MkdirTemp("", "ksim-registry-")
	if err != nil {
		return nil, err
	}
	r := &RegistryServer{install: i, dir: dir}
	// Between the choice of a port and the start somebody else may take it.
	for range 3 {
		if r.port, err = freePort(); err == nil {
			r.health, err = freePort()
		}
		if err != nil {
			break
		}
		if err = r.start(); err == nil {
			return r, nil
		}
		if !errors.Is(err, errEnded) {
			break
		}
	}
	r.remove()
	return nil, err
}

func (r *RegistryServer) start() (err error) {
	r.process, err = startRegistry(r.install, r.dir, r.port, r.health)
	return err
}

func (r *RegistryServer) remove() {
	r.Stop()
	_ = os.RemoveAll(r.dir) // the system's folder for temporary files is cleaned anyway
}

// freePort finds a port that nobody listens on. It is below those that the system
// gives to clients, or a connection could take it while the service is stopped.
func freePort() (int, error) {
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("none of 100 ports from 20000 to 29999 is free on 127.0.0.1")
}

// registryInstall is what is needed to start a registry.
type registryInstall struct{ java, jar string }

// installed finds Java and the registry, or ends the test.
func installed(t testing.TB) registryInstall {
	t.Helper()
	i, err := findRegistry()
	if err != nil {
		lacking(t, needsRegistry, err)
	}
	return i
}

// findRegistry looks where deploy/registry/fetch.sh puts the registry, and finds a
// Java as that does.
func findRegistry() (registryInstall, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return registryInstall{}, err
		}
		cache = filepath.Join(home, ".cache")
	}
	jar := filepath.Join(cache, "ksim", "registry", RegistryVersion, "quarkus-run.jar")
	if _, err := os.Stat(jar); err != nil {
		return registryInstall{}, fmt.Errorf("release %s of Apicurio Registry was not fetched: %w", RegistryVersion, err)
	}
	java, err := findJava()
	return registryInstall{java, jar}, err
}
