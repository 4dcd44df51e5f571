// Package workload is what a run sends: a seeded generator of messages
// ([Spec], [Message]), the open-loop schedule they are due by ([Pacer]), the
// [Producer] that sends them and says of each whether it was acked, failed or is unknown, and the
// [Ledger] in which everyone else looks a message up.
//
// The same Spec gives the same bytes, on every machine and at every time. All
// that is drawn comes from PCG generators seeded with Spec.Seed, one for keys,
// one for payloads and one for poison, so that a change of one does not disturb the others.
//
// For load there is a faster way: a [Source] makes messages of which all follows from their number, in [Sizes] that
// may differ, and [Pace] hands them over, by a rate that may change (package rate).
package workload
