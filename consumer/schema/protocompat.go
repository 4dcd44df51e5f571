package schema

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// judge tells whether what is written as one message can be read as another; nil if
// it can. The wire format would not tell: a number that changed its type is read as
// something else, or dropped as unknown.
func (p *protoSchema) judge(written, read protoreflect.MessageDescriptor) *Error {
	key := pair{written, read}
	if known, ok := p.judged.Load(key); ok {
		return known.(*Error)
	}
	var failure *Error
	if written.FullName() != read.FullName() {
		failure = failf(ErrMismatch, "it is message %s, and the reader's is %s", written.FullName(), read.FullName())
	} else if err := readable(written, read, make(map[pair]bool)); err != nil {
		failure = fail(ErrIncompatible, err)
	}
	p.judged.Store(key, failure)
	return failure
}

// readable compares the fields that both messages have, by their numbers.
func readable(written, read protoreflect.MessageDescriptor, seen map[pair]bool) error {
	key := pair{written, read}
	if seen[key] {
		return nil
	}
	seen[key] = true
	for i := range written.Fields().Len() {
		w := written.Fields().Get(i)
		r := read.Fields().ByNumber(w.Number())
		if r == nil {
			continue // unknown to the reader
		}
		if err := readableField(w, r, seen); err != nil {
			return err
		}
	}
	for i := range read.Fields().Len() {
		r := read.Fields().Get(i)
		if r.Cardinality() == protoreflect.Required && written.Fields().ByNumber(r.Number()) == nil {
			return fmt.Errorf("the reader requires field %d (%s), which is not written", r.Number(), r.FullName())
		}
	}
	return nil
}

func readableField(w, r protoreflect.FieldDescriptor, seen map[pair]bool) error {
	if w.IsMap() != r.IsMap() {
		// A map is a list of messages on the wire, but not one that was meant.
		return fmt.Errorf("field %d: %s is written, and %s is read", w.Number(), describe(w), describe(r))
	}
	if w.IsMap() {
		if err := readableField(w.MapKey(), r.MapKey(), seen); err != nil {
			return err
		}
		return readableField(w.MapValue(), r.MapValue(), seen)
	}
	if encodingOf(w.Kind()) != encodingOf(r.Kind()) || w.IsList() && !r.IsList() {
		return fmt.Errorf("field %d: %s is written, and %s is read", w.Number(), describe(w), describe(r))
	}
	if w.Message() == nil || r.Message() == nil {
		return nil
	}
	return readable(w.Message(), r.Message(), seen)
}

// encodingOf returns one kind for all whose bytes and meaning can be exchanged: an
// int32 is read as an int64, or as an enum; a string as bytes.
func encodingOf(k protoreflect.Kind) protoreflect.Kind {
	switch k {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.BoolKind, protoreflect.EnumKind:
		return protoreflect.Int64Kind
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protoreflect.Sint64Kind
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.Fixed32Kind
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.Fixed64Kind
	case protoreflect.StringKind, protoreflect.BytesKind:
		return protoreflect.BytesKind
	}
	return k
}

func describe(f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	switch {
	case f.IsMap():
		kind = "map"
	case f.IsList():
		kind = "repeated " + kind
	}
	return kind + " " + string(f.FullName())
}
