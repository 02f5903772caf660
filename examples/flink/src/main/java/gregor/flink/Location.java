package gregor.flink;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.util.Optional;

/** Where a patient is: degrees, -90 to 90 and -180 to 180. */
public record Location(String patientId, double lat, double lon) {
    /** What a record's value says, or nothing where it is no location. */
    static Optional<Location> parse(byte[] value) {
        JsonNode fields = Json.read(value);
        JsonNode patient = fields.path("patientId"), lat = fields.path("lat"), lon = fields.path("lon");
        boolean named = patient.isTextual() && !patient.textValue().isEmpty() || patient.isIntegralNumber();
        boolean placed = within(lat, 90) && within(lon, 180);
        return named && placed
                ? Optional.of(new Location(patient.asText(), lat.doubleValue(), lon.doubleValue()))
                : Optional.empty();
    }

    private static boolean within(JsonNode degrees, double bound) {
        return degrees.isNumber() && Math.abs(degrees.doubleValue()) <= bound;
    }

    byte[] json() {
        return Json.bytes(this);
    }

    /** In plain words, without a needless digit. */
    String sentence() {
        return "Patient " + patientId + " at location (" + plain(lat) + ", " + plain(lon) + ")";
    }

    private static String plain(double degrees) {
        return new BigDecimal(Double.toString(degrees)).stripTrailingZeros().toPlainString();
    }
}
