package schema

import (
	"context"
	"fmt"
	"sync"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// protoSchema is a compiled Protobuf file.
type protoSchema struct {
	file protoreflect.FileDescriptor
	// message is the full name of the message that a reader wants; empty: the
	// writer's.
	message protoreflect.FullName
	// judged holds whether a reader's message can read a writer's: there are as many
	// as Config and the handler's type name.
	judged sync.Map // of *Error by pair
}

type pair struct {
	writer, reader protoreflect.MessageDescriptor
}

func compileProtobuf(ctx context.Context, src source) (*protoSchema, error) {
	files := make(map[string]string)
	for _, ref := range src.refs {
		if text, ok := files[ref.name]; ok && text != ref.text {
			return nil, fmt.Errorf("two different schemas are to be imported as %q", ref.name)
		}
		files[ref.name] = ref.text
	}
	main := "schema.proto"
	for files[main] != "" {
		main = "_" + main
	}
	files[main] = src.text
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(
		&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)},
	)}
	linked, err := compiler.Compile(ctx, main)
	if err != nil {
		return nil, err
	}
	return &protoSchema{file: linked[0]}, nil
}

func (p *protoSchema) decode(payload []byte, reader compiled, into any) (string, any, *Error) {
	path, payload, err := splitIndexes(payload)
	if err != nil {
		return "", nil, fail(ErrPayload, err)
	}
	written := messageAt(p.file, path)
	if written == nil {
		return "", nil, failf(ErrPayload, "its message index %v leads to no message", path)
	}
	name := string(written.FullName())
	read := written
	if reader != nil {
		r, ok := reader.(*protoSchema)
		if !ok {
			return name, nil, failf(ErrMismatch, "it is Protobuf, and the reader's is not")
		}
		if read = r.find(written.FullName()); read == nil {
			return name, nil, failf(ErrMismatch, "the reader's schema has no message %s", name)
		}
		if failure := p.judge(written, read); failure != nil {
			return name, nil, failure
		}
	}
	var m proto.Message
	if into == nil {
		m = dynamicpb.NewMessage(read)
	} else {
		var ok bool
		if m, ok = into.(proto.Message); !ok {
			return name, nil, failf(ErrMismatch, "it is Protobuf, and %T is no Protobuf message", into)
		}
		if failure := p.judge(written, m.ProtoReflect().Descriptor()); failure != nil {
			return name, nil, failure
		}
	}
	if err := proto.Unmarshal(payload, m); err != nil {
		return name, nil, fail(ErrPayload, err)
	}
	if err := misread(m.ProtoReflect()); err != nil {
		return name, nil, fail(ErrPayload, err)
	}
	return name, m, nil
}

// find returns the message that a reader reads one of this name by; nil if it has none.
func (p *protoSchema) find(written protoreflect.FullName) protoreflect.MessageDescriptor {
	if p.message != "" && p.message != written {
		return nil
	}
	return findMessage(p.file.Messages(), written)
}

func findMessage(in protoreflect.MessageDescriptors, name protoreflect.FullName) protoreflect.MessageDescriptor {
	for i := range in.Len() {
		m := in.Get(i)
		if m.FullName() == name {
			return m
		}
		if found := findMessage(m.Messages(), name); found != nil {
			return found
		}
	}
	return nil
}

// messageAt follows the indexes of the wire format. Only what the text calls a message
// counts: a map field makes one of its own in the descriptor, which Confluent's
// serializers do not see.
func messageAt(file protoreflect.FileDescriptor, path []int) protoreflect.MessageDescriptor {
	var found protoreflect.MessageDescriptor
	in := file.Messages()
	for _, index := range path {
		found = nil
		for i := range in.Len() {
			m := in.Get(i)
			if m.IsMapEntry() {
				continue
			}
			if index == 0 {
				found = m
				break
			}
			index--
		}
		if found == nil {
			return nil
		}
		in = found.Messages()
	}
	return found
}

// misread finds a field whose bytes are of another wire type than its schema says. The
// decoder keeps those as unknown fields, which would lose them without a word.
// Other unknown fields are what a newer writer adds, and fine.
func misread(m protoreflect.Message) error {
	d := m.Descriptor()
	for unknown := m.GetUnknown(); len(unknown) > 0; {
		number, wireType, n := protowire.ConsumeField(unknown)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if f := d.Fields().ByNumber(number); f != nil && wireType != wireTypeOf(f.Kind()) {
			return fmt.Errorf("field %s is written with wire type %d", f.FullName(), wireType)
		}
		unknown = unknown[n:]
	}
	var err error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					err = misread(v.Message())
					return err == nil
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				if err = misread(v.List().Get(i).Message()); err != nil {
					break
				}
			}
		default:
			err = misread(v.Message())
		}
		return err == nil
	})
	return err
}

func wireTypeOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}
