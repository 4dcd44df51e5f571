package main

import (
	"reflect"
	"testing"

	"github.com/spf13/cobra"
)

// What a report records of the command line says the same when it is run again.
func TestCommandLineCanBeRunAgain(t *testing.T) {
	type given struct {
		O          options
		Names      []string
		BatchSizes []int
		Rest       []string
	}
	parse := func(args []string) (given, *cobra.Command) {
		var g given
		cmd := &cobra.Command{Use: "run"}
		g.O.register(cmd, true)
		cmd.Flags().StringSliceVar(&g.Names, "scenario", nil, "")
		cmd.Flags().IntSliceVar(&g.BatchSizes, "batch-sizes", []int{7}, "")
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		g.Rest = cmd.Flags().Args()
		return g, cmd
	}
	for _, args := range [][]string{
		nil,
		{"--scenario", "steady,zombie", "--scenario=tag:smoke", "--members", "2", "--order=key"},
		{"--brokers", "a:1,b:2", "--batch-sizes", "10,100", "--batch-sizes", "1000"},
		{"--env", "A=1,2", "--env", `"URL=http://x/?a=b&c=d,e"`, "--env", `Q="x"`, "--env", "EMPTY=", "--", "python3", "w.py", "--x=1", "--"},
		{"--env", `A=say "hi"`, "--env", `"B=""x""","C=a b"`},
	} {
		first, cmd := parse(args)
		recorded := commandLine(cmd)
		again, _ := parse(recorded[1:])
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%q is recorded as %q, which gives\n%+v, want\n%+v", args, recorded, again, first)
		}
	}
	_, cmd := parse([]string{"--env", "B=2", "--env", "A=1", "--scenario", "x,y"})
	want := []string{"run", "--env=A=1", "--env=B=2", "--scenario=x", "--scenario=y"}
	if got := commandLine(cmd); !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}
