package containers

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// groupMinSession is group.min.session.timeout.ms of our brokers.
const groupMinSession = 500 * time.Millisecond

// env are the settings of a broker: everything that Kafka does slowly by
// default, so as not to lose time, is quick here, and everything small.
func (c *Cluster) env(n *node) map[string]string {
	id := strconv.Itoa(int(n.id))
	replicas := strconv.Itoa(c.cfg.Brokers)
	inSync := strconv.Itoa(max(1, c.cfg.Brokers-1))
	millis := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	env := map[string]string{
		"KAFKA_NODE_ID": id, "KAFKA_BROKER_ID": id,
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":      "false",
		"KAFKA_DEFAULT_REPLICATION_FACTOR":     replicas,
		"KAFKA_MIN_INSYNC_REPLICAS":            inSync,
		"KAFKA_LOG_CLEANER_DEDUPE_BUFFER_SIZE": "4194304",
		// Compaction and retention happen soon after a topic asks for them; by default in minutes.
		"KAFKA_LOG_CLEANER_BACKOFF_MS":          "200",
		"KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "200",
		"KAFKA_LOG_INITIAL_TASK_DELAY_MS":       "200",
		"KAFKA_QUOTA_WINDOW_NUM":                "2", // or a quota bites only after ten windows

		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS":             millis(groupMinSession),
		"KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS":        millis(c.cfg.ConsumerSession),
		"KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS":    millis(min(c.cfg.ConsumerSession, groupMinSession)),
		"KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS":     millis(c.cfg.ConsumerHeartbeat),
		"KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS": millis(min(c.cfg.ConsumerHeartbeat, 100*time.Millisecond)),

		// One partition: all commits in one total order.
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":     "1",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": replicas,

		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":                        "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR":                    replicas,
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":                               inSync,
		"KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "500",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS":                "1",
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR":            replicas, // too many, and nothing arrives, silently
		"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":                       inSync,
		"KAFKA_BROKER_SESSION_TIMEOUT_MS":                                   "2000",
		"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS":                                "200",
		"KAFKA_CONTROLLER_QUORUM_FETCH_TIMEOUT_MS":                          "1000",
		"KAFKA_CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS":                       "500",
		"KAFKA_REPLICA_LAG_TIME_MAX_MS":                                     "2000",
		"KAFKA_JVM_PERFORMANCE_OPTS":                                        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError",
		"KAFKA_HEAP_OPTS":                                                   "-Xms64m -Xmx512m",
	}
	if c.cfg.Brokers > 1 {
		voters := make([]string, 0, c.cfg.Brokers)
		for _, m := range c.nodes {
			voters = append(voters, fmt.Sprintf("%d@%s:9094", m.id, alias(m.id)))
		}
		env["KAFKA_CONTROLLER_QUORUM_VOTERS"] = strings.Join(voters, ",")
		// A broker that starts first looks for names that are not there yet; by
		// default the JVM remembers for 10 s that they are not.
		env["KAFKA_OPTS"] = "-Dsun.net.inetaddr.ttl=1 -Dsun.net.inetaddr.negative.ttl=0"
	}
	if c.cfg.DiskBytes > 0 {
		env["KAFKA_LOG_DIRS"] = diskLogs
	}
	maps.Copy(env, c.cfg.Env)
	return env
}
