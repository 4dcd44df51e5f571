package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/ksim-dev/ksim/examples/mutants"
	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/check"
	"github.com/ksim-dev/ksim/harness/history"
	"github.com/ksim-dev/ksim/harness/mutant"
	"github.com/ksim-dev/ksim/harness/mutant/matrix"
	"github.com/ksim-dev/ksim/harness/subject"
)

// mutantLanguages are those that mutants are written in; the first are in ksim itself.
var mutantLanguages = []string{"go", "python", "java"}

// foreign returns the mutants in another language, for a plan of their own: their clients commit by a
// clock of seconds, which must be outwaited, and what they promise is what a command promises.
func foreign(language string, real bool) (all []mutant.Mutant) {
	for _, m := range mutants.All() {
		if !strings.HasPrefix(m.Name, language+"-") {
			continue
		}
		out := mutant.Mutant{
			Name: m.Name, Mistake: m.Doc, Subject: subject.Process{Command: m.Command}, Missing: func() string { return lacking(m.Source, m.Command) },
			Promises: func(p *history.Promises) {
				if *p = history.DefaultPromises(); m.Order != "" {
					p.Order = m.Order
				}
			},
			Caught: []string{m.Check}, Scenarios: []string{m.Scenario},
		}
		// What else a mistake violates is not compared: these are whole programs, and it differs from run to run.
		for _, c := range check.Names() {
			if c != m.Check {
				out.AlsoAllowed = append(out.AlsoAllowed, c)
			}
		}
		if m.Real && !real {
			out.Waits = "it shows on real Kafka only: --kafka containers"
		}
		all = append(all, out)
	}
	return all
}

// careful is the correct consumer in a language.
func careful(language string) matrix.Correct {
	c := matrix.Correct{Name: "careful.py", Subject: subject.Process{Command: []string{"python3", "examples/python/careful.py"}}}
	if language == "java" {
		c.Name = "Careful.java"
		c.Subject = subject.Process{Command: []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", "examples/java/target/careful.jar"}}
	}
	c.Takes = func(m mutant.Mutant) (history.Promises, map[string]string, bool) {
		p := m.Promised()
		// It keeps partitions in order, which keeps keys in order too.
		p.Order = history.OrderPartition
		return p, nil, strings.HasPrefix(m.Name, language+"-")
	}
	return c
}

// noConfluent is why Python cannot import confluent-kafka, asked once: it takes the start of an interpreter.
var noConfluent = sync.OnceValue(func() error { return exec.Command("python3", "-c", "import confluent_kafka").Run() })

// lacking is why a program cannot be run here, "" if it can.
func lacking(source string, command []string) string {
	if _, err := os.Stat(source); err != nil {
		return "its source is not here: start ksim in the root of its repository"
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return command[0] + " is not installed"
	}
	if command[0] == "python3" {
		if noConfluent() != nil {
			return "confluent-kafka is not installed: pip install -r examples/python/requirements.txt"
		}
		return ""
	}
	if _, err := os.Stat("examples/java/target/careful.jar"); err != nil {
		return "it is not built: make examples"
	}
	return ""
}

// plans are what the chosen mutants are run by, one for each language.
func (o *mutantOptions) plans(cfg harness.Config) ([]matrix.Plan, error) {
	var plans []matrix.Plan
	var names []string
	languages := o.languages
	for _, name := range o.only { // its name says in what it is written
		if language, _, _ := strings.Cut(name, "-"); slices.Contains(mutantLanguages[1:], language) && !slices.Contains(languages, language) {
			languages = append(languages, language)
		}
	}
	for _, language := range languages {
		if !slices.Contains(mutantLanguages, language) {
			return nil, fmt.Errorf("there are no mutants in %q; choose some of %s", language, strings.Join(mutantLanguages, ", "))
		}
		p := matrix.Plan{Config: cfg, Mutants: mutant.All(), Correct: append(matrix.Careful(), referenceAsCorrect(cfg.BatchSize))}
		if language != "go" {
			p.Config.AutoCommit = harness.DefaultConfig().AutoCommit
			p.Config.Parallel = min(cfg.Parallel, 4) // interpreters and JVMs take their time to start
			p.Config.StallBound = harness.DefaultConfig().StallBound
			p.Mutants, p.Correct = foreign(language, o.kafka.backend != "embedded"), []matrix.Correct{careful(language)}
		}
		for _, m := range p.Mutants {
			names = append(names, m.Name)
		}
		if o.only != nil {
			p.Mutants = slices.DeleteFunc(p.Mutants, func(m mutant.Mutant) bool { return !slices.Contains(o.only, m.Name) })
		}
		if len(p.Mutants) > 0 {
			plans = append(plans, p)
		}
	}
	for _, name := range o.only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no mutant %q in %s; the mutants are %s", name, strings.Join(languages, ", "), strings.Join(names, ", "))
		}
	}
	return plans, nil
}

// othersPage lists the mutants in other languages.
func othersPage() string {
	var b strings.Builder
	b.WriteString("\n## In other languages\n\n`ksim mutants --language python,java` runs them, in the root of ksim's repository, beside " +
		"[careful.py](../examples/python/careful.py) and [Careful.java](../examples/java). " +
		"They need confluent-kafka (`pip install -r examples/python/requirements.txt`), and Java and Maven (`make examples`).\n\n" +
		"| mutant | mistake | caught by | in |\n|---|---|---|---|\n")
	for _, m := range mutants.All() {
		in := m.Scenario
		if m.Real {
			in += ", on real Kafka"
		}
		fmt.Fprintf(&b, "| [%s](../%s) | %s | [%s](guarantees.md#%s) | %s |\n", m.Name, m.Source, m.Doc, m.Check, m.Check, in)
	}
	return b.String()
}
