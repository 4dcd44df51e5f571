// Package load measures a subject under open-loop load: throughput, latency
// from the moment a message was due to the moment its effect was done, and the
// number of records a crash in the middle of a batch makes it process again.
package load
