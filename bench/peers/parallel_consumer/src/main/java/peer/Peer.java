package peer;

import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.PollContext;
import io.confluent.parallelconsumer.vertx.VertxParallelEoSStreamProcessor;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.ext.web.client.HttpResponse;
import io.vertx.ext.web.client.WebClient;
import io.vertx.ext.web.client.WebClientOptions;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Parallel Consumer in KEY order over Vert.x's web client: native events of a topic in, POSTs to the classic API out.
 *
 * <p>It opens sessions and opens again what is gone; a failure is the library's to try again. No durable sessions, no validation, no metrics.
 */
public final class Peer {
    private static final String SESSIONS = "/api/v1/sessions";

    private final WebClient api;
    private final String host;
    private final int port;
    private final Map<String, String> paths = new ConcurrentHashMap<>();
    private final Map<String, Buffer> starts = new ConcurrentHashMap<>();

    private Peer(WebClient api, URI url) {
        this.api = api;
        this.host = url.getHost();
        this.port = url.getPort();
    }

    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        int concurrency = Integer.parseInt(environment.get("CONCURRENCY"));
        URI url = URI.create(environment.get("URL"));
        WebClientOptions web = new WebClientOptions().setMaxPoolSize(concurrency).setKeepAlive(true).setSsl("https".equals(url.getScheme()));
        if (environment.containsKey("CA_FILE")) {
            web.setTrustOptions(new PemTrustOptions().addCertPath(environment.get("CA_FILE")));
        }
        Vertx vertx = Vertx.vertx(new VertxOptions());
        WebClient client = WebClient.create(vertx, web);

        Properties kafka = new Properties();
        kafka.put("bootstrap.servers", environment.get("BOOTSTRAP"));
        kafka.put("group.id", environment.get("GROUP"));
        kafka.put("auto.offset.reset", "earliest");
        kafka.put("enable.auto.commit", "false");
        ParallelConsumerOptions<String, byte[]> options = ParallelConsumerOptions.<String, byte[]>builder()
                .consumer(new KafkaConsumer<>(kafka, new StringDeserializer(), new ByteArrayDeserializer()))
                .ordering(ProcessingOrder.KEY)
                .maxConcurrency(concurrency)
                .commitMode(CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
                .defaultMessageRetryDelay(Duration.ofMillis(500))
                .build();
        VertxParallelEoSStreamProcessor<String, byte[]> processor = new VertxParallelEoSStreamProcessor<>(vertx, client, options);
        processor.subscribe(List.of(environment.get("TOPIC")));
        processor.vertxFuture(new Peer(client, url)::deliver);
    }

    private Future<?> deliver(PollContext<String, byte[]> context) {
        JsonObject event = new JsonObject(Buffer.buffer(context.value()));
        Buffer body = event.toBuffer();
        if ("sessionStart".equals(event.getString("eventType"))) {
            starts.put(context.key(), body);
            return open(context.key());
        }
        return send(context.key(), body);
    }

    private Future<?> open(String key) {
        return post(SESSIONS, starts.get(key)).compose(answer -> {
            if (answer.statusCode() != 201) {
                return Future.failedFuture("status " + answer.statusCode());
            }
            String location = answer.getHeader("Location");
            paths.put(key, SESSIONS + location.substring(location.lastIndexOf('/')) + "/events");
            return Future.succeededFuture();
        });
    }

    private Future<?> send(String key, Buffer body) {
        return post(paths.get(key), body).compose(answer -> switch (answer.statusCode()) {
            case 204 -> Future.succeededFuture();
            case 404, 410 -> open(key).compose(opened -> send(key, body));
            default -> Future.failedFuture("status " + answer.statusCode());
        });
    }

    private Future<HttpResponse<Buffer>> post(String path, Buffer body) {
        return api.post(port, host, path).putHeader("Content-Type", "application/json").sendBuffer(body);
    }
}
