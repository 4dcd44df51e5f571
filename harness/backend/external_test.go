package backend_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/harness/backend"
)

// dialer makes a client that knows of neither TLS nor SASL use the backend's
// connections, as the tap does.
func dialer(k backend.Kafka) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) { return k.Dial(ctx, addr) }
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func external(t *testing.T, cfg backend.ExternalConfig) (*backend.External, error) {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	e, err := backend.NewExternal(bounded(t), cfg)
	if err == nil {
		t.Cleanup(func() { _ = e.Close() })
	}
	return e, err
}

// certs writes a CA and a certificate for 127.0.0.1 to files.
type certs struct{ ca, cert, key string }

func newCerts(t *testing.T) certs {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ksim test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"kafka.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certs{ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	for file, block := range map[string]*pem.Block{
		c.ca: {Type: "CERTIFICATE", Bytes: der}, c.cert: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// server is the brokers' side; clients need a certificate too.
func (c certs) server(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(c.ca)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal("CA file", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
}

func TestExternalTLSAndSASL(t *testing.T) {
	files := newCerts(t)
	for _, mechanism := range append([]string{""}, backend.Mechanisms()...) {
		for _, encrypted := range []bool{false, true} {
			name := map[bool]string{false: "plain", true: "TLS"}[encrypted] + " " + mechanism
			t.Run(strings.TrimSpace(name), func(t *testing.T) {
				t.Setenv(backend.UsernameVariable, "ksim-user")
				t.Setenv(backend.PasswordVariable, "secret")
				var opts []kfake.Opt
				cfg := backend.ExternalConfig{SASL: mechanism}
				if mechanism != "" {
					opts = append(opts, kfake.EnableSASL(), kfake.Superuser(mechanism, "ksim-user", "secret"))
				}
				if encrypted {
					opts = append(opts, kfake.TLS(files.server(t)))
					cfg.TLS = &backend.TLS{CAFile: files.ca, CertFile: files.cert, KeyFile: files.key}
				}
				cfg.Brokers = cluster(t, opts...).ListenAddrs()
				e, err := external(t, cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx := bounded(t)
				if err := e.CreateTopic(ctx, "ksim-t", 2, nil); err != nil {
					t.Fatal(err)
				}
				// A client of the harness, and a plain client over the tap's connections.
				roundTrip(ctx, t, "ksim-t", e.ClientOpts()...)
				if err := e.CreateTopic(ctx, "ksim-u", 2, nil); err != nil {
					t.Fatal(err)
				}
				roundTrip(ctx, t, "ksim-u", kgo.SeedBrokers(e.Brokers()...), kgo.Dialer(dialer(e)))
				if !strings.HasPrefix(e.Version(), "Kafka ") || !e.Capabilities().KIP848 {
					t.Errorf("version %q, capabilities %+v", e.Version(), e.Capabilities())
				}
			})
		}
	}
}

func TestExternalTouchesOnlyItsOwnTopics(t *testing.T) {
	ctx := bounded(t)
	c := cluster(t, kfake.SeedTopics(1, "billing", "ksim-of-another-run"))
	e, err := external(t, backend.ExternalConfig{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.CreateTopic(ctx, "billing-2", 1, nil); err == nil || !strings.Contains(err.Error(), `"ksim-"`) {
		t.Errorf("topic without the prefix: %v", err)
	}
	for _, name := range []string{"billing", "ksim-of-another-run", "ksim-not-there"} {
		if err := e.DeleteTopic(ctx, name); err == nil {
			t.Errorf("deleted %s, which this run did not create", name)
		}
	}
	if err := e.CreateTopic(ctx, "ksim-mine", 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteTopic(ctx, "ksim-mine"); err != nil {
		t.Error(err)
	}
	if err := e.DeleteTopic(ctx, "ksim-mine"); err == nil {
		t.Error("deleted twice: somebody else may have created it in between")
	}
	if c.LeaderFor("billing", 0) < 0 || c.LeaderFor("ksim-of-another-run", 0) < 0 {
		t.Error("a topic of somebody else is gone")
	}
}

func TestExternalErrorsSayWhatIsWrong(t *testing.T) {
	files := newCerts(t)
	tlsOnly := cluster(t, kfake.TLS(files.server(t))).ListenAddrs()
	sasl := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ksim-user", "secret"), kfake.Superuser("SCRAM-SHA-256", "ksim-user", "secret")).ListenAddrs()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, user, pass string
		cfg              backend.ExternalConfig
		want             []string
	}{
		{"all that is wrong at once", "", "", backend.ExternalConfig{Brokers: []string{"kafka"}, SASL: "PLAIN", TLS: &backend.TLS{CertFile: "c"}},
			[]string{`"kafka" is not host:port`, backend.UsernameVariable, "both a certificate file and a key file"}},
		{"no brokers", "", "", backend.ExternalConfig{}, []string{"--brokers"}},
		{"mechanism", "u", "p", backend.ExternalConfig{Brokers: sasl, SASL: "GSSAPI"}, []string{`"GSSAPI"`, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"}},
		{"nobody there", "", "", backend.ExternalConfig{Brokers: []string{nobody}}, []string{"cannot be reached", nobody}},
		{"TLS to a plain listener", "", "", backend.ExternalConfig{Brokers: sasl, TLS: &backend.TLS{}, Timeout: time.Second}, []string{"TLS"}},
		{"certificate not trusted", "", "", backend.ExternalConfig{Brokers: tlsOnly, TLS: &backend.TLS{}}, []string{"certificate"}},
		{"other name in the certificate", "", "", backend.ExternalConfig{Brokers: tlsOnly, TLS: &backend.TLS{CAFile: files.ca, CertFile: files.cert, KeyFile: files.key, ServerName: "elsewhere.test"}}, []string{"elsewhere.test"}},
		{"wrong password, PLAIN", "ksim-user", "wrong", backend.ExternalConfig{Brokers: sasl, SASL: "PLAIN"}, []string{"SASL PLAIN", "wrong name or password"}},
		{"wrong password, SCRAM", "ksim-user", "wrong", backend.ExternalConfig{Brokers: sasl, SASL: "SCRAM-SHA-256"}, []string{"SASL SCRAM-SHA-256"}},
		{"mechanism not offered", "ksim-user", "secret", backend.ExternalConfig{Brokers: sasl, SASL: "SCRAM-SHA-512"}, []string{"SASL SCRAM-SHA-512"}},
		{"SASL wanted, none given", "", "", backend.ExternalConfig{Brokers: sasl[:1], Timeout: time.Second}, []string{"not as a cluster"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(backend.UsernameVariable, tt.user)
			t.Setenv(backend.PasswordVariable, tt.pass)
			_, err := external(t, tt.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if tt.pass != "" && strings.Contains(err.Error(), tt.pass) && tt.pass != "wrong" && tt.pass != "p" {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Setenv(backend.UsernameVariable, "u")
	t.Setenv(backend.PasswordVariable, "p")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	start := time.Now()
	_, err = external(t, backend.ExternalConfig{Brokers: []string{silent.Addr().String()}, SASL: "PLAIN", Timeout: 200 * time.Millisecond})
	if err == nil {
		t.Fatal("no error")
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
}
