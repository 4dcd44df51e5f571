package ksim;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Records that can never be processed, put aside unchanged. */
class DeadLetters implements AutoCloseable {
    private final Settings settings;
    private final KafkaProducer<byte[], byte[]> producer;

    DeadLetters(Settings settings) {
        this.settings = settings;
        producer = new KafkaProducer<>(settings.producer(), new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Returns once the brokers have the dead letter, and only then: bounded by delivery.timeout.ms. */
    void send(ConsumerRecord<byte[], byte[]> record, int attempts, String reason) throws InterruptedException {
        if (settings.deadLetters == null) {
            throw new IllegalStateException(reason + "; set KSIM_DLQ_TOPIC to go on without such records");
        }
        Headers headers = new RecordHeaders(record.headers().toArray()); // KIP-1191's names for what is added
        add(headers, "topic", record.topic());
        add(headers, "partition", record.partition());
        add(headers, "offset", record.offset());
        add(headers, "group", settings.group);
        add(headers, "delivery.count", attempts);
        add(headers, "message", reason.substring(0, Math.min(reason.length(), 1024)));
        try {
            producer.send(new ProducerRecord<>(settings.deadLetters, null, record.key(), record.value(), headers)).get();
        } catch (ExecutionException e) {
            throw new IllegalStateException("the dead letter was not accepted", e.getCause());
        }
    }

    private static void add(Headers headers, String name, Object value) {
        headers.add("__dlq.errors." + name, value.toString().getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void close() {
        producer.close();
    }
}
