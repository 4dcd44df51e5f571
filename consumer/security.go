package consumer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how connections to the brokers are encrypted. [New] reads the files,
// so that a wrong one is found at once, and every new connection reads them again,
// so that certificates can be rotated without a restart.
type TLS struct {
	// Enabled encrypts. Without it, no other field may be set.
	Enabled bool
	// CAFile is a PEM file of the authorities that may have signed the brokers'
	// certificates; empty means those of the system.
	CAFile string
	// CertFile and KeyFile are PEM files of this client's own certificate, where
	// the brokers ask for one. Both or none.
	CertFile, KeyFile string
	// ServerName is the name that the brokers' certificates must bear; empty
	// means the host that is connected to.
	ServerName string
}

// SASLMechanism is how a client proves who it is.
type SASLMechanism string

// The mechanisms. For OAUTHBEARER and others, leave [SASL] empty and put
// [kgo.SASL] with a mechanism of franz-go into Config.ClientOpts:
//
//	cfg.ClientOpts = append(cfg.ClientOpts, kgo.SASL(oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
//		token, err := tokens.Fetch(ctx) // called for each new connection, and before a token expires
//		return oauth.Auth{Token: token}, err
//	})))
const (
	// SASLPlain sends the password as it is: use it with TLS.
	SASLPlain SASLMechanism = "PLAIN"
	// SASLScram256 is SCRAM with SHA-256: the password does not leave the process.
	SASLScram256 SASLMechanism = "SCRAM-SHA-256"
	// SASLScram512 is SCRAM with SHA-512.
	SASLScram512 SASLMechanism = "SCRAM-SHA-512"
)

// SASL says who this client is. The password comes from one of three places.
type SASL struct {
	// Mechanism; empty means that the client does not say who it is.
	Mechanism SASLMechanism
	User      string
	// Password, if the program has it. It cannot stand in a file.
	Password Secret
	// PasswordEnv names an environment variable that holds it.
	PasswordEnv string
	// PasswordFile is a file that holds it, such as a mounted secret; one line
	// break at its end does not belong to it. Every new connection reads it again,
	// so that a password can be rotated without a restart.
	PasswordFile string
}

// SecurityOpts returns the options of a Kafka client that follow from Config.TLS and
// Config.SASL. The consumer's own clients have them; they are for others that
// talk to the same cluster, such as a producer. The error tells of every file or
// variable that cannot be used.
func (c Config) SecurityOpts() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	var errs []error
	if c.TLS.Enabled {
		_, err := c.TLS.load()
		errs = append(errs, err)
		opts = append(opts, kgo.Dialer(c.TLS.dial))
	}
	if c.SASL.Mechanism != "" {
		_, err := c.SASL.password()
		errs = append(errs, err)
		opts = append(opts, c.SASL.opt())
	}
	return opts, errors.Join(errs...)
}

// dialTimeout is kgo's own.
const dialTimeout = 10 * time.Second

// dial opens a connection by the files as they are now.
func (t TLS) dial(ctx context.Context, network, address string) (net.Conn, error) {
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: cfg}
	return dialer.DialContext(ctx, network, address)
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	var errs []error
	if t.CAFile != "" {
		cfg.RootCAs = x509.NewCertPool()
		pem, err := os.ReadFile(t.CAFile)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("consumer: TLS.CAFile: %w", err))
		case !cfg.RootCAs.AppendCertsFromPEM(pem):
			errs = append(errs, fmt.Errorf("consumer: TLS.CAFile: %s holds no certificate in PEM form", t.CAFile))
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("consumer: TLS.CertFile, TLS.KeyFile: %s, %s: %w", t.CertFile, t.KeyFile, err))
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, errors.Join(errs...)
}

// opt is the mechanism; it asks for the password at each new connection.
func (s SASL) opt() kgo.Opt {
	shake := func(context.Context) (scram.Auth, error) {
		password, err := s.password()
		return scram.Auth{User: s.User, Pass: password}, err
	}
	switch s.Mechanism {
	case SASLScram256:
		return kgo.SASL(scram.Sha256(shake))
	case SASLScram512:
		return kgo.SASL(scram.Sha512(shake))
	}
	return kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
		password, err := s.password()
		return plain.Auth{User: s.User, Pass: password}, err
	}))
}

// password gets the password from where it is.
func (s SASL) password() (string, error) {
	switch {
	case s.PasswordEnv != "":
		if password := os.Getenv(s.PasswordEnv); password != "" {
			return password, nil
		}
		return "", fmt.Errorf("consumer: SASL.PasswordEnv: the environment variable %s is not set", s.PasswordEnv)
	case s.PasswordFile != "":
		text, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("consumer: SASL.PasswordFile: %w", err)
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if len(text) == 0 {
			return "", fmt.Errorf("consumer: SASL.PasswordFile: %s is empty", s.PasswordFile)
		}
		return string(text), nil
	}
	return s.Password.Reveal(), nil
}

// security checks TLS and SASL, as far as that needs no file.
func (v *validation) security(c *Config) {
	t, s := c.TLS, c.SASL
	v.need(t.Enabled || t == TLS{}, "TLS.Enabled: it is false, but other fields of TLS are set: connections would not be encrypted")
	v.need(t.CertFile == "" || t.KeyFile != "", "TLS.KeyFile: give the key of TLS.CertFile, %s", t.CertFile)
	v.need(t.KeyFile == "" || t.CertFile != "", "TLS.CertFile: give the certificate of TLS.KeyFile, %s", t.KeyFile)
	if s.Mechanism == "" {
		v.need(s == SASL{}, "SASL.Mechanism: it is empty, but other fields of SASL are set: give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		return
	}
	v.need(s.User != "", "SASL.User: give the name of the user")
	sources := 0
	for _, given := range []bool{!s.Password.IsZero(), s.PasswordEnv != "", s.PasswordFile != ""} {
		if given {
			sources++
		}
	}
	v.need(sources > 0, "SASL.PasswordEnv: say where the password is: SASL.PasswordEnv or SASL.PasswordFile, or SASL.Password in code")
	v.need(sources < 2, "SASL.PasswordEnv: give only one of SASL.Password, SASL.PasswordEnv and SASL.PasswordFile")
}
