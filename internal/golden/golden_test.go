package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// failures records what a test would have been told.
type failures struct {
	testing.TB
	told string
}

func (f *failures) Helper()                   {}
func (f *failures) Errorf(_ string, a ...any) { f.told = a[len(a)-1].(string) }

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "there", "file.txt")
	*update = true
	Check(t, path, []byte("one\ntwo\n"))
	*update = false
	Check(t, path, []byte("one\ntwo\n"))
	for got, want := range map[string]string{"one\n2\n": "got:  2\nwant: two", "one\ntwo\nthree\n": "got:  three\nwant: ", "one\ntwo": "got:  \nwant: "} {
		f := &failures{TB: t}
		Check(f, path, []byte(got))
		if !strings.HasPrefix(f.told, want) {
			t.Errorf("of %q it says %q", got, f.told)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "one\ntwo\n" {
		t.Errorf("a comparison has changed the file: %q, %v", text, err)
	}
}
