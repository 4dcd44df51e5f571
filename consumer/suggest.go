package consumer

import (
	"fmt"
	"strings"
)

// unknown says what to do about a field that does not exist; prefix is its section
// and a dot, or empty.
func unknown(prefix, name string) string {
	for inCode, advice := range codeOnly {
		if key(inCode) == prefix+name {
			return advice
		}
	}
	if name == "<<" {
		return "merging mappings is not possible here: write the fields out"
	}
	allowed := keysIn(prefix)
	if near := nearest(name, allowed); near != "" {
		return fmt.Sprintf("there is no such field; %s%s is meant?", prefix, near)
	}
	for i := range fields {
		if k := key(fields[i].name); bare(k[strings.IndexByte(k, '.')+1:]) == bare(name) || bare(k) == bare(name) {
			section, _, _ := strings.Cut(k, ".")
			if section == k {
				return fmt.Sprintf("there is no such field here; %s stands at the top, not in a section", k)
			}
			return fmt.Sprintf("there is no such field here; %s stands in the section %s", k, section)
		}
	}
	return "there is no such field; there are " + strings.Join(allowed, ", ")
}

// bare is a name without what spellings differ in.
func bare(name string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// nearest returns the name that was probably meant; "" if none is near.
func nearest(name string, names []string) string {
	best, at := "", max(2, len(name)/4)+1
	for _, n := range names {
		if bare(n) == bare(name) {
			return n
		}
		if d := distance(bare(name), bare(n)); d < at && d < len(n)/2 {
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
