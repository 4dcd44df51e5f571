package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The functions here walk JSON that json.Valid has found valid, without
// decoding it: values stay the bytes that were sent, and nothing is allocated
// for them. On anything else they return something, in bounds.

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && space(b[i]) {
		i++
	}
	return i
}

// skipString returns the index after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			continue
		default: // number, true, false, null
			for i < len(b) && !space(b[i]) && b[i] != ',' && b[i] != ']' && b[i] != '}' {
				i++
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return len(b)
}

// elements calls each for the values of an array, until it returns false.
func elements(b []byte, each func(value []byte) bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] != ']'; {
		end := skipValue(b, i)
		if !each(b[i:end]) {
			return
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

// lookup returns the value of a member of an object, the first of that name.
func lookup(b []byte, name string) (value []byte, ok bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return nil, false
	}
	for i = skipSpace(b, i+1); i < len(b) && b[i] == '"'; {
		end := skipString(b, i)
		key := b[i:end]
		start := skipSpace(b, min(skipSpace(b, end)+1, len(b))) // after the colon
		end = skipValue(b, start)
		if is(key, name) {
			return b[start:end], true
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return nil, false
}

// is tells whether a JSON string, with its quotes, is text.
func is(quoted []byte, text string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return len(quoted) == len(text)+2 && string(quoted[1:len(quoted)-1]) == text
	}
	s, ok := unquote(quoted)
	return ok && s == text
}

func unquote(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var s string
	return s, json.Unmarshal(value, &s) == nil
}

// scalar returns a string or a number as text.
func scalar(value []byte) (string, bool) {
	if len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9') {
		return string(value), true
	}
	return unquote(value)
}

// parsePointer splits a JSON pointer (RFC 6901) into its tokens.
func parsePointer(p string) ([]string, error) {
	if p == "" || p[0] != '/' {
		return nil, fmt.Errorf("sink: %q is no JSON pointer to an id: it must begin with /, as in /id or /payment/id", p)
	}
	tokens := strings.Split(p[1:], "/")
	for i, t := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// point follows a pointer.
func point(b []byte, tokens []string) (value []byte, ok bool) {
	for _, t := range tokens {
		i := skipSpace(b, 0)
		if i < len(b) && b[i] == '[' {
			n, err := strconv.Atoi(t)
			if err != nil {
				return nil, false
			}
			ok = false
			elements(b, func(v []byte) bool {
				if n == 0 {
					value, ok = v, true
				}
				n--
				return n >= 0
			})
		} else {
			value, ok = lookup(b, t)
		}
		if !ok {
			return nil, false
		}
		b = value
	}
	return b, true
}
