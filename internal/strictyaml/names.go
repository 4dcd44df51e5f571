package strictyaml

import (
	"strings"
	"unicode"
)

// Key is how a name in Go is written in a file: MaxPollInterval is max-poll-interval,
// TLS.CAFile tls.ca-file.
func Key(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && runes[i-1] != '.' {
			ends := i+1 < len(runes) && unicode.IsLower(runes[i+1]) // an acronym ends before this word
			if unicode.IsLower(runes[i-1]) || ends {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Bare is a name without what spellings differ in.
func Bare(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// Nearest returns the name that was probably meant; "" if none is near.
func Nearest(name string, names []string) string {
	best, at := "", max(2, len(name)/4)+1
	for _, n := range names {
		if Bare(n) == Bare(name) {
			return n
		}
		if d := distance(Bare(name), Bare(n)); d < at && d < len(n)/2 {
			best, at = n, d
		}
	}
	return best
}

// distance is how many letters to change, add or take away to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
