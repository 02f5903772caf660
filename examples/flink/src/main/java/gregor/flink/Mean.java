package gregor.flink;

import org.apache.flink.api.common.functions.AggregateFunction;

/** Sums in the order of arrival; divided once, when the window closes. */
public class Mean implements AggregateFunction<Location, Mean.Sum, Mean.Sum> {
    /** Of the locations of one patient in one window. */
    public record Sum(long count, double lat, double lon) {}

    @Override
    public Sum createAccumulator() {
        return new Sum(0, 0, 0);
    }

    @Override
    public Sum add(Location location, Sum sum) {
        return new Sum(sum.count + 1, sum.lat + location.lat(), sum.lon + location.lon());
    }

    @Override
    public Sum getResult(Sum sum) {
        return sum;
    }

    /** Only windows that merge (sessions) call it. */
    @Override
    public Sum merge(Sum one, Sum other) {
        return new Sum(one.count + other.count, one.lat + other.lat, one.lon + other.lon);
    }
}
