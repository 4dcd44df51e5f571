// Package history is the vocabulary of a ksim run: one flat [Event] for every
// observation, a [Header] that says what was promised, and the append-only
// JSON Lines [Log] both are kept in.
//
// Everything that watches a run (producer, sink, tap, subject, observers)
// writes to the Log; everything that judges one (package check) reads a
// [History] and nothing else. The package imports only the standard library,
// so that a judge cannot reach for a clock, a network or a broker.
//
// A file is one Header line followed by one Event a line:
//
//	{"ksim_history":1,"scenario":"crash-mid-batch","topic":"…","promises":{…},…}
//	{"seq":1,"at":1200345,"kind":"produced","topic":"…","partition":2,"message":"m-000001","outcome":"acked"}
//
// A field that is absent has its zero value: partition and offset included.
package history
