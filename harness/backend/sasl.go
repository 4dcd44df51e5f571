package backend

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The environment variables that hold the secrets of SASL. They are read from
// nowhere else, so no file and no command line holds them.
const (
	UsernameVariable = "KSIM_SASL_USERNAME"
	PasswordVariable = "KSIM_SASL_PASSWORD"
)

// Mechanisms are the SASL mechanisms that the external backend knows.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// maxSASLFrame bounds what a broker may answer while it authenticates us.
const maxSASLFrame = 1 << 20

// mechanism builds the mechanism of that name with the secrets from the environment.
func mechanism(name string) (sasl.Mechanism, error) {
	if name == "" {
		return nil, nil
	}
	upper := strings.ToUpper(name)
	if !slices.Contains(Mechanisms(), upper) {
		return nil, fmt.Errorf("SASL mechanism %q is not known; choose %s", name, strings.Join(Mechanisms(), ", "))
	}
	user, pass := os.Getenv(UsernameVariable), os.Getenv(PasswordVariable)
	if user == "" || pass == "" {
		return nil, fmt.Errorf("SASL %s needs the environment variables %s and %s", upper, UsernameVariable, PasswordVariable)
	}
	switch upper {
	case "PLAIN":
		return plain.Auth{User: user, Pass: pass}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism(), nil
	default:
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism(), nil
	}
}

// authenticate does on a fresh connection what a client does first: the
// handshake that names the mechanism (v1, so that tokens travel in Kafka's own
// frames, KIP-152), then tokens to and fro. Afterwards the connection takes any
// request, without a trace of SASL: so the tap can give it to a client that
// knows nothing of it. Authentication again after
// connections.max.reauth.ms (KIP-368) is not done; the broker then closes the
// connection and the client makes a new one.
func authenticate(ctx context.Context, conn net.Conn, host string, m sasl.Mechanism) error {
	deadline := time.Now().Add(dialTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // unblocks reads and writes
	defer stop()

	s := saslConn{conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("ksim"))}
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version = 1
	handshake.Mechanism = m.Name()
	answer := kmsg.NewPtrSASLHandshakeResponse()
	answer.Version = 1
	if err := s.call(handshake, answer); err != nil {
		return fmt.Errorf("SASL handshake (does the listener speak SASL, and does it need TLS?): %w", err)
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return fmt.Errorf("SASL mechanism %s refused, the broker offers %s: %w", m.Name(), strings.Join(answer.SupportedMechanisms, ", "), err)
	}
	session, token, err := m.Authenticate(ctx, host)
	if err != nil {
		return fmt.Errorf("SASL %s: %w", m.Name(), err)
	}
	if err := s.tokens(session, token, m.Name()); err != nil {
		return err
	}
	if !stop() {
		return ctx.Err()
	}
	return conn.SetDeadline(time.Time{})
}

// saslConn sends one request at a time.
type saslConn struct {
	conn        net.Conn
	format      *kmsg.RequestFormatter
	correlation int32
}

// tokens exchanges tokens until the mechanism is content.
func (s *saslConn) tokens(session sasl.Session, token []byte, name string) error {
	for done := false; !done; {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version = 1
		req.SASLAuthBytes = token
		resp := kmsg.NewPtrSASLAuthenticateResponse()
		resp.Version = 1
		if err := s.call(req, resp); err != nil {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("SASL %s: the broker closed the connection, as it does with a wrong name or password", name)
			}
			return fmt.Errorf("SASL %s: %w", name, err)
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			why := ""
			if resp.ErrorMessage != nil {
				why = " (" + *resp.ErrorMessage + ")"
			}
			return fmt.Errorf("SASL %s refused%s: %w", name, why, err)
		}
		var err error
		if done, token, err = session.Challenge(resp.SASLAuthBytes); err != nil {
			return fmt.Errorf("SASL %s: %w", name, err)
		}
	}
	return nil
}

// call writes a request and reads its answer. Neither of the two kinds used
// here has tagged fields in its header at these versions.
func (s *saslConn) call(req kmsg.Request, resp kmsg.Response) error {
	s.correlation++
	if _, err := s.conn.Write(s.format.AppendRequest(nil, req, s.correlation)); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > maxSASLFrame {
		return fmt.Errorf("an answer of %d bytes is not Kafka", size)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, s.conn, int64(size)); err != nil {
		return err
	}
	r := kbin.Reader{Src: body.Bytes()}
	if got := r.Int32(); got != s.correlation {
		return fmt.Errorf("an answer to request %d, not to %d", got, s.correlation)
	}
	return resp.ReadFrom(r.Src)
}
