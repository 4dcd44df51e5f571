package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandLine is what was typed, for the report, in a form that can be run
// again: what String makes of a list or a map is not what their flags read.
func commandLine(cmd *cobra.Command) []string {
	args := []string{cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, v := range flagValues(cmd.Flags(), f) {
			args = append(args, "--"+f.Name+"="+v)
		}
	})
	if rest := cmd.Flags().Args(); len(rest) > 0 {
		args = append(append(args, "--"), rest...)
	}
	return args
}

// flagValues are what f is to be given, one after the other, to be what it is.
func flagValues(flags *pflag.FlagSet, f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		var values []string
		for _, v := range list.GetSlice() {
			values = append(values, csvLine(v))
		}
		return values
	}
	entries, err := flags.GetStringToString(f.Name)
	if err != nil { // of another type
		return []string{f.Value.String()}
	}
	var values []string
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		values = append(values, mapEntry(name+"="+entries[name]))
	}
	return values
}

// mapEntry writes one NAME=VALUE so that pflag reads it as it is. pflag reads
// CSV where there are two equals signs or more; with one it takes the text
// whole, but for quotes at its ends. Those are only kept in CSV, so the entry
// is then given twice.
func mapEntry(entry string) string {
	switch {
	case strings.Count(entry, "=") > 1:
		return csvLine(entry)
	case strings.Trim(entry, `"`) != entry:
		return csvLine(entry, entry)
	}
	return entry
}

func csvLine(fields ...string) string {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a bytes.Buffer takes everything
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// checkCommand refuses -- with nothing after it: whoever writes that means to
// name a command, and is not to be told about the reference consumer instead.
func checkCommand(cmd *cobra.Command, command []string) error {
	if cmd.ArgsLenAtDash() >= 0 && len(command) == 0 {
		return errors.New("there is no command after --: name the one to judge, as in -- python3 worker.py, or leave -- out for the reference consumer")
	}
	return nil
}
