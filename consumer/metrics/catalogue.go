package metrics

type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// descriptor describes a metric. All of them have the label consumergroup, or
// sharegroup, besides.
type descriptor struct {
	name    string
	kind    kind
	labels  []string
	help    string
	buckets []float64 // classic ones, of a histogram
}

var (
	byTopic     = []string{"topic"}
	byPartition = []string{"topic", "partition"}
)

// Gauges of each partition that the consumer owns.
var (
	lag               = descriptor{name: "kafka_consumergroup_lag", kind: gauge, labels: byPartition, help: "End of the log as the consumer may read it (last stable offset) minus the committed offset, in offsets."}
	committedOffset   = descriptor{name: "ksim_consumer_committed_offset", kind: gauge, labels: byPartition, help: "Committed offset: the next one to handle."}
	processedOffset   = descriptor{name: "ksim_consumer_processed_offset", kind: gauge, labels: byPartition, help: "Offset below which every record came to an end: done, dead-lettered, or skipped."}
	endOffset         = descriptor{name: "ksim_consumer_end_offset", kind: gauge, labels: byPartition, help: "End of the log as the consumer may read it (last stable offset)."}
	endAge            = descriptor{name: "ksim_consumer_end_offset_age_seconds", kind: gauge, labels: byPartition, help: "Time since the broker last told where the log ends; it grows while the broker does not answer, and the lag is then out of date."}
	lagSeconds        = descriptor{name: "ksim_consumer_lag_seconds", kind: gauge, labels: byPartition, help: "Age of the oldest record that was fetched and is not done, by its timestamp; 0 if all up to the end of the log is done; absent if records wait that were not fetched yet."}
	inFlight          = descriptor{name: "ksim_consumer_in_flight_records", kind: gauge, labels: byPartition, help: "Records that were fetched and are not done."}
	oldestInFlight    = descriptor{name: "ksim_consumer_oldest_in_flight_seconds", kind: gauge, labels: byPartition, help: "Time since the oldest record in flight was fetched; 0 if none is in flight."}
	partitionIsPaused = descriptor{name: "ksim_consumer_partition_paused", kind: gauge, labels: byPartition, help: "1 while fetching the partition has paused, since too much of it is in flight."}
)

// Gauges of the consumer.
var (
	assigned       = descriptor{name: "ksim_consumer_assigned_partitions", kind: gauge, help: "Partitions that the consumer owns."}
	runningCalls   = descriptor{name: "ksim_consumer_running_handlers", kind: gauge, help: "Handler calls that run."}
	stalledCalls   = descriptor{name: "ksim_consumer_stalled_handlers", kind: gauge, help: "Handler calls that have run for longer than StallTimeout."}
	oldestCall     = descriptor{name: "ksim_consumer_oldest_handler_seconds", kind: gauge, help: "How long the oldest handler call has run; 0 if none runs."}
	isLive         = descriptor{name: "ksim_consumer_live", kind: gauge, help: "1 if the consumer is live: what /livez says."}
	isReady        = descriptor{name: "ksim_consumer_ready", kind: gauge, help: "1 if the consumer is ready: what /readyz says."}
	gaugesOfStatus = []descriptor{lag, committedOffset, processedOffset, endOffset, endAge, lagSeconds, inFlight, oldestInFlight, partitionIsPaused, assigned, runningCalls, stalledCalls, oldestCall, isLive, isReady}
)

// Counters and histograms.
var (
	batchRecords = descriptor{
		name: "ksim_consumer_batch_records", kind: histogram, labels: byTopic, help: "Records in a batch given to the handler.",
		buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000},
	}
	handlerSeconds = descriptor{
		name: "ksim_consumer_handler_seconds", kind: histogram, labels: byTopic, help: "Duration of handler calls.",
		buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
	}
	commitSeconds = descriptor{
		name: "ksim_consumer_commit_seconds", kind: histogram, help: "Time until a commit request was answered, waits for a rebalance included.",
		buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}
	rebalanceSeconds = descriptor{
		name: "ksim_consumer_rebalance_seconds", kind: histogram, help: "Time from the request to join, or from the first partition given up, to the next generation.",
		buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
	}

	handlerFailures = descriptor{name: "ksim_consumer_handler_failures_total", kind: counter, labels: byTopic, help: "Handler calls that returned an error for some or all of their records."}
	retries         = descriptor{name: "ksim_consumer_retries_total", kind: counter, labels: byTopic, help: "Records, or batches, that will be tried again."}
	poison          = descriptor{name: "ksim_consumer_poison_total", kind: counter, labels: []string{"topic", "policy"}, help: "Records that could not be handled, by what became of them: dead-letter, skip."}
	pauses          = descriptor{name: "ksim_consumer_pauses_total", kind: counter, labels: byTopic, help: "Times that fetching a partition paused, since too much of it was in flight."}
	commits         = descriptor{name: "ksim_consumer_commits_total", kind: counter, labels: []string{"topic", "result"}, help: "Commits of a partition, by result: ok, refused (the group goes on without this member), failed (it is tried again)."}
	rebalances      = descriptor{name: "ksim_consumer_rebalances_total", kind: counter, help: "Generations of the group that began with this consumer in it."}
	assignedTotal   = descriptor{name: "ksim_consumer_partitions_assigned_total", kind: counter, labels: byTopic, help: "Partitions assigned."}
	revokedTotal    = descriptor{name: "ksim_consumer_partitions_revoked_total", kind: counter, labels: byTopic, help: "Partitions given up in order, at the end of the consumer too."}
	lostTotal       = descriptor{name: "ksim_consumer_partitions_lost_total", kind: counter, labels: byTopic, help: "Partitions lost: the group went on without this member, and what was not committed is handled again."}
	stalls          = descriptor{name: "ksim_consumer_stalls_total", kind: counter, labels: byTopic, help: "Handler calls that ran for longer than StallTimeout."}
)

// catalogue is every metric, in the order of the documentation.
var catalogue = append(append([]descriptor(nil), gaugesOfStatus...),
	batchRecords, handlerSeconds, handlerFailures, retries, poison, pauses,
	commits, commitSeconds, rebalances, rebalanceSeconds, assignedTotal, revokedTotal, lostTotal, stalls)
