package ksim;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * A revoke commits what is done and lets the workers go on.
 *
 * <p>The mistake: onPartitionsRevoked does not stop the worker of the partition, and does not wait for it. The next owner begins at the
 * commit, and both work on the records above it.
 *
 * <p>Met in: consumers with an executor whose listener only commits.
 *
 * <p>Source: ConsumerRebalanceListener's Javadoc; Confluent's "Introducing the Confluent Parallel Consumer" and "Multi-Threaded Messaging with the
 * Apache Kafka Consumer": wait for the tasks of revoked partitions.
 */
public final class NoDrain extends Careful {
    private static final long WORK = 50; // ms for each record: slow work is what makes people add an executor

    public static void main(String[] args) {
        new NoDrain().run();
    }

    @Override
    Map<String, Object> consumerSettings() {
        Map<String, Object> to = new HashMap<>(super.consumerSettings());
        to.remove("max.poll.records"); // the client's default, 500: the executor gets what there is
        return to;
    }

    @Override
    Work work(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        return new Work(partition, records, effects, deadLetters, settings.maxAttempts) {
            @Override
            boolean handle(ConsumerRecord<byte[], byte[]> record) throws InterruptedException {
                Thread.sleep(WORK);
                return super.handle(record);
            }
        };
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit(partitions);
        works.keySet().removeAll(partitions);
    }
}
