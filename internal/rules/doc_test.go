// Package rules keeps the house in order: who may import whom, how long a file
// is, what it is called. It holds tests only. DESIGN.md gives the reasons.
package rules
