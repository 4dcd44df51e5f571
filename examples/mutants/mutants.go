// Package mutants lists the deliberately broken consumers of this folder: each is right but for one classic
// mistake, and proves that the check meant for it can fail. The Go ones are in harness/mutant.
package mutants

// Mutant is a consumer with one mistake.
type Mutant struct {
	Name     string
	Doc      string   // the first line of its source's comment
	Source   string   // from the root of the repository
	Command  []string // run there
	Scenario string   // in which the mistake shows
	Check    string   // the check meant for it
	Order    string   // promised order, if it is not the default
	Real     bool     // it shows on real Kafka only: --kafka containers
}

// All returns the mutants.
func All() []Mutant {
	return []Mutant{
		python("auto_offset_store", "commit() without offsets, after each record.", "crash-mid-batch", "commit-safety"),
		python("auto_commit_worker", "Auto-commit, and the work in another thread.", "crash-mid-batch", "commit-safety"),
		python("store_before", "The offset is stored before the record is processed.", "crash-mid-batch", "commit-safety"),
		python("commit_on_poll", "Each record is committed when it is polled.", "crash-mid-batch", "commit-safety"),
		commitHighest(),
		python("commit_in_finally", "The batch is committed in finally.", "member-leaves", "no-loss"),
		python("offset_not_plus_one", "The offset of the last record is committed, instead of the one after it.", "steady", "commit-progress"),
		python("reset_to_latest", "auto.offset.reset=latest, the client's default, for a group that must see everything.", "crash-mid-batch", "no-loss"),
		python("log_and_continue", "A record that fails is logged, and the next one begins.", "transient-failures", "no-loss"),
		python("seek_forgotten", "After a failure the rest of the batch is dropped, and the consumer does not seek back.", "transient-failures", "no-loss"),
		python("retry_at_tail", "A record that fails is tried again after the others of its batch.", "transient-failures", "partition-order"),
		python("outage_as_poison", "What fails goes to the dead-letter topic, whatever the reason.", "transient-failures", "dead-letter"),
		python("tombstone_as_poison", "A record without a value cannot be decoded, so it is poison.", "poison-mix", "dead-letter"),
		python("dead_letter_reencoded", "The dead letter is what the program made of the record, and not the record.", "poison-mix", "dead-letter"),
		deadLetterNotFlushed(),
		python("paused_for_ever", "A partition is paused while its record waits for the next attempt, and one way out forgets to resume it.", "poison-mix", "commit-progress"),
		python("stale_queue", "What was polled of a partition is processed after the partition was revoked.", "member-joins", "fencing"),
		python("no_commit_on_revoke", "Commits go by a timer, and nothing is committed when partitions are revoked.", "member-leaves", "graceful-stop"),
		python("no_close", "SIGTERM ends the process, and nobody has closed the consumer.", "member-leaves", "graceful-stop"),
		python("no_leave_when_idle", "A member that owns no partition is closed, and does not leave the group.", "idle-members", "graceful-stop"),

		java("AutoCommit", "Auto-commit, the client's default, and the work in other threads.", "crash-mid-batch", "commit-safety"),
		java("CommitWholePoll", "commitSync() without offsets, after a batch of which a part has failed.", "transient-failures", "no-loss"),
		java("NoDrain", "A revoke commits what is done and lets the workers go on.", "rolling-restart", "fencing"),
		java("NoClose", "SIGTERM ends the JVM, and nobody has closed the consumer.", "member-leaves", "graceful-stop"),
	}
}

func python(name, doc, scenario, check string) Mutant {
	source := "examples/mutants/python/" + name + ".py"
	return Mutant{Name: "python-" + name, Doc: doc, Source: source, Command: []string{"python3", source}, Scenario: scenario, Check: check}
}

// java mutants are compiled by `make examples`.
func java(class, doc, scenario, check string) Mutant {
	return Mutant{
		Name: "java-" + class, Doc: doc, Source: "examples/mutants/java/" + class + ".java",
		Command: []string{
			"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-cp", "examples/mutants/java/target:examples/java/target/careful.jar", "ksim." + class,
		},
		Scenario: scenario, Check: check,
	}
}

func commitHighest() Mutant {
	m := python("commit_highest", "A pool of workers, and the highest offset that any of them has finished is committed.", "transient-failures", "commit-safety")
	m.Order = "key"
	return m
}

func deadLetterNotFlushed() Mutant {
	m := python("dead_letter_not_flushed", "The dead letter is produced, and nobody waits until the brokers have it.", "poison-mix", "dead-letter")
	m.Real = true
	return m
}
