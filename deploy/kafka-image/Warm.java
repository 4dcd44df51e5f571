import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Makes a broker do what ksim's runs ask of it (a topic, records, a transaction, groups of both protocols), so that
 * the classes for it are loaded and get into the image's class archive. Runs once, while the image is built.
 */
public final class Warm {
  public static void main(String[] args) throws Exception {
    String bootstrap = args[0];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic("warm", 2, (short) 1))).all().get(60, TimeUnit.SECONDS);
      produce(bootstrap, Map.of());
      produce(bootstrap, Map.of("transactional.id", "warm"));
      consume(bootstrap, "classic");
      consume(bootstrap, "consumer");
      admin.listConsumerGroupOffsets("warm-classic").partitionsToOffsetAndMetadata().get(60, TimeUnit.SECONDS);
      admin.describeCluster().nodes().get(60, TimeUnit.SECONDS);
      admin.deleteTopics(List.of("warm")).all().get(60, TimeUnit.SECONDS);
    }
  }

  private static void produce(String bootstrap, Map<String, Object> more) throws Exception {
    Map<String, Object> config = new java.util.HashMap<>(more);
    config.put("bootstrap.servers", bootstrap);
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
      boolean transaction = more.containsKey("transactional.id");
      if (transaction) {
        producer.initTransactions();
        producer.beginTransaction();
      }
      for (int i = 0; i < 100; i++) {
        producer.send(new ProducerRecord<>("warm", i % 2, "k" + i, "v" + i));
      }
      if (transaction) {
        producer.commitTransaction();
      }
      producer.flush();
    }
  }

  private static void consume(String bootstrap, String protocol) {
    Map<String, Object> config = Map.of(
        "bootstrap.servers", bootstrap,
        "group.id", "warm-" + protocol,
        "group.protocol", protocol,
        "auto.offset.reset", "earliest",
        "isolation.level", "read_committed",
        "enable.auto.commit", false);
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
      consumer.subscribe(List.of("warm"));
      long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
      for (int got = 0; got < 200; ) {
        if (System.nanoTime() > deadline) {
          throw new IllegalStateException("group protocol " + protocol + ": only " + got + " of 200 records in 60 s");
        }
        got += consumer.poll(Duration.ofMillis(200)).count();
      }
      consumer.commitSync();
    }
  }
}
