package ksim;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A sound at-least-once consumer: a commit says that the work is done, and nothing else does.
 *
 * <p>This thread polls, commits and answers to rebalances; it never works. The records that a poll
 * brings for a partition are one {@link Work}, on a thread of its own, and the partition is paused until they are
 * done and committed. So each partition stays in order, and however slow the work is, the member
 * stays in the group. The listener is called inside of poll and close, on this thread: nothing to lock.
 */
public class Careful implements ConsumerRebalanceListener {
    private static final Logger log = LoggerFactory.getLogger(Careful.class);
    private static final Duration POLL = Duration.ofMillis(20); // short: what is done is committed between polls
    private static final Duration COMMIT = Duration.ofSeconds(5), CLOSE = Duration.ofSeconds(5);

    final Settings settings = new Settings();
    final Effects effects = new Effects(settings.sink);
    final DeadLetters deadLetters = new DeadLetters(settings);
    final KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(consumerSettings(), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    final Map<TopicPartition, Work> works = new HashMap<>();
    private final ExecutorService pool = Executors.newCachedThreadPool(run -> {
        Thread thread = new Thread(run, "work");
        thread.setDaemon(true);
        return thread;
    });
    /** How long a rebalance waits for the records in hand. */
    private final Duration drain = Duration.ofMillis(Math.min(Effects.TIMEOUT.toMillis(), settings.maxPollInterval * 8L / 10));
    private volatile boolean stopping;

    public static void main(String[] args) {
        new Careful().run();
    }

    Map<String, Object> consumerSettings() {
        return settings.consumer();
    }

    void run() {
        stopOnSignal(Thread.currentThread());
        try {
            consumer.subscribe(List.of(settings.topic), this);
            while (!stopping) {
                ConsumerRecords<byte[], byte[]> polled = consumer.poll(POLL);
                polled.partitions().forEach(partition -> begin(partition, polled.records(partition)));
                commit(works.keySet());
                finish();
            }
        } finally {
            close();
        }
    }

    /** SIGTERM: the process ends when the hook returns. */
    void stopOnSignal(Thread consuming) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            join(consuming);
        }));
    }

    /** Also after an error: finish the records in hand, commit what is done, leave. */
    void close() {
        onPartitionsRevoked(List.copyOf(works.keySet()));
        consumer.close(CloseOptions.timeout(CLOSE));
        deadLetters.close();
    }

    // Work

    private void begin(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        Work work = work(partition, records);
        works.put(partition, work);
        consumer.pause(List.of(partition));
        pool.execute(work);
    }

    Work work(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        return new Work(partition, records, effects, deadLetters, settings.maxAttempts);
    }

    /** Lets a partition go on whose batch is done and committed. */
    private void finish() {
        for (Work work : List.copyOf(works.values())) {
            if (!work.ended()) {
                continue;
            }
            if (work.failure != null) {
                throw work.failure;
            }
            if (!work.complete()) { // not the owner: drop the batch, and if it is ours after all, begin again at the last commit
                consumer.seek(work.partition, work.committed);
            } else if (work.committed < work.next) {
                continue; // the commit was refused; the next one may be taken, or a rebalance takes the partition
            }
            works.remove(work.partition);
            consumer.resume(List.of(work.partition));
        }
    }

    // Commits and rebalances

    /** Commits what is done of these partitions, and waits for the answer. */
    void commit(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : partitions) {
            Work work = works.get(partition);
            if (work != null && work.next > work.committed && !work.notOwner) {
                offsets.put(partition, new OffsetAndMetadata(work.next));
            }
        }
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets, COMMIT);
        } catch (FencedInstanceIdException e) {
            throw e; // another process has our instance id: we must not go on
        } catch (KafkaException e) {
            // Refused, most often because of a rebalance, or no answer. What is still ours is
            // committed after the next poll; what is not is another's to repeat.
            log.warn("commit of {}: {}", offsets.keySet(), e.toString());
            return;
        }
        offsets.forEach((partition, offset) -> works.get(partition).committed = offset.offset());
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        log.info("assigned {}", partitions);
    }

    /** Finish the records in hand, commit what is done, forget the rest. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        stop(partitions);
        commit(partitions);
        works.keySet().removeAll(partitions);
        log.info("revoked {}", partitions);
    }

    /** Another member may have them by now: no commit. */
    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        stop(partitions);
        works.keySet().removeAll(partitions);
        log.warn("lost {}", partitions);
    }

    private void stop(Collection<TopicPartition> partitions) {
        List<Work> stopped = partitions.stream().map(works::get).filter(work -> work != null).toList();
        stopped.forEach(Work::stop);
        long end = System.nanoTime() + drain.toNanos();
        for (Work work : stopped) {
            try {
                work.await(Duration.ofNanos(Math.max(0, end - System.nanoTime())));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while it waited for " + work.partition, e);
            }
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
