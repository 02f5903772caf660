#include "track.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

/* Mean radius of the Earth, in metres, taken as a sphere. */
static const double EARTH_RADIUS_M = 6371000.0;
static const double RADIANS = 3.14159265358979323846 / 180;

static void put(uint8_t *at, uint64_t word) {
    for (int byte = 0; byte < 8; byte++) at[byte] = (uint8_t)(word >> (8 * byte));
}

static uint64_t get(const uint8_t *at) {
    uint64_t word = 0;
    for (int byte = 7; byte >= 0; byte--) word = word << 8 | at[byte];
    return word;
}

static uint64_t bits(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double real(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

void track_encode(const struct track *track, uint8_t entry[TRACK_LEN]) {
    const uint64_t words[] = {bits(track->lat), bits(track->lon), track->ts, track->count, bits(track->total_m)};
    for (int word = 0; word < 5; word++) put(entry + 8 * word, words[word]);
}

const char *track_decode(const uint8_t *entry, size_t length, struct track *track) {
    if (length != TRACK_LEN) return "the patient's cache entry does not have 40 bytes: another plugin wrote it";
    *track = (struct track){real(get(entry)), real(get(entry + 8)), get(entry + 16), get(entry + 24), real(get(entry + 32))};
    bool whole = isfinite(track->lat) && isfinite(track->lon) && isfinite(track->total_m);
    return whole ? NULL : "the patient's cache entry holds no position: another plugin wrote it";
}

double track_advance(struct track *track, const struct location *location, uint64_t record_ts) {
    double moved_m = track->count ? haversine(track->lat, track->lon, location->lat, location->lon) : 0;
    track->lat = location->lat;
    track->lon = location->lon;
    track->ts = location->has_ts ? location->ts : record_ts;
    if (track->count < UINT64_MAX) track->count++;
    track->total_m += moved_m;
    return moved_m;
}

double haversine(double lat1, double lon1, double lat2, double lon2) {
    double north = sin((lat2 - lat1) * RADIANS / 2);
    double east = sin((lon2 - lon1) * RADIANS / 2);
    double a = north * north + cos(lat1 * RADIANS) * cos(lat2 * RADIANS) * east * east;
    /* Rounding may take the root of opposite points beyond 1. */
    return 2 * EARTH_RADIUS_M * asin(fmin(sqrt(a), 1));
}

static size_t quoted(const char *text, size_t length, char *out) {
    char *to = out;
    for (size_t at = 0; at < length; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte < 0x20) {
            to += sprintf(to, "\\u%04x", byte);
        } else {
            if (byte == '"' || byte == '\\') *to++ = '\\';
            *to++ = (char)byte;
        }
    }
    return (size_t)(to - out);
}

static char *put_text(char *to, const char *text) {
    size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

size_t track_json(const struct location *location, const struct track *track, double moved_m, char out[TRACK_JSON_ROOM]) {
    /* In place of sprintf, which takes longer than all the rest. */
    char *to = put_text(out, "{\"patientId\":\"");
    to += quoted(location->patient_id, location->patient_id_len, to);
    to = put_text(to, "\",\"lat\":");
    to += number_shortest(track->lat, to);
    to = put_text(to, ",\"lon\":");
    to += number_shortest(track->lon, to);
    to = put_text(to, ",\"ts\":");
    to += number_whole(track->ts, to);
    to = put_text(to, ",\"count\":");
    to += number_whole(track->count, to);
    to = put_text(to, ",\"movedM\":");
    to += number_shortest(moved_m, to);
    to = put_text(to, ",\"totalM\":");
    to += number_shortest(track->total_m, to);
    *to++ = '}';
    return (size_t)(to - out);
}
