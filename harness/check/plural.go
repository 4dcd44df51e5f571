package check

import "strconv"

// noun is words that follow a number, for one and for any other.
type noun struct{ one, many string }

// same is words that do not change with the number.
func same(words string) noun { return noun{words, words} }

// of returns the words without the number.
func (w noun) of(n int) string {
	if n == 1 {
		return w.one
	}
	return w.many
}

func (w noun) num(n int) string { return strconv.Itoa(n) + " " + w.of(n) }

// num counts: "1 fault happened", "2 faults happened".
func num(n int, one, many string) string { return noun{one, many}.num(n) }
