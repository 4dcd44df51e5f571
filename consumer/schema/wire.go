package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxIndexes bounds the nesting of a Protobuf message. Compilers stop far below it.
const maxIndexes = 64

var firstMessage = []int{0}

// splitHeader takes the header of the wire format off: a zero byte, and the id of
// the schema in four bytes, the most significant first.
func splitHeader(b []byte) (id int, payload []byte, err error) {
	switch {
	case len(b) < 5:
		return 0, nil, fmt.Errorf("%d bytes are too few for a header of 5", len(b))
	case b[0] != 0:
		return 0, nil, fmt.Errorf("it begins with byte %#02x, not with 0", b[0])
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > math.MaxInt32 {
		return 0, nil, fmt.Errorf("schema id %d is above what a registry can give out", n)
	}
	return int(n), b[5:], nil
}

// splitIndexes takes the path to a message off the front of a Protobuf payload: for
// each level of nesting, the index of the message in the one around it. All numbers
// are zigzag varints, the first of them counts the others, and a lone 0 is short
// for the first message of the file.
func splitIndexes(b []byte) (path []int, payload []byte, err error) {
	count, b, err := varint(b)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("the number of message indexes: %w", err)
	case count == 0:
		return firstMessage, b, nil
	case count < 0 || count > maxIndexes:
		return nil, nil, fmt.Errorf("%d message indexes", count)
	}
	path = make([]int, count)
	for i := range path {
		var index int64
		if index, b, err = varint(b); err != nil {
			return nil, nil, fmt.Errorf("message index %d of %d: %w", i+1, count, err)
		}
		if index < 0 || index > math.MaxInt32 {
			return nil, nil, fmt.Errorf("message index %d of %d is %d", i+1, count, index)
		}
		path[i] = int(index)
	}
	return path, b, nil
}

func varint(b []byte) (int64, []byte, error) {
	v, n := binary.Varint(b)
	switch {
	case n == 0:
		return 0, nil, errors.New("the payload ends in it")
	case n < 0:
		return 0, nil, errors.New("it does not fit 64 bits")
	}
	return v, b[n:], nil
}
