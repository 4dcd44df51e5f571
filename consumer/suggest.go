package consumer

import (
	"fmt"
	"strings"

	"github.com/ksim-dev/ksim/internal/strictyaml"
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
	if near := strictyaml.Nearest(name, allowed); near != "" {
		return fmt.Sprintf("there is no such field; %s%s is meant?", prefix, near)
	}
	for i := range fields {
		if k := key(fields[i].name); strictyaml.Bare(k[strings.IndexByte(k, '.')+1:]) == strictyaml.Bare(name) || strictyaml.Bare(k) == strictyaml.Bare(name) {
			section, _, _ := strings.Cut(k, ".")
			if section == k {
				return fmt.Sprintf("there is no such field here; %s stands at the top, not in a section", k)
			}
			return fmt.Sprintf("there is no such field here; %s stands in the section %s", k, section)
		}
	}
	return "there is no such field; there are " + strings.Join(allowed, ", ")
}
