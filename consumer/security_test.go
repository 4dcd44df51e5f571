package consumer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/consumer"
)

// authority signs certificates for a test.
type authority struct {
	*testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate, and NAME.crt and NAME.key of it.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	a.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(name string, text []byte) {
	if err := os.WriteFile(a.file(name), text, 0o600); err != nil {
		a.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// brokers starts an embedded cluster that wants encryption, a certificate and a password.
func (a *authority) brokers() *kfake.Cluster {
	a.Helper()
	a.sign("broker", &x509.Certificate{DNSNames: []string{"kafka.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	pair, err := tls.LoadX509KeyPair(a.file("broker.crt"), a.file("broker.key"))
	if err != nil {
		a.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.SeedTopics(1, letters),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "p", "plain-pass"),
		kfake.Superuser("SCRAM-SHA-256", "s256", "scram-256-pass"), kfake.Superuser("SCRAM-SHA-512", "s512", "scram-512-pass"))
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(cluster.Close)
	return cluster
}

// The consumer and its dead-letter producer talk to brokers that want to know who
// is there, by each mechanism and from each place where a password can be.
func TestTLSAndSASL(t *testing.T) {
	a := newAuthority(t)
	cluster := a.brokers()
	a.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	a.write("password", []byte("scram-512-pass\r\n"))
	t.Setenv("KSIM_TEST_PASSWORD", "scram-256-pass")
	encrypted := consumer.TLS{Enabled: true, CAFile: a.file("authority.crt"), CertFile: a.file("client.crt"), KeyFile: a.file("client.key")}
	named := encrypted
	named.ServerName = "kafka.test"
	for name, c := range map[string]struct {
		tls  consumer.TLS
		sasl consumer.SASL
	}{
		"plain, password in code": {encrypted, consumer.SASL{Mechanism: consumer.SASLPlain, User: "p", Password: consumer.NewSecret("plain-pass")}},
		"SHA-256, environment":    {named, consumer.SASL{Mechanism: consumer.SASLScram256, User: "s256", PasswordEnv: "KSIM_TEST_PASSWORD"}},
		"SHA-512, file":           {named, consumer.SASL{Mechanism: consumer.SASLScram512, User: "s512", PasswordFile: a.file("password")}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := consumer.DefaultConfig()
			cfg.Brokers, cfg.Topics, cfg.Group = cluster.ListenAddrs(), []string{topic}, group+strings.Fields(name)[0]
			cfg.TLS, cfg.SASL = c.tls, c.sasl
			cfg.Poison.Topic = letters
			book := newLogbook()
			cfg.Logger = book.logger(slog.LevelDebug)
			buried := make(chan consumer.PoisonPolicy, 10)
			cfg.Hooks.OnPoison = func(_ *kgo.Record, _ int, _ error, policy consumer.PoisonPolicy) { buried <- policy }
			opts, err := cfg.SecurityOpts()
			if err != nil {
				t.Fatal(err)
			}
			producer, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cfg.Brokers...))...)
			if err != nil {
				t.Fatal(err)
			}
			defer producer.Close()
			if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			r := (&kafka{T: t}).start(cfg, func(context.Context, consumer.Batch) error { return consumer.Permanent(os.ErrInvalid) })
			select {
			case policy := <-buried:
				if policy != consumer.PoisonDeadLetter {
					t.Error(policy)
				}
			case <-time.After(patience):
				t.Error("no dead letter was made")
			}
			r.finish()
			if strings.Contains(book.String(), "-pass") || !book.has("level=DEBUG msg=configuration", "config.sasl.mechanism=") {
				t.Errorf("the log shows a password, or no configuration:\n%s", book)
			}
		})
	}
}

// A certificate and a password that are renewed on disk are used without a restart:
// by the next connection.
func TestRotation(t *testing.T) {
	a := newAuthority(t)
	cluster := a.brokers()
	// An embedded broker only hangs up on a wrong password; those of Kafka say so.
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		password, err := os.ReadFile(a.file("password"))
		if err == nil && string(password) != "wrong" {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	old := *a
	a.cert, a.key = nil, nil
	a.cert, a.key = a.sign("stranger", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.sign("client", &x509.Certificate{}) // by somebody whom the brokers do not trust
	a.write("password", []byte("wrong"))
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = cluster.ListenAddrs(), []string{topic}, group
	cfg.TLS = consumer.TLS{Enabled: true, CAFile: a.file("authority.crt"), CertFile: a.file("client.crt"), KeyFile: a.file("client.key")}
	cfg.SASL = consumer.SASL{Mechanism: consumer.SASLScram512, User: "s512", PasswordFile: a.file("password")}
	cfg.ClientOpts = []kgo.Opt{kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}
	out := newLogbook()
	cfg.Logger = out.logger(slog.LevelDebug)
	assigned := make(chan string, 10)
	cfg.Hooks.OnAssign = func(topic string, _ []int32) { assigned <- topic }
	r := (&kafka{T: t}).start(cfg, func(context.Context, consumer.Batch) error { return nil })
	out.await(t, "level=WARN", "a broker refused the connection", "certificate required")
	old.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	out.await(t, "level=WARN", "a broker refused the connection", "SASL_AUTHENTICATION_FAILED")
	a.write("password", []byte("scram-512-pass"))
	select {
	case <-assigned:
	case <-time.After(patience):
		t.Errorf("it did not join with the new password:\n%s", out)
	}
	r.finish()
	if s := out.String(); strings.Contains(s, "512-pass") {
		t.Errorf("the log shows the password: %s", s)
	}
}

// New tells of everything that cannot be read, at once.
func TestUnreadableSecurity(t *testing.T) {
	a := newAuthority(t)
	a.write("empty", []byte("\n"))
	a.write("no.pem", []byte("hello"))
	cfg := consumer.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = []string{"127.0.0.1:1"}, []string{topic}, group
	cfg.TLS = consumer.TLS{Enabled: true, CAFile: a.file("no.pem"), CertFile: a.file("gone.crt"), KeyFile: a.file("authority.key")}
	cfg.SASL = consumer.SASL{Mechanism: consumer.SASLPlain, User: "p", PasswordFile: a.file("empty")}
	wants := []string{"consumer: TLS.CAFile: " + a.file("no.pem") + " holds no certificate in PEM form", "consumer: TLS.CertFile, TLS.KeyFile: " + a.file("gone.crt"), "consumer: SASL.PasswordFile: " + a.file("empty") + " is empty"}
	handler := func(context.Context, consumer.Batch) error { return nil }
	_, err := consumer.New(cfg, handler)
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s\ngot  %v", want, err)
		}
	}
	cfg.TLS = consumer.TLS{Enabled: true, CAFile: a.file("gone")}
	cfg.SASL = consumer.SASL{Mechanism: consumer.SASLPlain, User: "p", PasswordEnv: "KSIM_TEST_NOT_SET"}
	if _, err = consumer.New(cfg, handler); err == nil || !strings.Contains(err.Error(), "TLS.CAFile: open "+a.file("gone")) || !strings.Contains(err.Error(), "the environment variable KSIM_TEST_NOT_SET is not set") {
		t.Error(err)
	}
	cfg.SASL.PasswordEnv, cfg.SASL.PasswordFile = "", a.file("gone")
	if _, err = consumer.New(cfg, handler); err == nil || !strings.Contains(err.Error(), "SASL.PasswordFile: open "+a.file("gone")) {
		t.Error(err)
	}
	cfg.TLS, cfg.SASL = consumer.TLS{Enabled: true}, consumer.SASL{}
	cfg.ClientOpts = []kgo.Opt{kgo.DialTLS()}
	if _, err = consumer.New(cfg, handler); err == nil || !strings.Contains(err.Error(), "ClientOpts: cannot set both Dialer and DialTLSConfig") {
		t.Error(err)
	}
}
