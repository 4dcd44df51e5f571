// Package reports writes down what a run came to, one writer for each format:
//
//	report.json  the published format (docs/report.schema.json), read back by [ReadJSON]
//	report.html  one file for people: no script, no request to anywhere
//	report.md    for pull requests
//	junit.xml    for CI, through Ginkgo's reporters
//	run.json     what ran, where and how, without the results
//
// [Text] is the summary for a terminal. [WriteAll] writes all files of a run.
//
// A writer takes a harness.Run and, for the pictures, the histories that the
// run left below Run.Dir. It judges nothing: verdicts come from package check.
// A failure of the harness is an error and never a verdict; a scenario with an
// error is shown as such in every format.
package reports
