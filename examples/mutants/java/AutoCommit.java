package ksim;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/**
 * Auto-commit, the client's default, and the work in other threads.
 *
 * <p>The mistake: a poll tells the client that what it handed out before is done, and every five seconds, at a rebalance and in
 * close() it commits that. With workers it is not: a crash loses what they had in hand.
 *
 * <p>Met in: executor.submit(() -> process(record)) inside of the poll loop.
 *
 * <p>Source: KafkaConsumer's Javadoc, "Automatic Offset Committing": "you must consume all the data returned from each
 * call to poll before any subsequent calls".
 */
public final class AutoCommit extends Careful {
    public static void main(String[] args) {
        new AutoCommit().run();
    }

    @Override
    Map<String, Object> consumerSettings() {
        Map<String, Object> to = new HashMap<>(super.consumerSettings());
        to.put("enable.auto.commit", true);
        return to;
    }

    @Override
    void commit(Collection<org.apache.kafka.common.TopicPartition> partitions) {
        works.values().forEach(work -> work.committed = work.next); // the client does that
    }
}
