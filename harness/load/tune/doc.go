// Package tune decides what a sweep over batch sizes, batch waits and
// concurrency has shown: which settings are on the Pareto front, which one to
// recommend under an SLO, and which need no more trials. It is a pure function
// of the trials' results: it measures nothing and waits for nothing.
//
// All intervals are of the median and assume nothing about the distribution.
// They are at 95 % each; nothing is corrected for the number of settings
// that are compared. What makes up for that is a strict rule: two settings are told apart
// only if their intervals do not overlap, which by chance alone is much
// rarer than 1 in 20.
package tune
