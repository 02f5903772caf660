/* A patient's location as records carry it, with the rules of plugins/location. */
#ifndef LOCATION_H
#define LOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest patient id, in bytes: what the cache takes as a key. */
#define MAX_PATIENT_ID 512

struct location {
    /* 1 to MAX_PATIENT_ID bytes of UTF-8; it may hold NULs. */
    char patient_id[MAX_PATIENT_ID];
    size_t patient_id_len;
    /* Degrees. */
    double lat, lon;
    /* Milliseconds since the Unix epoch, where the value tells. */
    bool has_ts;
    uint64_t ts;
};

/* Reads a record's value; fields other than the four are ignored, however large.
 * Null when it is a location, else the first rule that it breaks: a text that
 * never quotes it. */
const char *location_parse(const uint8_t *value, size_t length, struct location *location);

/* Null when a tombstone's key names a patient. */
const char *location_check_tombstone(const uint8_t *key, size_t length);

#endif
