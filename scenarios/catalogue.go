// Package scenarios is the catalogue: every way of ksim to put a consumer
// under strain, as values.
package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ksim-dev/ksim/harness"
	"github.com/ksim-dev/ksim/harness/fault"
	"github.com/ksim-dev/ksim/harness/workload"
)

// All returns the catalogue, in the order in which it is best read: from a
// quiet day to the worst one. The slice is the caller's.
func All() []harness.Scenario {
	return slices.Concat(quiet(), crashes(), troubles(), provocations(), crashSteps(), zombies(), handlers(), downstreams(), deadLetters(), registries(),
		wire(), brokers(), dataShapes())
}

// quiet is what every consumer lives through on an ordinary day.
func quiet() []harness.Scenario {
	return []harness.Scenario{
		{
			Name: "steady",
			Doc:  "Messages flow and nothing goes wrong: each is processed once, in order, and committed after that.",
			Tags: []string{"smoke", "ci"},
		},
		{
			Name:   "member-joins",
			Doc:    "One more member joins while messages flow: partitions move to it without loss, and without repeats beyond what was in flight.",
			Tags:   []string{"smoke", "ci", "rebalance"},
			Faults: []fault.Fault{fault.Join{}},
		},
		{
			Name:   "member-leaves",
			Doc:    "A member is stopped by SIGTERM while it works: it finishes, commits and leaves, and nobody does its work again.",
			Tags:   []string{"smoke", "ci", "rebalance", "shutdown"},
			Faults: []fault.Fault{fault.Leave{Target: "m1"}},
		},
		{
			Name:   "rolling-restart",
			Doc:    "Every member is stopped and started in turn, as a deployment does, while messages flow.",
			Tags:   []string{"smoke", "ci", "rebalance", "shutdown"},
			Faults: []fault.Fault{fault.RollingRestart{}},
		},
	}
}

// crashes end a member without warning at the places where it matters.
func crashes() []harness.Scenario {
	return []harness.Scenario{
		{
			Name:   "crash-mid-batch",
			Doc:    "A member is killed between two effects of one batch: what it had not done is done by another, what it had done and not committed comes again, nothing is lost.",
			Tags:   []string{"smoke", "ci", "crash"},
			Faults: []fault.Fault{fault.CrashMidBatch{Target: "m1"}},
		},
		{
			Name:   "crash-before-commit",
			Doc:    "A member is killed when its work is done and its commit has not reached the broker: all of it comes again.",
			Tags:   []string{"smoke", "ci", "crash"},
			Faults: []fault.Fault{fault.CrashAtCommit{Target: "m1"}},
		},
		{
			Name:   "crash-after-commit",
			Doc:    "A member is killed when the broker has applied its commit and before it hears of that: what was committed does not come again.",
			Tags:   []string{"smoke", "ci", "crash"},
			Faults: []fault.Fault{fault.CrashAtCommit{Target: "m1", After: true}},
		},
		{
			Name:           "zombie",
			Doc:            "A member is frozen in the middle of a batch past its session timeout and then goes on: its late commits are refused, and it finds its way back.",
			Tags:           []string{"smoke", "ci", "zombie"},
			SessionTimeout: 3 * time.Second,
			Faults:         []fault.Fault{fault.Zombie{Target: "m1"}},
		},
	}
}

// troubles come from what the consumer works with: its input and its downstream system.
func troubles() []harness.Scenario {
	return []harness.Scenario{
		{
			Name:   "transient-failures",
			Doc:    "The downstream system refuses some records twice and then takes them: they are retried within bounds, in order, and none is dropped or dead-lettered.",
			Tags:   []string{"smoke", "ci", "retry"},
			Mix:    workload.Mix{Transient: 12, TransientFailures: 2},
			Faults: []fault.Fault{fault.Refusals{Label: "transient-failures", Kinds: []string{"transient"}}},
		},
		{
			Name:   "poison-mix",
			Doc:    "Undecodable, refused and oversized records, tombstones and passing failures among healthy ones: poison ends in the dead-letter topic unchanged, before its offset is committed, and only poison does.",
			Tags:   []string{"smoke", "ci", "poison"},
			Mix:    workload.Mix{Undecodable: 5, Permanent: 5, Transient: 4, Tombstones: 5, Oversized: 2, TransientFailures: 2},
			Faults: []fault.Fault{fault.Refusals{Label: "poison", Kinds: []string{"undecodable", "permanent", "oversized"}}},
		},
		{
			Name:           "slow-handler",
			Doc:            "One effect takes one and a half session timeouts: whether the member keeps its place or not, nothing is lost or reordered.",
			Tags:           []string{"smoke", "ci", "rebalance"},
			SessionTimeout: 2 * time.Second,
			Faults:         []fault.Fault{fault.SlowHandler{Target: "m1"}},
		},
		{
			Name:      "key-order-under-churn",
			Doc:       "Members join, crash and leave while few keys carry most messages and effects are slow: each key stays in order, never in two hands at once.",
			Tags:      []string{"smoke", "ci", "order", "rebalance"},
			Keys:      12,
			Zipf:      1.3,
			SlowEvery: 2 * time.Millisecond,
			Faults:    []fault.Fault{fault.Join{}, fault.CrashMidBatch{Target: "m2"}, fault.Leave{Target: "m1"}},
		},
	}
}

// Select returns the scenarios that the patterns name, in the order of the
// catalogue: names, or tags as "tag:smoke"; none selects all. @ and a kind of [Group] behind
// either puts it into such a group: "zombie@eager". An unknown one is an
// error that lists the valid ones.
func Select(patterns []string) ([]harness.Scenario, error) { return SelectFrom(All(), patterns) }

// SelectFrom is [Select] for other scenarios than the catalogue.
func SelectFrom(all []harness.Scenario, patterns []string) ([]harness.Scenario, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	picked := make([][]string, len(all)) // kinds of groups; "" as the run says
	for _, pattern := range patterns {
		p, kind, _ := strings.Cut(pattern, "@")
		found := false
		for i, s := range all {
			tag, isTag := strings.CutPrefix(p, "tag:")
			if s.Name == p || isTag && s.Tagged(tag) {
				found = true
				if !slices.Contains(picked[i], kind) {
					picked[i] = append(picked[i], kind)
				}
			}
		}
		if !found {
			return nil, unknown(p, all)
		}
	}
	var chosen []harness.Scenario
	for i, s := range all {
		for _, kind := range picked[i] {
			if kind == "" {
				chosen = append(chosen, s)
				continue
			}
			in, err := Each([]harness.Scenario{s}, []string{kind})
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, in...)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("none of %s is about groups of that kind", strings.Join(patterns, ", "))
	}
	return chosen, nil
}

func unknown(pattern string, all []harness.Scenario) error {
	var names, tags []string
	for _, s := range all {
		names = append(names, s.Name)
		for _, t := range s.Tags {
			if !slices.Contains(tags, "tag:"+t) {
				tags = append(tags, "tag:"+t)
			}
		}
	}
	slices.Sort(tags)
	return fmt.Errorf("there is no scenario %q; the scenarios are %s; the tags are %s",
		pattern, strings.Join(names, ", "), strings.Join(tags, ", "))
}
