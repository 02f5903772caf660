package gregor.flink;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;

/**
 * Flink's own watermark of bounded out-of-orderness, sent after each record instead of every 200 ms: which
 * records are late then follows from the order of the records alone, as it does in Gregor.
 */
public class EachRecord<T> implements WatermarkGenerator<T> {
    private final long boundMs;
    private long newest = Long.MIN_VALUE;

    EachRecord(Duration bound) {
        this.boundMs = bound.toMillis();
    }

    @Override
    public void onEvent(T record, long timestamp, WatermarkOutput output) {
        if (timestamp > newest) {
            newest = timestamp;
            output.emitWatermark(new Watermark(newest - boundMs - 1));
        }
    }

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {}
}
