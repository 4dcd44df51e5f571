package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
)

// DefaultPrefix is what names of topics start with on a cluster that is not ours.
const DefaultPrefix = "ksim-"

// ExternalConfig says how to reach a cluster that somebody else runs.
type ExternalConfig struct {
	// Brokers are bootstrap addresses, host:port.
	Brokers []string
	// TLS is nil for plain connections.
	TLS *TLS
	// SASL is the mechanism, one of Mechanisms; "" for none. Name and password
	// come from the environment (UsernameVariable, PasswordVariable).
	SASL string
	// Prefix is what every topic ksim creates there starts with; "" means DefaultPrefix.
	Prefix string
	// Timeout bounds the first check that the cluster answers; 0 means 15 s.
	Timeout time.Duration
}

// TLS says how connections are encrypted. The broker's certificate is always
// verified.
type TLS struct {
	// CAFile holds the certificates (PEM) that the broker's must go back to; "" means the system's.
	CAFile string
	// CertFile and KeyFile hold our own certificate (PEM), where brokers ask for one.
	CertFile, KeyFile string
	// ServerName is the name in the broker's certificate, where it is not the host dialled.
	ServerName string
}

// Config turns the file names into a configuration.
func (t TLS) Config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS CA file %s holds no certificate in PEM form", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("TLS needs both a certificate file and a key file, or neither")
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// External is a cluster that somebody else runs. ksim creates topics with its
// prefix only and deletes only those it created.
type External struct {
	cfg       ExternalConfig
	tls       *tls.Config
	mechanism sasl.Mechanism
	admin     *kgo.Client
	version   string
	caps      Capabilities

	mu      sync.Mutex
	created map[string]bool
}

// NewExternal checks the settings and that the cluster answers.
func NewExternal(ctx context.Context, cfg ExternalConfig) (*External, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	e := &External{cfg: cfg, created: make(map[string]bool)}
	if err := e.configure(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if err := e.reach(ctx); err != nil {
		return nil, err
	}
	var err error
	if e.admin, err = kgo.NewClient(e.ClientOpts()...); err != nil {
		return nil, fmt.Errorf("external Kafka: %w", err)
	}
	guess, versions, err := GuessVersion(ctx, e.admin)
	if err != nil {
		e.admin.Close()
		return nil, fmt.Errorf("external Kafka at %s answers at its bootstrap address, but not as a cluster (are the advertised addresses reachable from here?): %w",
			strings.Join(cfg.Brokers, ","), err)
	}
	e.version = "Kafka " + guess + " (by its API versions)"
	e.caps = Capabilities{
		KIP848:        versions.HasKey(kmsg.ConsumerGroupHeartbeat.Int16()),
		Transactions:  versions.HasKey(kmsg.InitProducerID.Int16()),
		ShareGroups:   versions.HasKey(kmsg.ShareFetch.Int16()),
		LogAppendTime: true,
		Prefix:        cfg.Prefix,
	}
	return e, nil
}

// configure turns settings into TLS and SASL and names all that is wrong at once.
func (e *External) configure() error {
	var errs []error
	if len(e.cfg.Brokers) == 0 {
		errs = append(errs, errors.New("no broker given; --brokers takes host:port, several with commas"))
	}
	for _, b := range e.cfg.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("broker %q is not host:port", b))
		}
	}
	var err error
	if e.cfg.TLS != nil {
		if e.tls, err = e.cfg.TLS.Config(); err != nil {
			errs = append(errs, err)
		}
	}
	if e.mechanism, err = mechanism(e.cfg.SASL); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("external Kafka: %w", errors.Join(errs...))
	}
	return nil
}

// reach tries the bootstrap brokers one after the other until one lets us in:
// its errors are plainer than those of a client that tries again and again.
func (e *External) reach(ctx context.Context) error {
	var errs []error
	for _, b := range e.cfg.Brokers {
		conn, err := e.Dial(ctx, b)
		if err == nil {
			return conn.Close()
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("external Kafka cannot be reached: %w", errors.Join(errs...))
}

// Name implements Kafka.
func (e *External) Name() string { return "external" }

// Version implements Kafka. Brokers do not tell their version: it is guessed
// from the requests they know.
func (e *External) Version() string { return e.version }

// Brokers implements Kafka.
func (e *External) Brokers() []string { return append([]string(nil), e.cfg.Brokers...) }

// Dial implements Kafka: TLS and SASL are done when it returns.
func (e *External) Dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, host, err := e.dialTLS(ctx, addr)
	if err != nil || e.mechanism == nil {
		return conn, err
	}
	if err := authenticate(ctx, conn, host, e.mechanism); err != nil {
		_ = conn.Close() // the error to tell is the other one
		return nil, fmt.Errorf("broker %s: %w", addr, err)
	}
	return conn, nil
}

// dialTLS connects and, where asked for, encrypts.
func (e *External) dialTLS(ctx context.Context, addr string) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := Plain(ctx, addr)
	if err != nil {
		return nil, "", err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil || e.tls == nil {
		return raw, host, err
	}
	cfg := e.tls.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the error to tell is the other one
		return nil, "", fmt.Errorf("broker %s: TLS (does the listener speak TLS?): %w", addr, err)
	}
	return conn, host, nil
}

// ClientOpts implements Kafka.
func (e *External) ClientOpts() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(e.cfg.Brokers...)}
	if e.tls != nil {
		opts = append(opts, kgo.DialTLSConfig(e.tls.Clone()))
	}
	if e.mechanism != nil {
		opts = append(opts, kgo.SASL(e.mechanism))
	}
	return opts
}

// Capabilities implements Kafka. Settings of brokers that are not ours are not known.
func (e *External) Capabilities() Capabilities { return e.caps }

// CreateTopic implements Kafka. The name must start with the prefix.
func (e *External) CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]*string) error {
	if !strings.HasPrefix(name, e.cfg.Prefix) {
		return fmt.Errorf("create topic %s: on an external Kafka ksim creates only topics that start with %q", name, e.cfg.Prefix)
	}
	created, err := createTopic(ctx, e.admin, name, partitions, configs)
	if created {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.created[name] = true
	}
	return err
}

// DeleteTopic implements Kafka. Only topics that this very backend created are deleted.
func (e *External) DeleteTopic(ctx context.Context, name string) error {
	e.mu.Lock()
	mine := e.created[name]
	e.mu.Unlock()
	if !mine {
		return fmt.Errorf("delete topic %s: on an external Kafka ksim deletes only topics that this run created", name)
	}
	if err := DeleteTopic(ctx, e.admin, name); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.created, name)
	return nil
}

// Close implements Kafka. It ends our connections; topics stay.
func (e *External) Close() error {
	e.admin.Close()
	return nil
}
