package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ksim-dev/ksim/consumer"
)

// What the handler returns is what should become of the order: the whole of what a
// consumer has to get right.
func TestBills(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(status)
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	const fine = `{"customer": "c", "cents": 5}`
	for name, c := range map[string]struct {
		url, value string
		want       consumer.OutcomeKind
	}{
		"billed":        {server.URL + "?status=201", fine, consumer.OutcomeDone},
		"not JSON":      {server.URL, "x", consumer.OutcomePermanent},
		"nothing":       {server.URL, `{"customer": "c"}`, consumer.OutcomePermanent},
		"tombstone":     {server.URL, "", consumer.OutcomePermanent},
		"refused":       {server.URL + "?status=422", fine, consumer.OutcomePermanent},
		"broken":        {server.URL + "?status=500", fine, consumer.OutcomeFailed},
		"busy":          {server.URL + "?status=503", fine, consumer.OutcomeUnavailable},
		"slower please": {server.URL + "?status=429", fine, consumer.OutcomeUnavailable},
		"away":          {"http://127.0.0.1:1", fine, consumer.OutcomeUnavailable},
		"no URL":        {"://", fine, consumer.OutcomeFatal},
	} {
		err := bills(c.url)(t.Context(), consumer.Batch{Records: []*kgo.Record{{Topic: "orders", Value: []byte(c.value)}}})
		if got := consumer.Outcomes(err, 1)[0].Kind; got != c.want {
			t.Errorf("%s: %s by %v, want %s", name, got, err, c.want)
		}
	}
}
