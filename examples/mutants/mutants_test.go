package mutants

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ksim-dev/ksim/examples/judge"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/subject"
)

func TestMain(m *testing.M) { judge.Main(m) }

const root = "../.."

// Each mutant is caught by the check that is meant for it. That those they differ from are held in
// the same scenarios is shown beside them, in examples and examples/python.
func TestCaught(t *testing.T) {
	slots := make(chan struct{}, 8) // at a time, whatever -parallel is: most of what a scenario does is to wait
	var wg sync.WaitGroup
	var real []Mutant
	t.Run("embedded", func(t *testing.T) {
		for _, m := range slices.Backward(All()) { // the last take the longest
			if m.Real {
				real = append(real, m)
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				t.Run(m.Name, func(t *testing.T) {
					needs(t, m)
					caught(t, m, judge.Embedded())
				})
			})
		}
		wg.Wait()
	})
	t.Run("containers", func(t *testing.T) {
		kafka := judge.Containers(t, "mutants")
		for _, m := range real {
			t.Run(m.Name, func(t *testing.T) {
				needs(t, m)
				caught(t, m, kafka)
			})
		}
	})
}

func caught(t *testing.T, m Mutant, kafka harness.Provider) {
	t.Helper()
	order := func(cfg *harness.Config) {
		cfg.StallBound, cfg.DrainBound = 6*time.Second, time.Minute // many a mistake is to stand still for ever
		if m.Order != "" {
			cfg.Promises.Order = m.Order
		}
	}
	results := judge.RunWith(t, kafka, subject.Process{Command: m.Command, Dir: root}, order, m.Scenario)
	judge.Violated(t, results[0], m.Check)
}

// The list says what the sources say, and leaves none out.
func TestListed(t *testing.T) {
	listed := map[string]bool{"examples/mutants/python/right.py": true} // what the others are but for their mistake
	for _, m := range All() {
		listed[m.Source] = true
		text, err := os.ReadFile(filepath.Join(root, m.Source))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(text), m.Doc+"\n") || !strings.Contains(string(text), "Source: ") {
			t.Errorf("%s: the source's comment does not begin with %q, or names no source", m.Name, m.Doc)
		}
	}
	for _, pattern := range []string{"python/*.py", "java/*.java"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, f := range found {
			if !listed["examples/mutants/"+filepath.ToSlash(f)] {
				t.Errorf("%s is not listed", f)
			}
		}
	}
}

func needs(t *testing.T, m Mutant) {
	t.Helper()
	if m.Command[0] == "java" {
		_, err := exec.LookPath("java")
		judge.Needs(t, "java", err)
		judge.Built(t, "../java/target/careful.jar", "../java/pom.xml", "../java/src")
		class := strings.TrimSuffix(filepath.Base(m.Source), ".java")
		judge.Built(t, filepath.Join("java/target/ksim", class+".class"), filepath.Join("java", class+".java"), "../java/src")
		return
	}
	out, err := exec.Command("python3", "-c", "import confluent_kafka").CombinedOutput()
	if err != nil {
		err = errors.New(string(out))
	}
	judge.Needs(t, "confluent-kafka (pip install -r examples/python/requirements.txt)", err)
}
