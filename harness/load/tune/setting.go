package tune

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is what a sweep varies.
type Setting struct {
	BatchSize   int           // records, the configured bound of a batch
	BatchWait   time.Duration // how long the consumer waits for a batch to fill
	Concurrency int           // handler calls at one time; 0 is what the consumer does by itself
}

// String is the setting as sentences and tables name it.
func (s Setting) String() string {
	if s.Concurrency == 0 {
		return fmt.Sprintf("batch %d, wait %s", s.BatchSize, s.BatchWait)
	}
	return fmt.Sprintf("batch %d, wait %s, concurrency %d", s.BatchSize, s.BatchWait, s.Concurrency)
}

// Key is the setting as a name of a Go benchmark has it: without spaces, and in pairs that benchstat can group by.
func (s Setting) Key() string {
	if s.Concurrency == 0 {
		return fmt.Sprintf("batch=%d/wait=%s", s.BatchSize, s.BatchWait)
	}
	return fmt.Sprintf("batch=%d/wait=%s/concurrency=%d", s.BatchSize, s.BatchWait, s.Concurrency)
}

// ParseSetting reads what Key writes. The wait and the concurrency may be left out.
func ParseSetting(text string) (s Setting, err error) {
	wrong := func(part, want string) error {
		return fmt.Errorf("setting %q: %q is not %s; give one as batch=100/wait=50ms/concurrency=4, of which only the first is needed", text, part, want)
	}
	for part := range strings.SplitSeq(text, "/") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "batch":
			if s.BatchSize, err = strconv.Atoi(value); err != nil || s.BatchSize < 1 {
				return Setting{}, wrong(part, "a batch size of 1 or more")
			}
		case "wait":
			if s.BatchWait, err = time.ParseDuration(value); err != nil || s.BatchWait < 0 {
				return Setting{}, wrong(part, "a wait such as 50ms")
			}
		case "concurrency":
			if s.Concurrency, err = strconv.Atoi(value); err != nil || s.Concurrency < 1 {
				return Setting{}, wrong(part, "a number of 1 or more")
			}
		default:
			return Setting{}, wrong(part, "batch, wait or concurrency")
		}
	}
	if s.BatchSize == 0 {
		return Setting{}, wrong(text, "complete: it has no batch size")
	}
	return s, nil
}

// compare orders settings by batch size, then wait, then concurrency.
func (s Setting) compare(t Setting) int {
	return cmp.Or(cmp.Compare(s.BatchSize, t.BatchSize), cmp.Compare(s.BatchWait, t.BatchWait), cmp.Compare(s.Concurrency, t.Concurrency))
}

// Grid returns every combination of the three, each once, in the order of the arguments. Without a value for one of them there is none.
func Grid(batchSizes []int, waits []time.Duration, concurrency []int) []Setting {
	var out []Setting
	for _, b := range batchSizes {
		for _, w := range waits {
			for _, c := range concurrency {
				if s := (Setting{b, w, c}); !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// settingJSON is a Setting in a file, where all times are milliseconds.
type settingJSON struct {
	BatchSize   int     `json:"batch_size"`
	BatchWaitMS float64 `json:"batch_wait_ms"`
	Concurrency int     `json:"concurrency"`
}

// MarshalJSON writes the wait in milliseconds.
func (s Setting) MarshalJSON() ([]byte, error) {
	return json.Marshal(settingJSON{s.BatchSize, inMS(s.BatchWait), s.Concurrency})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (s *Setting) UnmarshalJSON(text []byte) error {
	var j settingJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*s = Setting{j.BatchSize, fromMS(j.BatchWaitMS), j.Concurrency}
	return nil
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fromMS(ms float64) time.Duration {
	return time.Duration(math.Round(ms * float64(time.Millisecond)))
}
