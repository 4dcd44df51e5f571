// Package sink is the downstream system that the effects of a consumer reach:
// an HTTP server on the loopback interface that knows every produced record,
// writes each attempt into the history, and can refuse, delay, hold, hang or reset on demand.
//
// What happens to an effect, in this order:
//
//  1. It passes the gate of its member ([Gate]). While a Hold is in force, or
//     someone has locked the gate, it waits here and has not started.
//  2. EffectStarted is written. An effect that a Hold is meant for has started
//     when it reaches the hold, which is when every other effect of the member that had passed the gate
//     has ended. So at [Armed.Hit] the member stands still as a whole.
//  3. The rules act ([Rule]), in the order in which they were added: after a Delay, a
//     released Hold or a released Hang the next rule follows; a Refuse or a reset ends it.
//  4. Poison is refused, as the ledger says. The rest is applied, and
//     EffectDone written, before the answer is.
//
// An effect whose incarnation ends, or whose client gives up, while it
// waits is not applied: EffectDropped.
package sink
