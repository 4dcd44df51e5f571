// Package observe is what the harness sees on the broker's side, without the
// subject's help: the dead-letter topic ([DeadLetters]), committed and end
// offsets ([Lag]), the topic itself ([Scan]), and the moment at which nothing is
// left to do ([AwaitDrained]).
//
// It asks the broker directly, past the tap, so that no fault reaches it and
// none of its requests is taken for one of the subject. Everything that it learns is
// appended to the history; nothing here judges.
package observe
