package consumer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// HealthHandler serves [Consumer.Health] for the probes of Kubernetes: GET /livez
// and GET /readyz, 200 or 503. The body is "ok" or the reasons, one a line; with
// ?verbose all checks, one a line; as JSON, a [Health], if the request accepts
// application/json.
func (c *Consumer) HealthHandler() http.Handler { return healthHandler(c.Health) }

func healthHandler(health func() Health) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { health().serve(w, r, false) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { health().serve(w, r, true) })
	return mux
}

func (h Health) serve(w http.ResponseWriter, r *http.Request, readiness bool) {
	code := http.StatusOK
	if !h.Live || readiness && !h.Ready {
		code = http.StatusServiceUnavailable
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept")
	var body string
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		header.Set("Content-Type", "application/json")
		out, err := json.Marshal(h)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = string(out)
	} else {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		body = h.text(readiness, r.URL.Query().Has("verbose"))
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body+"\n") // whoever asked may be gone
}

// text is the answer for people. Verbose looks like that of Kubernetes' own
// components.
func (h Health) text(readiness, verbose bool) string {
	reasons := h.Reasons(readiness)
	if !verbose {
		if len(reasons) == 0 {
			return "ok"
		}
		return strings.Join(reasons, "\n")
	}
	var b strings.Builder
	for _, c := range h.Checks {
		switch {
		case !readiness && !c.Liveness:
		case c.OK:
			fmt.Fprintf(&b, "[+]%s ok\n", c.Name)
		default:
			fmt.Fprintf(&b, "[-]%s failed: %s\n", c.Name, c.Reason)
		}
	}
	name, end := "livez", "passed"
	if readiness {
		name = "readyz"
	}
	if len(reasons) > 0 {
		end = "failed"
	}
	fmt.Fprintf(&b, "%s check %s (%s)", name, end, h.State)
	return b.String()
}
