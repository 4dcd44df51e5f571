package ksim;

/**
 * SIGTERM ends the JVM, and nobody has closed the consumer.
 *
 * <p>The mistake: no shutdown hook. The member does not leave, so its partitions wait for the end of its session, and what was done
 * and not committed is done again.
 *
 * <p>Met in: while (true) { consumer.poll(…) } with close() in a finally that never runs.
 *
 * <p>Source: KafkaConsumer's Javadoc, close() and wakeup(); "Kafka: The Definitive Guide", "But How Do We Exit?".
 */
public final class NoClose extends Careful {
    public static void main(String[] args) {
        new NoClose().run();
    }

    @Override
    void stopOnSignal(Thread consuming) {}
}
