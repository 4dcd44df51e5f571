package load

// Stage is a part of the way of a message, from the moment it was due to its commit.
type Stage int

// The stages, in the order a message goes through them. Each begins where the one before it ended; where that is unknown
// (a member that does not post its effects, a client whose fetches were not seen) the stage is unknown too.
const (
	Schedule Stage = iota // due, to handed to the client: how late the generator was
	Produce               // to acknowledged by the broker
	Queue                 // to fetched: the response that holds it has reached the member
	Wait                  // to its effect begun: the batch fills, what is before it is done, the handler prepares
	Handling              // to its effect done
	Commit                // to the commit that covers it, accepted
	Total                 // due, to its effect done: all but the commit

	NumStages = iota // how many there are
)

var stageNames = [NumStages]string{"schedule", "produce", "queue", "wait", "handling", "commit", "total"}

// String is the name of the stage in files and reports.
func (s Stage) String() string { return stageNames[s] }

// Stages lists all stages.
func Stages() []Stage { return []Stage{Schedule, Produce, Queue, Wait, Handling, Commit, Total} }
