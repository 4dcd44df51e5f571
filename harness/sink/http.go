package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/workload"
)

// Headers of requests.
const (
	HeaderRecord        = workload.HeaderRecord  // topic/partition/offset of the record
	HeaderID            = "Ksim-Id"              // id of the message
	HeaderStopOnFailure = "Ksim-Stop-On-Failure" // true: a batch ends at its first failure
)

// ServeHTTP implements http.Handler by the protocol of subjects.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	closed := s.closed
	if !closed {
		s.requests.Add(1)
	}
	s.mu.RUnlock()
	if closed {
		end(w, hangUp)
		return
	}
	defer s.requests.Done()
	memberName, number, rest, ok := splitPath(r.URL.EscapedPath())
	switch {
	case !ok:
		reply(w, http.StatusNotFound, word{Error: "no such path: effects are posted to KSIM_SINK_URL, /effects/<member>/<incarnation>"})
		return
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "POST, PUT")
		reply(w, http.StatusMethodNotAllowed, word{Error: "effects are posted"})
		return
	}
	inc := s.incarnation(memberName, number)
	buf := bodies.Get().(*bytes.Buffer)
	defer giveBack(buf)
	if !s.read(w, r, inc, buf) {
		return
	}
	if rest == "batch" {
		s.batch(w, r, inc, buf.Bytes())
		return
	}
	s.single(w, r, inc, buf.Bytes())
}

// splitPath reads /effects/<member>/<incarnation>[/rest].
func splitPath(path string) (member string, number int, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "/effects/")
	if !ok {
		return "", 0, "", false
	}
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 2 {
		return "", 0, "", false
	}
	member, merr := url.PathUnescape(parts[0])
	number, nerr := strconv.Atoi(parts[1])
	if len(parts) == 3 {
		rest = strings.TrimSuffix(parts[2], "/")
	}
	return member, number, rest, merr == nil && nerr == nil && member != ""
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// giveBack keeps the buffer of a body for the next one, unless it is so large
// that it is better forgotten.
func giveBack(buf *bytes.Buffer) {
	if buf.Cap() <= 1<<20 {
		buf.Reset()
		bodies.Put(buf)
	}
}

// read reads the body, in bounds of time and size.
func (s *Sink) read(w http.ResponseWriter, r *http.Request, inc *incarnation, buf *bytes.Buffer) bool {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	// No deadline while the effect is handled: it may be held for minutes, and
	// the end of the connection is watched by reading from it.
	_ = control.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &large):
		s.unmatched(inc, buf.Bytes(), int(max(r.ContentLength, MaxBody+1)))
		reply(w, http.StatusRequestEntityTooLarge, word{Error: "a body of more than 16 MiB"})
	default:
		// Cut off, or too slow. That is no garbage: a process that is killed
		// while it posts looks just so.
		end(w, hangUp)
	}
	return false
}

func (s *Sink) single(w http.ResponseWriter, r *http.Request, inc *incarnation, body []byte) {
	e, ok := s.find(r.Context(), reference{record: r.Header.Get(HeaderRecord), id: r.Header.Get(HeaderID), body: body})
	f := unknown
	if ok {
		f = s.effect(r.Context(), inc, e, false)
	} else if !s.unmatched(inc, body, len(body)) {
		f = dropped
	}
	if f.end != answer {
		end(w, f.end)
		return
	}
	f.setRetryAfter(w)
	reply(w, f.status, word{Status: f.word, Error: f.err})
}

// result is the fate of one effect of a batch.
type result struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

func (s *Sink) batch(w http.ResponseWriter, r *http.Request, inc *incarnation, body []byte) {
	b, reason := parseBatch(body)
	if reason != "" {
		if !s.unmatched(inc, body, len(body)) {
			end(w, hangUp)
			return
		}
		reply(w, http.StatusBadRequest, word{Error: reason})
		return
	}
	if b.count > MaxBatch {
		reply(w, http.StatusRequestEntityTooLarge, word{Error: "a batch of more than " + strconv.Itoa(MaxBatch) + " effects"})
		return
	}
	stop := b.stopOnFailure || truth(r.Header.Get(HeaderStopOnFailure)) || r.URL.RawQuery != "" && truth(r.URL.Query().Get("stop_on_failure"))
	results := make([]result, 0, b.count)
	worst, failed, dead := applied, false, inc.isDead()
	b.each(func(ref reference, raw []byte) bool {
		e, known := s.find(r.Context(), ref)
		f, id := unknown, ref.id
		switch {
		case known:
			id = e.ID
			if f = untried; !failed || !stop {
				f = s.effect(r.Context(), inc, e, true)
			}
		case failed && stop:
			f = untried
		case !s.unmatched(inc, raw, len(raw)):
			f = dropped
		}
		if f.end != answer {
			// Requests of the dead are recorded to their end. Otherwise what
			// follows was neither started nor will be answered.
			worst = f
			return dead
		}
		if !f.ok() {
			failed = true
			if f.retryAfter >= 0 {
				worst = f
			}
		}
		results = append(results, result{id, f.word, f.err})
		return true
	})
	switch {
	case worst.end != answer:
		end(w, worst.end)
	case !failed:
		reply(w, http.StatusOK, word{Status: applied.word, Count: len(results)})
	default:
		worst.setRetryAfter(w)
		reply(w, http.StatusMultiStatus, struct {
			Results []result `json:"results"`
		}{results})
	}
}

// unmatched records a body that belongs to no record. It returns false if the
// incarnation is dead, whose garbage is nobody's business.
func (s *Sink) unmatched(inc *incarnation, body []byte, size int) bool {
	if !inc.enlist() {
		return false
	}
	defer inc.active.Done()
	s.append(history.Event{
		Kind: history.EffectUnmatched, Member: inc.name, Incarnation: inc.number, Topic: s.cfg.Topic, Size: size, Note: excerpt(body),
	})
	return true
}

// excerpt shows the first bytes of a body, quoted if they are not text.
func excerpt(body []byte) string {
	const length = 120
	cut := body[:min(len(body), length)]
	for n := 1; n < utf8.UTFMax && len(body) > length && !utf8.Valid(cut); n++ {
		cut = body[:length-n] // do not cut a character in two
	}
	if !utf8.Valid(cut) {
		return strconv.QuoteToASCII(string(body[:min(len(body), length)]))
	}
	return string(cut)
}

func truth(s string) bool { v, err := strconv.ParseBool(s); return err == nil && v }

// word is the body of an answer.
type word struct {
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	Count  int    `json:"count,omitempty"`
}

func (f fate) setRetryAfter(w http.ResponseWriter) {
	if f.retryAfter >= 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	text, err := json.Marshal(body)
	if err != nil { // a struct of strings always encodes
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone is in nobody's way
}

// end closes the connection without an answer, or with a bad one.
func end(w http.ResponseWriter, how ending) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // gone already
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	switch how {
	case resetNow: // the client sees a TCP reset instead of an orderly end
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case garbled:
		_, _ = conn.Write([]byte("\x15\x03\x03 this is not HTTP\r\n\r\n"))
	case cutShort:
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 512\r\n\r\n{\"status\":"))
	}
	_ = conn.Close()
}
