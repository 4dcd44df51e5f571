package tap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ksim-dev/ksim/internal/edits"
)

// Names of actions, as in text.
const (
	nameError       = "error"
	nameCut         = "cut"
	nameCutHalfOpen = "cut-half-open"
	nameHold        = "hold"
	nameDelay       = "delay"
	nameThrottle    = "throttle"
	nameQuota       = "quota"
	nameFreeze      = "freeze"
	nameCorrupt     = "corrupt"
	nameChecksum    = "checksum" // of corrupt
)

// ActionNames lists the names of all actions.
func ActionNames() []string {
	return []string{nameError, nameCut, nameCutHalfOpen, nameHold, nameDelay, nameThrottle, nameQuota, nameFreeze, nameCorrupt}
}

const anyName = "any"

// APIName is the name of an API as Kafka has it: OffsetCommit. AnyKey is "any".
func APIName(key int16) string {
	if key == AnyKey {
		return anyName
	}
	return kmsg.NameForKey(key)
}

// APINames lists the names of all APIs, by key.
func APINames() (names []string) {
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.RequestForKey(key) != nil {
			names = append(names, kmsg.NameForKey(key))
		}
	}
	return names
}

// ParseAPI returns the key of an API by its name, in any case: OffsetCommit,
// offset-commit and OFFSET_COMMIT are the same. "any" is AnyKey.
func ParseAPI(name string) (int16, error) {
	if bare(name) == anyName {
		return AnyKey, nil
	}
	for key := range int16(kmsg.MaxKey + 1) {
		if kmsg.RequestForKey(key) != nil && bare(kmsg.NameForKey(key)) == bare(name) {
			return key, nil
		}
	}
	return 0, fmt.Errorf("there is no API %q: %s", name, suggest(name, append(APINames(), anyName)))
}

// maxErrorCode is above all error codes of Kafka, by far.
const maxErrorCode = 1000

// ErrorName is the name of an error code: NOT_COORDINATOR; "" for 0, and for one that is not known.
func ErrorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil && e.Code == code {
		return e.Message
	}
	return ""
}

// ErrorNames lists the names of all error codes, by code.
func ErrorNames() (names []string) {
	for code := int16(-1); code < maxErrorCode; code++ {
		if name := ErrorName(code); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// renamed are names that Kafka has given to errors since kerr took its names.
var renamed = map[string]int16{"NOT_LEADER_OR_FOLLOWER": kerr.NotLeaderForPartition.Code}

// ParseErrorCode returns the code of an error by its name, in any case: NOT_COORDINATOR.
func ParseErrorCode(name string) (int16, error) {
	for newer, code := range renamed {
		if bare(newer) == bare(name) {
			return code, nil
		}
	}
	for code := int16(-1); code < maxErrorCode; code++ {
		if known := ErrorName(code); known != "" && bare(known) == bare(name) {
			return code, nil
		}
	}
	return 0, fmt.Errorf("there is no error %q: %s", name, suggest(name, append(ErrorNames(), slices.Collect(maps.Keys(renamed))...)))
}

// String returns request or response.
func (d Direction) String() string {
	switch d {
	case Request:
		return "request"
	case Response:
		return "response"
	}
	return fmt.Sprintf("Direction(%d)", int(d))
}

// ParseDirection reads request or response.
func ParseDirection(name string) (Direction, error) {
	for _, d := range []Direction{Request, Response} {
		if bare(d.String()) == bare(name) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("there is no direction %q: choose request or response", name)
}

// ParseAction reads an action as its String writes it: "error NOT_COORDINATOR", "delay 200ms", "delay 200ms
// 50ms" (with jitter), "throttle 65536" (bytes/s), "quota 1s", "cut", "cut-half-open", "hold", "freeze", "corrupt",
// "corrupt checksum".
// "disconnect" is "cut". It does not tell whether the action goes with a rule: Rule.Validate does.
func ParseAction(text string) (Action, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, fmt.Errorf("no action is named: choose one of %s", strings.Join(ActionNames(), ", "))
	}
	name, args := strings.ToLower(words[0]), words[1:]
	simple := map[string]Action{
		nameCut: Cut{}, "disconnect": Cut{}, nameCutHalfOpen: CutHalfOpen{}, nameHold: Hold{}, nameFreeze: FreezeMember{}, nameCorrupt: Corrupt{},
	}
	if a, ok := simple[name]; ok && len(args) == 0 {
		return a, nil
	}
	var err error
	switch {
	case name == nameCorrupt && len(args) == 1 && args[0] == nameChecksum:
		return Corrupt{Checksum: true}, nil
	case name == nameError && len(args) == 1:
		var e Error
		e.Code, err = ParseErrorCode(args[0])
		return e, err
	case name == nameThrottle && len(args) == 1:
		var t Throttle
		t.BytesPerSecond, err = strconv.Atoi(args[0])
		return t, err
	case name == nameQuota && len(args) == 1:
		var q Quota
		q.ThrottleTime, err = time.ParseDuration(args[0])
		return q, err
	case name == nameDelay && (len(args) == 1 || len(args) == 2):
		var d Delay
		if d.For, err = time.ParseDuration(args[0]); err == nil && len(args) == 2 {
			d.Jitter, err = time.ParseDuration(args[1])
		}
		return d, err
	case slices.Contains(ActionNames(), name):
		return nil, fmt.Errorf("%q has too few or too many words: write error NAME, delay TIME [JITTER], throttle BYTES-PER-SECOND, quota TIME, corrupt [checksum], or one of %s alone",
			text, strings.Join([]string{nameCut, nameCutHalfOpen, nameHold, nameFreeze, nameCorrupt}, ", "))
	}
	return nil, fmt.Errorf("there is no action %q: %s", words[0], suggest(words[0], ActionNames()))
}

// bare is a name without what people write differently.
func bare(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-' || r == ' ':
			return -1
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, name)
}

// fewNames is how many names are listed where none is near.
const fewNames = 12

// suggest names what may have been meant.
func suggest(name string, known []string) string {
	best, at := "", len(name)
	if said := bare(name); len(said) <= longestName {
		for _, k := range known {
			if d := edits.Distance(said, bare(k)); d < at {
				best, at = k, d
			}
		}
	}
	switch {
	case best != "" && at <= max(2, len(name)/3):
		return "did you mean " + best + "?"
	case len(known) <= fewNames:
		return "choose one of " + strings.Join(known, ", ")
	}
	return "choose one of " + strings.Join(known[:fewNames], ", ") + " and so on"
}

// longestName is above the length of all names. Longer ones are not compared.
const longestName = 64
