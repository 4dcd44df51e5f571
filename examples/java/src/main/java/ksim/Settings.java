package ksim;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;

/** What ksim tells each member in its environment, as settings of the clients. */
final class Settings {
    final String topic = System.getenv("KSIM_TOPIC");
    final String group = System.getenv("KSIM_GROUP_ID");
    final String deadLetters = System.getenv("KSIM_DLQ_TOPIC"); // may be absent
    final String sink = System.getenv("KSIM_SINK_URL");
    final int maxAttempts = number("KSIM_MAX_ATTEMPTS", 5);
    final int batchSize = number("KSIM_BATCH_SIZE", 100);
    private final int sessionTimeout = number("KSIM_SESSION_TIMEOUT_MS", 10_000);
    /** After this many milliseconds without a poll the group goes on without us. */
    final int maxPollInterval = Math.max(number("KSIM_MAX_POLL_INTERVAL_MS", 300_000), sessionTimeout);

    Map<String, Object> consumer() {
        Map<String, Object> to = common();
        to.put("group.id", group);
        to.put("enable.auto.commit", false); // a commit says "done", so only this program can tell
        to.put("auto.offset.reset", "earliest");
        to.put("allow.auto.create.topics", false);
        to.put("max.poll.records", batchSize);
        to.put("max.poll.interval.ms", maxPollInterval);
        to.put("fetch.max.wait.ms", 100);
        // New partitions are noticed this late; what is produced there waits meanwhile.
        to.put("metadata.max.age.ms", number("KSIM_METADATA_MAX_AGE_MS", 300_000));
        String instance = System.getenv("KSIM_INSTANCE_ID");
        if (instance != null && !instance.isEmpty()) {
            to.put("group.instance.id", instance);
        }
        if ("consumer".equals(System.getenv("KSIM_GROUP_PROTOCOL"))) {
            to.put("group.protocol", "consumer"); // KIP-848: session, heartbeat and assignor are the broker's
            return to;
        }
        to.put("group.protocol", "classic");
        to.put("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
        to.put("session.timeout.ms", sessionTimeout);
        // A member hears of a rebalance in the answer to a heartbeat.
        to.put("heartbeat.interval.ms", Math.max(1, Math.min(500, sessionTimeout / 6)));
        return to;
    }

    Map<String, Object> producer() {
        Map<String, Object> to = common();
        to.put("enable.idempotence", true); // implies acks=all
        to.put("delivery.timeout.ms", 20_000);
        to.put("request.timeout.ms", 5_000);
        to.put("linger.ms", 0);
        to.put("max.request.size", 20_000_000); // the largest record must fit with its headers
        return to;
    }

    private static Map<String, Object> common() {
        Map<String, Object> to = new HashMap<>();
        to.put("bootstrap.servers", System.getenv("KSIM_BOOTSTRAP_SERVERS"));
        to.put("client.id", System.getenv().getOrDefault("KSIM_MEMBER", "careful"));
        to.put("reconnect.backoff.max.ms", 1_000);
        to.put("enable.metrics.push", false);
        return to;
    }

    private static int number(String name, int otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : Integer.parseInt(value);
    }
}
