package ksim;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** The downstream system: one HTTP POST for each record, over connections that are kept. */
final class Effects {
    enum Fate { APPLIED, POISON, NOT_OWNER, UNAVAILABLE }

    /** What became of an effect, why, and how long it is asked to wait before the next attempt, if it is. */
    record Answer(Fate fate, String reason, Duration retryAfter) {}

    static final Duration TIMEOUT = Duration.ofSeconds(20); // below what a pod is given to stop

    private final URI url;
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).build();

    Effects(String url) {
        this.url = URI.create(url);
    }

    Answer apply(ConsumerRecord<byte[], byte[]> record) throws InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(url)
                .timeout(TIMEOUT)
                .header("Ksim-Record", record.topic() + "/" + record.partition() + "/" + record.offset())
                // A tombstone has no value; it is an effect like any other.
                .POST(record.value() == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(record.value()))
                .build();
        HttpResponse<String> response;
        try {
            response = client.send(request, BodyHandlers.ofString());
        } catch (IOException e) {
            // Nobody knows whether it was applied: at-least-once means again.
            return new Answer(Fate.UNAVAILABLE, "no answer: " + e, Duration.ZERO);
        }
        int status = response.statusCode();
        String reason = "HTTP " + status + ": " + response.body();
        Duration wait = response.headers().firstValue("Retry-After").map(Effects::seconds).orElse(Duration.ZERO);
        return new Answer(fate(status), reason, wait);
    }

    private static Fate fate(int status) {
        if (status >= 200 && status < 300) {
            return Fate.APPLIED;
        }
        if (status == 409) {
            return Fate.NOT_OWNER;
        }
        // 408 and 429 are about the moment, other 4xx about the record.
        return status >= 400 && status < 500 && status != 408 && status != 429 ? Fate.POISON : Fate.UNAVAILABLE;
    }

    private static Duration seconds(String retryAfter) {
        try {
            return Duration.ofMillis((long) (1000 * Double.parseDouble(retryAfter)));
        } catch (NumberFormatException e) { // a date
            return Duration.ZERO;
        }
    }
}
