/* What the cache keeps of a patient, and how a location changes it. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "track.h"

static int failed;

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #what); \
            failed++; \
        } \
    } while (0)

static struct location at(double lat, double lon) {
    return (struct location){.patient_id = "1\"\n", .patient_id_len = 3, .lat = lat, .lon = lon};
}

static void an_entry_has_five_little_endian_words(void) {
    struct track track = {1, -2, 0x0102, 3, 0.5}, back;
    static const uint8_t expected[TRACK_LEN] = {[6] = 0xf0, [7] = 0x3f, [15] = 0xc0, [16] = 2, [17] = 1,
                                                [24] = 3, [38] = 0xe0, [39] = 0x3f};
    uint8_t entry[TRACK_LEN];
    track_encode(&track, entry);
    CHECK(memcmp(entry, expected, TRACK_LEN) == 0);
    CHECK(!track_decode(entry, TRACK_LEN, &back) && back.lon == -2 && back.count == 3 && back.total_m == 0.5);
}

static void an_entry_of_another_plugin_is_refused(void) {
    uint8_t entry[TRACK_LEN + 1];
    struct track track;
    memset(entry, 0xff, sizeof entry);
    CHECK(track_decode(entry, TRACK_LEN - 1, &track));
    CHECK(track_decode(entry, TRACK_LEN + 1, &track));
    CHECK(track_decode(entry, TRACK_LEN, &track));
}

static void each_further_location_counts_and_adds_its_distance(void) {
    struct location lisbon = at(38.7167, -9.1333), porto = at(41.1496, -8.611);
    struct track track = {0};
    CHECK(track_advance(&track, &lisbon, 5) == 0 && track.count == 1 && track.ts == 5);
    double there = track_advance(&track, &porto, 6);
    CHECK(fabs(there - 274165.4) < 0.1);
    CHECK(track_advance(&track, &lisbon, 7) == there && track.count == 3 && track.total_m == 2 * there);
}

static void opposite_points_are_half_a_circumference_apart(void) {
    CHECK(fabs(haversine(90, 0, -90, 0) - 3.14159265358979323846 * 6371000) < 1e-6);
}

static void the_output_is_json(void) {
    struct location location = at(38.7167, -9);
    struct track track = {38.7167, -9, 5, 2, 1.5e-7};
    char json[TRACK_JSON_ROOM + 1];
    json[track_json(&location, &track, 0, json)] = 0;
    CHECK(strcmp(json, "{\"patientId\":\"1\\\"\\u000a\",\"lat\":38.7167,\"lon\":-9,\"ts\":5,\"count\":2,"
                       "\"movedM\":0,\"totalM\":1.5e-07}") == 0);
}

int main(void) {
    an_entry_has_five_little_endian_words();
    an_entry_of_another_plugin_is_refused();
    each_further_location_counts_and_adds_its_distance();
    opposite_points_are_half_a_circumference_apart();
    the_output_is_json();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
