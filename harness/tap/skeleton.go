package tap

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// skeleton returns the response to a request with everything in it that the request
// asks about, and no answer to any of it.
func skeleton(req kmsg.Request) kmsg.Response {
	resp := req.ResponseKind()
	mirror(reflect.ValueOf(req).Elem(), reflect.ValueOf(resp).Elem())
	if r, ok := req.(*kmsg.FindCoordinatorRequest); ok {
		answer := resp.(*kmsg.FindCoordinatorResponse)
		for _, key := range r.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key = key
			answer.Coordinators = append(answer.Coordinators, c)
		}
	}
	return resp
}

// mirror copies what a struct of a request is about to the struct of the response that answers it.
func mirror(from, to reflect.Value) {
	reset(to)
	for i := range to.NumField() {
		name, f := to.Type().Field(i).Name, to.Field(i)
		src := from.FieldByName(name)
		switch {
		case !src.IsValid():
		case aboutWhat[name] && src.Type() == f.Type():
			f.Set(src)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct && src.Kind() == reflect.Slice:
			mirrorList(src, f)
		}
	}
}

func mirrorList(from, to reflect.Value) {
	if from.Len() == 0 {
		return
	}
	list := reflect.MakeSlice(to.Type(), from.Len(), from.Len())
	for i := range from.Len() {
		src, dst := from.Index(i), list.Index(i)
		switch src.Kind() {
		case reflect.Struct:
			mirror(src, dst)
			continue
		case reflect.Int32: // a list of partitions
			reset(dst)
			if p := dst.FieldByName("Partition"); p.IsValid() {
				p.SetInt(src.Int())
				continue
			}
		case reflect.String: // a list of groups
			reset(dst)
			if g := dst.FieldByName("Group"); g.IsValid() {
				g.SetString(src.String())
				continue
			}
		}
		return // it does not list the same things
	}
	to.Set(list)
}

// prune takes out of a message the partitions, and topics and groups without any, that are
// not to be kept. It returns how many are left.
func (s selection) prune(v reflect.Value, at place, keep func(place) bool) (left int) {
	at = s.step(v, at)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.Kind() != reflect.Slice || f.Len() == 0 {
			continue
		}
		kept := reflect.MakeSlice(f.Type(), 0, f.Len())
		switch {
		case isPartitionList(name, f):
			for j := range f.Len() {
				inner := at
				inner.Partition = int32(f.Index(j).Int())
				if keep(inner) {
					kept = reflect.Append(kept, f.Index(j))
				}
			}
			left += kept.Len()
		case f.Type().Elem().Kind() == reflect.Struct && isNamed(f.Type().Elem()):
			for j := range f.Len() {
				n := s.pruneElem(f.Index(j), at, keep)
				if n > 0 {
					kept = reflect.Append(kept, f.Index(j))
				}
				left += n
			}
		default:
			continue
		}
		f.Set(kept)
	}
	return left
}

// pruneElem is prune for one struct of a list: one that stands for itself counts as one.
func (s selection) pruneElem(v reflect.Value, at place, keep func(place) bool) int {
	if v.FieldByName("Partitions").IsValid() || v.FieldByName("Topics").IsValid() {
		return s.prune(v, at, keep)
	}
	if keep(s.step(v, at)) {
		return 1
	}
	return 0
}

// isNamed tells whether a type has a field that a selection goes by.
func isNamed(t reflect.Type) bool {
	for _, name := range []string{"Topic", "TopicID", "Partition", "Group", "Key", "Topics"} {
		if _, ok := t.FieldByName(name); ok {
			return true
		}
	}
	return false
}

// overlay lays src over dst: what has an error code in src replaces what dst says about the
// same thing, or is added to it.
func overlay(dst, src reflect.Value) {
	for i := range src.NumField() {
		from, to := src.Field(i), dst.Field(i)
		if from.Kind() != reflect.Slice || from.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for j := range from.Len() {
			elem := from.Index(j)
			same := find(to, elem)
			switch code := elem.FieldByName("ErrorCode"); {
			case !same.IsValid():
				to.Set(reflect.Append(to, elem))
			case code.IsValid() && code.Int() != 0:
				same.Set(elem)
			default:
				overlay(same, elem)
			}
		}
	}
}

// find returns the struct in a list that is about the same as v, the zero Value if there is none.
func find(list, v reflect.Value) reflect.Value {
	for i := range list.Len() {
		same := true
		for j := range v.NumField() {
			if aboutWhat[v.Type().Field(j).Name] {
				same = same && reflect.DeepEqual(v.Field(j).Interface(), list.Index(i).Field(j).Interface())
			}
		}
		if same {
			return list.Index(i)
		}
	}
	return reflect.Value{}
}
