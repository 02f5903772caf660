package gregor.flink;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Serializable;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.ParameterTool;
import org.apache.flink.util.TimeUtils;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Reads {@code locations}, says where each patient is, and averages every patient's position over windows of
 * event time. The README has the options, and beside each numbered step the same step of a Gregor plugin.
 */
public class Locations {
    private static final OutputTag<Location> LATE = new OutputTag<>("late") {};

    private final ParameterTool options;
    private final boolean merged;
    private final StreamExecutionEnvironment env;

    private Locations(ParameterTool options) {
        this.options = options;
        Configuration configuration = new Configuration();
        configuration.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
        configuration.set(RestOptions.ADDRESS, "127.0.0.1");
        configuration.set(RestOptions.BIND_PORT, "0");
        configuration.set(PipelineOptions.GENERIC_TYPES, false);
        this.merged = options.get("watermarks", "merged").equals("merged");
        // A partition's records stay in their order: no two subtasks share them.
        int parallelism = merged ? options.getInt("parallelism", 2) : 1;
        this.env = StreamExecutionEnvironment.createLocalEnvironment(parallelism, configuration);
    }

    public static void main(String[] arguments) throws Exception {
        new Locations(ParameterTool.fromArgs(arguments)).run();
    }

    private void run() throws Exception {
        for (DataStream<byte[]> records : merged ? List.of(whole()) : partitionByPartition()) {
            // 2. Parse; what is no location is left out.
            DataStream<Location> locations = records.flatMap(Locations::parse).returns(Location.class);

            // 3. Say where the patient is.
            DataStream<String> sentences = locations.map(Location::sentence);

            // 4. By patient; 5. windows of event time; 6. the mean of each; 7. what comes too late.
            SingleOutputStreamOperator<Average> averages = locations
                    .keyBy(Location::patientId)
                    .window(TumblingEventTimeWindows.of(duration("window", "5m")))
                    .allowedLateness(duration("allowed-lateness", "0s"))
                    .sideOutputLateData(LATE)
                    .aggregate(new Mean(), new Average.Close());

            // 8. Where results go.
            if (options.has("sentences")) {
                sentences.sinkTo(sink("sentences", sentence -> null, sentence -> sentence.getBytes(UTF_8)));
            } else {
                sentences.print();
            }
            averages.sinkTo(sink("averages", Average::patientId, Average::json));
            averages.getSideOutput(LATE).sinkTo(sink("late", Location::patientId, Location::json));
        }
        env.execute("locations");
    }

    // 1. Where records come from, and how far event time has come.

    /** One source, as a Flink job has it: what comes late depends on all partitions. */
    private DataStream<byte[]> whole() {
        WatermarkStrategy<byte[]> bounded = WatermarkStrategy
                .<byte[]>forBoundedOutOfOrderness(duration("max-out-of-orderness", "30s"))
                .withIdleness(duration("idle-timeout", "10s"));
        return env.fromSource(source().setTopics(topic("source")).build(), bounded, "locations");
    }

    /** A source for each partition with event time of its own, as Gregor has it. */
    private List<DataStream<byte[]>> partitionByPartition() throws Exception {
        Duration bound = duration("max-out-of-orderness", "30s");
        WatermarkStrategy<byte[]> bounded = WatermarkStrategy.forGenerator(context -> new EachRecord<>(bound));
        List<DataStream<byte[]>> sources = new ArrayList<>();
        for (TopicPartition partition : partitions()) {
            KafkaSource<byte[]> one = source().setPartitions(Set.of(partition)).build();
            sources.add(env.fromSource(one, bounded, partition.toString()));
        }
        return sources;
    }

    private static void parse(byte[] value, Collector<Location> out) {
        Location.parse(value).ifPresent(out::collect);
    }

    /** From the beginning; with {@code --bounded true} up to what the topic holds now. */
    private KafkaSourceBuilder<byte[]> source() {
        KafkaSourceBuilder<byte[]> source = KafkaSource.<byte[]>builder()
                .setBootstrapServers(bootstrap())
                .setGroupId(options.get("group", "flink-locations"))
                .setProperty("commit.offsets.on.checkpoint", "false")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new Value());
        return options.getBoolean("bounded", false) ? source.setBounded(OffsetsInitializer.latest()) : source;
    }

    private List<TopicPartition> partitions() throws Exception {
        String topic = topic("source");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap()))) {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().stream()
                    .map(partition -> new TopicPartition(topic, partition.partition()))
                    .toList();
        }
    }

    private <T> KafkaSink<T> sink(String option, Text<T> key, Bytes<T> value) {
        String topic = topic(option);
        return KafkaSink.<T>builder()
                .setBootstrapServers(bootstrap())
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setProperty("linger.ms", "20")
                .setRecordSerializer((KafkaRecordSerializationSchema<T>) (element, context, timestamp) -> {
                    String name = key.of(element);
                    return new ProducerRecord<>(topic, name == null ? null : name.getBytes(UTF_8), value.of(element));
                })
                .build();
    }

    private String bootstrap() {
        return options.get("bootstrap", "localhost:9092");
    }

    /** The topic of an option; by default the option's name, {@code locations} for the source. */
    private String topic(String option) {
        return options.get(option, option.equals("source") ? "locations" : "locations-" + option);
    }

    private Duration duration(String option, String otherwise) {
        return TimeUtils.parseDuration(options.get(option, otherwise));
    }

    /** A tombstone has no value; it parses as no location. */
    private static class Value extends AbstractDeserializationSchema<byte[]> {
        @Override
        public byte[] deserialize(byte[] value) {
            return value == null ? new byte[0] : value;
        }
    }

    private interface Text<T> extends Serializable {
        String of(T element);
    }

    private interface Bytes<T> extends Serializable {
        byte[] of(T element);
    }
}
