package script

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/internal/strictyaml"
)

// faults is a list of faults. Each is a mapping: fault names its kind, when and wait say when it
// begins, and all other fields are those of the kind. In place of fault, together holds a list
// of faults that are injected at the same time.
type faults struct{ list []fault.Fault }

// Fields that every fault has in a file.
const (
	fieldFault    = "fault"
	fieldWhen     = "when"
	fieldWait     = "wait"
	fieldTogether = "together"
)

var common = []string{fieldFault, fieldWhen, fieldWait, fieldTogether}

// when is fault.Event by the names of the history.
type when struct {
	Event     string `doc:"kind of event in the history, like effect-done or committed"`
	Member    string `doc:"m1, m2…"`
	Partition *int32
	Outcome   string `values:"acked|failed|unknown|accepted|refused|stopped|killed|exited|happened|missed"`
	Error     string `doc:"name of a Kafka error, like REBALANCE_IN_PROGRESS"`
	Count     int    `doc:"how many such events to wait for; 1 if absent"`
}

// DecodeYAML implements strictyaml.Value.
func (f *faults) DecodeYAML(d *strictyaml.Decoder, at string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		d.Wrong(at, "a list of faults is wanted (- fault: crash-mid-batch), and this is %s", strictyaml.Describe(n))
		return
	}
	for i, item := range n.Content {
		var one entry
		d.Set(fmt.Sprintf("%s[%d]", at, i), item, reflect.ValueOf(&one).Elem(), nil)
		if one.fault != nil {
			f.list = append(f.list, one.fault)
		}
	}
}

// entry is one item of a list of faults.
type entry struct{ fault fault.Fault } // nil if it cannot be read

// head is what every fault has in a file.
type head struct {
	Fault    string
	When     *when
	Wait     time.Duration
	Together faults
}

// DecodeYAML implements strictyaml.Value.
func (e *entry) DecodeYAML(d *strictyaml.Decoder, at string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.Wrong(at, "a fault is written with its fields (fault: crash-mid-batch), and this is %s", strictyaml.Describe(n))
		return
	}
	var h head
	own := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line} // the fields of the kind
	d.Pairs(at, n, func(name, path string, value *yaml.Node) {
		switch name {
		case fieldFault:
			d.Set(path, value, reflect.ValueOf(&h.Fault).Elem(), nil)
		case fieldWhen:
			d.Set(path, value, reflect.ValueOf(&h.When).Elem(), nil)
		case fieldWait:
			d.Set(path, value, reflect.ValueOf(&h.Wait).Elem(), nil)
		case fieldTogether:
			d.Set(path, value, reflect.ValueOf(&h.Together).Elem(), nil)
		default:
			own.Content = append(own.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: value.Line}, value)
		}
	})
	e.fault = h.build(d, at, own)
}

func (h *head) build(d *strictyaml.Decoder, at string, own *yaml.Node) fault.Fault {
	all := kinds()
	f, known := all[h.Fault]
	switch {
	case d.Has(at + "." + fieldTogether):
		if h.Fault != "" || len(own.Content) > 0 {
			d.Wrong(at, "together stands alone, or with when and wait: give each fault in it its own fields")
		}
		parts := make([]fault.Fault, len(h.Together.list))
		for i, part := range h.Together.list {
			parts[i] = h.delayed(d, at, part)
		}
		return fault.Together{Faults: parts}
	case h.Fault == "":
		d.Wrong(at, "it does not say which fault: give fault, as in fault: crash-mid-batch (ksim list faults)")
		return nil
	case !known:
		d.Wrong(at+"."+fieldFault, "%q is not known: %s", h.Fault, advise(h.Fault, slices.Sorted(maps.Keys(all))))
		return nil
	}
	v := reflect.New(reflect.TypeOf(f)).Elem()
	v.Set(reflect.ValueOf(f))
	d.Mapping(at, own, v, common...)
	f = v.Interface().(fault.Fault)
	if c, ok := f.(interface{ Validate() error }); ok {
		if err := c.Validate(); err != nil {
			d.Wrong(at, "%v", err)
		}
	}
	return h.delayed(d, at, f)
}

// delayed lets f begin when the head says.
func (h *head) delayed(d *strictyaml.Decoder, at string, f fault.Fault) fault.Fault {
	if h.When == nil && h.Wait == 0 {
		return f
	}
	late := fault.When{Fault: f, After: h.Wait}
	if h.Wait < 0 {
		d.Wrong(at+"."+fieldWait, "%s is negative", h.Wait)
	}
	if w := h.When; w != nil {
		kinds := history.Kinds()
		if !slices.Contains(kinds, history.Kind(w.Event)) {
			names := make([]string, len(kinds))
			for i, k := range kinds {
				names[i] = string(k)
			}
			d.Wrong(at+"."+fieldWhen, "event %q is not known: %s", w.Event, advise(w.Event, names))
		}
		if w.Count < 0 {
			d.Wrong(at+"."+fieldWhen+".count", "%d is negative", w.Count)
		}
		late.Event = fault.Event{
			Kind: history.Kind(w.Event), Member: w.Member, Partition: w.Partition, Outcome: history.Outcome(w.Outcome), Error: w.Error, Count: w.Count,
		}
	}
	return late
}

// advise says what to write in place of a name that is not known.
func advise(name string, known []string) string {
	if near := strictyaml.Nearest(name, known); near != "" {
		return near + " is meant?"
	}
	return "there are " + strings.Join(known, ", ")
}
