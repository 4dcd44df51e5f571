package ksim;

import java.util.Collection;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * commitSync() without offsets, after a batch of which a part has failed.
 *
 * <p>The mistake: a failure breaks off the loop over the records, and then the batch is committed as always. Without offsets that is the
 * position: the end of all that poll() handed out, the failed record and those after it included.
 *
 * <p>Met in: for (record : records) { try { process(record); } catch (Exception e) { log.error(…); break; } } consumer.commitSync();
 *
 * <p>Source: KafkaConsumer's Javadoc, commitSync(): "commit offsets returned on the last poll() for all the subscribed list of topics and
 * partitions".
 */
public final class CommitWholePoll extends Careful {
    public static void main(String[] args) {
        new CommitWholePoll().run();
    }

    @Override
    Work work(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        return new Work(partition, records, effects, deadLetters, settings.maxAttempts) {
            @Override
            boolean handle(ConsumerRecord<byte[], byte[]> record) throws InterruptedException {
                Effects.Answer answer = effects.apply(record);
                if (answer.fate() == Effects.Fate.POISON) {
                    deadLetters.send(record, 1, answer.reason());
                    return true;
                }
                return answer.fate() == Effects.Fate.APPLIED;
            }

            @Override
            boolean complete() {
                return true;
            }
        };
    }

    @Override
    void commit(Collection<TopicPartition> partitions) {
        if (works.isEmpty() || !works.values().stream().allMatch(Work::ended)) {
            return;
        }
        try {
            consumer.commitSync();
            works.values().forEach(work -> work.committed = work.next);
        } catch (KafkaException e) {
            // a rebalance
        }
    }
}
