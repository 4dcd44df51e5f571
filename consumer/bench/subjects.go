package main

import "context"

// subject is one consumer to measure.
type subject struct {
	name  string // for -only
	title string // in the report
	// consume reads a topic from its start as the only member of a new group, hands
	// everything to m in batches, and stops when all is committed. It is nil for the perf
	// tool, which is a process by itself.
	consume func(ctx context.Context, s setup, m *meter) error
}

const (
	ours     = "ksim"
	raw      = "franz-go"
	perfTool = "perf-tool"
	ceiling  = "ceiling"
	ideal    = "ideal"
)

var subjects = []subject{
	{ours, "ksim `consumer.New`", consumeOurs},
	{raw, "franz-go, a loop written by hand", consumeFranz},
	{"sarama", "IBM/sarama", consumeSarama},
	{"kafka-go", "segmentio/kafka-go", consumeSegmentio},
	{"confluent", "confluent-kafka-go", consumeConfluent},
	{perfTool, "Kafka's `ConsumerPerformance`", nil},
	{ceiling, "what this machine can deliver: four franz-go clients in one process, no group, no commits", consumeCeiling},
}

var keySubjects = []subject{
	{"ksim-keys", "ksim `consumer.New`, OrderKey", keyedOurs},
	{ideal, "the same wait and nothing else", keyedIdeal},
}
