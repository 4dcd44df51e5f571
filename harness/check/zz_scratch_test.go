package check

import ("os";"path/filepath";"testing";"fmt";"strings";"github.com/ksim-dev/ksim/harness/history")

func TestScratch(t *testing.T) {
	root := os.Getenv("KS_ROOT")
	if root == "" { t.Skip() }
	tot := map[string]int{}
	_ = filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "history.jsonl" { return nil }
		h, err := history.ReadFile(p)
		rep := Run(h)
		key := string(rep.Verdict)
		tot[key]++
		if rep.Verdict == Held { return nil }
		fmt.Println("==", p, h.Header.Kafka, len(h.Events), rep.Verdict, err)
		for _, r := range rep.Checks { if r.Verdict != Held { fmt.Println("   ", r.Check, r.Verdict, r.Reason); for i, e := range r.Evidence { if i < 2 { fmt.Println("        ", e) } } } }
		return nil
	})
	fmt.Println(tot); _ = strings.Split
}
