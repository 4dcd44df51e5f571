package tap

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestParseAPI(t *testing.T) {
	for _, name := range APINames() {
		for _, written := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if key, err := ParseAPI(written); err != nil || APIName(key) != name {
				t.Errorf("ParseAPI(%q) = %d, %v", written, key, err)
			}
		}
	}
	for written, want := range map[string]int16{
		"OFFSET_COMMIT": kmsg.OffsetCommit.Int16(), "offset-for-leader-epoch": kmsg.OffsetForLeaderEpoch.Int16(), "any": AnyKey, "Any": AnyKey,
	} {
		if key, err := ParseAPI(written); err != nil || key != want {
			t.Errorf("ParseAPI(%q) = %d, %v", written, key, err)
		}
	}
	for written, want := range map[string]string{
		"OffsetComit": "did you mean OffsetCommit?", "Hartbeat": "did you mean Heartbeat?", "": "choose one of Produce", "nothing like it": "choose one of Produce",
	} {
		if _, err := ParseAPI(written); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAPI(%q): %v, want %q", written, err, want)
		}
	}
}

func TestParseErrorCode(t *testing.T) {
	for written, want := range map[string]*kerr.Error{
		"NOT_COORDINATOR": kerr.NotCoordinator, "not-coordinator": kerr.NotCoordinator, "UNKNOWN_SERVER_ERROR": kerr.UnknownServerError,
		"NOT_LEADER_OR_FOLLOWER": kerr.NotLeaderForPartition,
	} {
		if code, err := ParseErrorCode(written); err != nil || code != want.Code {
			t.Errorf("ParseErrorCode(%q) = %d, %v", written, code, err)
		}
	}
	names := ErrorNames()
	if len(names) < 120 {
		t.Errorf("only %d errors have names", len(names))
	}
	for _, name := range names {
		if code, err := ParseErrorCode(name); err != nil || ErrorName(code) != name {
			t.Errorf("ParseErrorCode(%q) = %d, %v", name, code, err)
		}
	}
	if _, err := ParseErrorCode("NOT_CORDINATOR"); err == nil || !strings.Contains(err.Error(), "did you mean NOT_COORDINATOR?") {
		t.Error(err)
	}
	if ErrorName(0) != "" || ErrorName(-7) != "" {
		t.Error("names for what is no error")
	}
}

func TestParseAction(t *testing.T) {
	for _, a := range []Action{
		Error{kerr.NotCoordinator.Code}, Cut{}, CutHalfOpen{}, Hold{}, FreezeMember{}, Corrupt{}, Corrupt{Checksum: true},
		Delay{For: 200 * time.Millisecond}, Delay{For: time.Second, Jitter: 50 * time.Millisecond}, Throttle{65536}, Quota{time.Second},
	} {
		if got, err := ParseAction(a.String()); err != nil || got != a {
			t.Errorf("%q is read as %v, %v", a, got, err)
		}
	}
	if a, err := ParseAction("disconnect"); err != nil || a != (Cut{}) {
		t.Error(a, err)
	}
	for text, want := range map[string]string{
		"": "no action is named", "delai 5s": "did you mean delay?", "delay": "too few or too many words", "cut 5": "too few or too many",
		"delay x": "invalid duration", "error NO": "no error", "throttle fast": "invalid syntax",
	} {
		if _, err := ParseAction(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAction(%q): %v, want %q", text, err, want)
		}
	}
	if d, err := ParseDirection("Response"); err != nil || d != Response {
		t.Error(d, err)
	}
	if _, err := ParseDirection("up"); err == nil {
		t.Error("a direction up")
	}
}

// FuzzNames: what is read is written the same way, and read again as the same.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"OffsetCommit", "offset_commit", "NOT_COORDINATOR", "request", "delay 200ms 50ms", "error not-leader-or-follower", "throttle 5", "any", "quota -1s", "é\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParseAPI(text); err == nil {
			if again, err := ParseAPI(APIName(key)); err != nil || again != key {
				t.Errorf("API %q: %d, then %d, %v", text, key, again, err)
			}
		}
		if code, err := ParseErrorCode(text); err == nil {
			if again, err := ParseErrorCode(ErrorName(code)); err != nil || again != code {
				t.Errorf("error %q: %d, then %d, %v", text, code, again, err)
			}
		}
		if d, err := ParseDirection(text); err == nil && bare(d.String()) != bare(text) {
			t.Errorf("direction %q: %s", text, d)
		}
		if a, err := ParseAction(text); err == nil {
			if again, err := ParseAction(a.String()); err != nil || again != a {
				t.Errorf("action %q: %q, then %v, %v", text, a, again, err)
			}
		}
	})
}

// TestValidate: what could never act, or not like that, is an error that says so.
func TestValidate(t *testing.T) {
	fetch, heartbeat, commit := kmsg.Fetch.Int16(), kmsg.Heartbeat.Int16(), kmsg.OffsetCommit.Int16()
	for want, r := range map[string]Rule{
		"":                                      {Key: commit, Group: "g", Topic: "t", Partitions: []int32{0, 3}, After: 2, Every: 3, Times: 1, Until: Until{Calls: 5}, Action: Error{16}},
		"no API with key 999":                   {Key: 999},
		"no direction 7":                        {Direction: 7},
		"Heartbeat names no topics":             {Key: heartbeat, Topic: "t"},
		"Fetch names no group":                  {Key: fetch, Group: "g"},
		"list of partitions is empty":           {Key: fetch, Partitions: []int32{}},
		"partitions are [-1]":                   {Key: fetch, Partitions: []int32{-1}},
		"after is -1":                           {After: -1},
		"every is -1":                           {Every: -1},
		"times is -2":                           {Times: -2},
		"probability is 1.5":                    {Probability: 1.5},
		"exclude each other":                    {Every: 2, Probability: 0.5},
		"until is -1":                           {Until: Until{Calls: -1}},
		"ends after 3 calls":                    {After: 2, Every: 2, Until: Until{Calls: 3}},
		"is 0, which is no error":               {Action: Error{}},
		"no error with code 9999":               {Action: Error{9999}},
		"name it":                               {Key: AnyKey, Action: Error{16}},
		"cannot answer Vote":                    {Key: kmsg.Vote.Int16(), Action: Error{16}},
		"session of its group":                  {Key: kmsg.ShareFetch.Int16(), Topic: "t", Action: Error{16}},
		"delay is 0s":                           {Action: Delay{}},
		"jitter is 2s":                          {Action: Delay{For: time.Second, Jitter: 2 * time.Second}},
		"throttle is 0 bytes/s":                 {Action: Throttle{}},
		"throttle time is 0s":                   {Direction: Response, Action: Quota{}},
		"a quota is told in responses":          {Key: fetch, Action: Quota{time.Second}},
		"has no throttle time":                  {Key: kmsg.SASLHandshake.Int16(), Direction: Response, Action: Quota{time.Second}},
		"responses of Fetch and requests of Pr": {Key: fetch, Action: Corrupt{}},
	} {
		if err := r.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	err := Rule{Name: "odd", After: -1, Times: -1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "rule odd: ") || !strings.Contains(err.Error(), "after") || !strings.Contains(err.Error(), "times") {
		t.Errorf("all errors at once: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a wrong rule was put in force")
		}
	}()
	New(Config{}).Add(Rule{After: -1})
}

// TestTriggers gives the same calls to rules and looks which they act on.
func TestTriggers(t *testing.T) {
	const calls = 12
	for want, r := range map[string]Rule{
		"1 2 3 4 5 6 7 8 9 10 11 12": {},
		"3 4 5 6 7 8 9 10 11 12":     {After: 2},
		"3":                          {After: 2, Times: 1},
		"1 2":                        {Times: 2},
		"4 8 12":                     {Every: 4},
		"5 8 11":                     {Every: 3, After: 2},
		"5 8":                        {Every: 3, After: 2, Times: 2},
		"1 2 3 4":                    {Until: Until{Calls: 4}},
		"1 2 3 4 5":                  {Until: Until{When: func(c Call) bool { return c.Generation == 6 }}},
		"2 4 6":                      {Match: func(c Call) bool { return c.Generation%2 == 0 }, Times: 3},
	} {
		if got, _ := triggered(r, calls); got != want {
			t.Errorf("%+v acts on %s, want %s", r, got, want)
		}
	}
	chance := Rule{Probability: 0.5, Seed: 7}
	first, _ := triggered(chance, 200)
	again, _ := triggered(chance, 200)
	chance.Seed = 8
	other, n := triggered(chance, 200)
	if first != again || first == other {
		t.Error("the same seed must give the same choices, and another one others")
	}
	if n < 70 || n > 130 {
		t.Errorf("%d of 200 with a chance of 0.5", n)
	}
	if _, n := triggered(Rule{Probability: 1}, 50); n != 50 {
		t.Errorf("%d of 50 with certainty", n)
	}
}

// triggered lists which of n calls a rule acts on.
func triggered(r Rule, n int) (string, int) {
	tap := New(Config{})
	a := tap.Add(r)
	c := &conn{m: &Member{tap: tap}}
	var on []string
	for i := range n {
		f := &flight{conn: c, ex: &exchange{}, call: Call{Generation: int32(i + 1)}}
		for _, x := range c.choose(f) {
			x.armed.announce(f.call)
			on = append(on, fmt.Sprint(i+1))
		}
	}
	if a.Hits() != len(on) {
		return "hits do not add up", 0
	}
	return strings.Join(on, " "), len(on)
}

func TestDone(t *testing.T) {
	f := newFixtureOf(t, 1)
	tap := New(Config{})
	for name, r := range map[string]Rule{"times": {Times: 1}, "until": {Until: Until{Calls: 1}}, "removed": {}} {
		a := tap.Add(r)
		c := &conn{m: &Member{tap: tap}}
		if fl := (&flight{conn: c, ex: &exchange{}}); name != "removed" {
			for _, x := range c.choose(fl) {
				x.armed.announce(fl.call)
			}
		} else {
			a.Remove()
		}
		receive(f, name, a.Done())
		if a.concerns("", 0, Request) {
			t.Errorf("%s: a rule that is over still concerns calls", name)
		}
		if err := a.AwaitHits(f.ctx, 2); err == nil || errors.Is(err, f.ctx.Err()) && f.ctx.Err() != nil {
			t.Errorf("%s: waiting for more hits of a rule that is over: %v", name, err)
		}
		a.Remove()
	}
}
