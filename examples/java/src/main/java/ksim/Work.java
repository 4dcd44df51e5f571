package ksim;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One batch of one partition, handled in order by one thread, until it is done or told to stop. */
class Work implements Runnable {
    private static final Logger log = LoggerFactory.getLogger(Work.class);
    private static final long BACKOFF_FIRST = 200, BACKOFF_MAX = 10_000; // milliseconds; doubled for each attempt, ±20 %

    final TopicPartition partition;
    final List<ConsumerRecord<byte[], byte[]>> records;
    private final Effects effects;
    private final DeadLetters deadLetters;
    private final int maxAttempts;
    private final CountDownLatch stop = new CountDownLatch(1), ended = new CountDownLatch(1);
    private Thread thread; // while it runs; guarded by this

    /** The offset to commit: all below it have reached an end, their effect or their dead letter. */
    volatile long next;
    /** What is committed. Used by the consumer's thread only. */
    long committed;
    /** The downstream system says that another member owns the partition. */
    volatile boolean notOwner;
    volatile RuntimeException failure;

    Work(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records, Effects effects, DeadLetters letters, int maxAttempts) {
        this.partition = partition;
        this.records = records;
        this.effects = effects;
        this.deadLetters = letters;
        this.maxAttempts = maxAttempts;
        next = committed = records.get(0).offset();
    }

    @Override
    public void run() {
        runs(Thread.currentThread());
        try {
            for (ConsumerRecord<byte[], byte[]> record : records) {
                if (stop.getCount() == 0 || !handle(record)) {
                    return;
                }
                next = record.offset() + 1;
            }
        } catch (InterruptedException e) {
            log.warn("{}: given up in the middle of a record, from offset {}", partition, next);
        } catch (RuntimeException e) {
            failure = e;
        } finally {
            runs(null);
            ended.countDown();
        }
    }

    private synchronized void runs(Thread by) {
        thread = by;
    }

    /** Ends what the thread waits for. A thread that is done with this work may have another: it is left alone. */
    private synchronized void interrupt() {
        if (thread != null) {
            thread.interrupt();
        }
    }

    /** True once the record has reached an end. A retry stays in place, so the order of the partition is kept. */
    boolean handle(ConsumerRecord<byte[], byte[]> record) throws InterruptedException {
        for (int attempt = 1; ; attempt++) {
            Effects.Answer answer = effects.apply(record);
            switch (answer.fate()) {
                case APPLIED:
                    return true;
                case NOT_OWNER:
                    notOwner = true;
                    return false;
                default:
                    log.warn("{}@{}: attempt {} of {}: {}", partition, record.offset(), attempt, maxAttempts, answer.reason());
            }
            if (answer.fate() == Effects.Fate.POISON || attempt >= maxAttempts) {
                deadLetters.send(record, attempt, answer.reason());
                return true;
            }
            if (stop.await(backoff(attempt, answer.retryAfter()), TimeUnit.MILLISECONDS)) {
                return false; // not finished, so not committed: the next owner begins anew
            }
        }
    }

    private static long backoff(int attempt, Duration retryAfter) {
        double doubled = Math.min(BACKOFF_MAX, BACKOFF_FIRST * Math.pow(2, attempt - 1));
        double jittered = doubled * ThreadLocalRandom.current().nextDouble(0.8, 1.2);
        return Math.max((long) jittered, Math.min(retryAfter.toMillis(), BACKOFF_MAX));
    }

    /** No further record is begun. The one in hand goes on. */
    void stop() {
        stop.countDown();
    }

    boolean ended() {
        return ended.getCount() == 0;
    }

    /** All records have reached an end. */
    boolean complete() {
        return next > records.get(records.size() - 1).offset();
    }

    /** Waits for the record in hand, after stop; if it takes too long it is given up, and is not done. */
    void await(Duration bound) throws InterruptedException {
        if (!ended.await(bound.toMillis(), TimeUnit.MILLISECONDS)) {
            interrupt();
            ended.await();
        }
    }
}
