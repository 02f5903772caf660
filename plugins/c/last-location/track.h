/* What the cache keeps of a patient, and how a location changes it. */
#ifndef TRACK_H
#define TRACK_H

#include "location.h"

/* Bytes of an entry: lat, lon, ts, count, total_m, each of eight, little-endian, as
 * the Rust plugin writes them, so that either may follow the other. */
#define TRACK_LEN 40

struct track {
    /* Degrees. */
    double lat, lon;
    /* Milliseconds since the Unix epoch. */
    uint64_t ts;
    /* Records so far. */
    uint64_t count;
    /* Metres so far. */
    double total_m;
};

void track_encode(const struct track *track, uint8_t entry[TRACK_LEN]);

/* Null, or why the entry is not this plugin's. */
const char *track_decode(const uint8_t *entry, size_t length, struct track *track);

/* Moves `track`, whose count is 0 for a patient's first location; the metres that
 * adds. `record_ts` serves where the location carries no time of its own. */
double track_advance(struct track *track, const struct location *location, uint64_t record_ts);

/* Metres along the sphere between two positions in degrees. */
double haversine(double lat1, double lon1, double lat2, double lon2);

/* The most bytes that `track_json` writes. */
#define TRACK_JSON_ROOM (6 * MAX_PATIENT_ID + 256)

/* The output's value; its length. */
size_t track_json(const struct location *location, const struct track *track, double moved_m, char out[TRACK_JSON_ROOM]);

#endif
