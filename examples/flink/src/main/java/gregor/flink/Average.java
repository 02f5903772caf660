package gregor.flink;

import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** A patient's mean position in one window; times in milliseconds since the Unix epoch, the end exclusive. */
public record Average(
        String patientId, long windowStart, long windowEnd, long count, double meanLat, double meanLon) {
    byte[] json() {
        return Json.bytes(this);
    }

    /** Puts the window's bounds beside its sum. */
    public static class Close extends ProcessWindowFunction<Mean.Sum, Average, String, TimeWindow> {
        @Override
        public void process(String patient, Context context, Iterable<Mean.Sum> sums, Collector<Average> out) {
            TimeWindow window = context.window();
            for (Mean.Sum sum : sums) {
                double lat = sum.lat() / sum.count(), lon = sum.lon() / sum.count();
                out.collect(new Average(patient, window.getStart(), window.getEnd(), sum.count(), lat, lon));
            }
        }
    }
}
