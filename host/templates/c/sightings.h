/* What needs no host, and so has plain tests. */
#ifndef SIGHTINGS_H
#define SIGHTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With `sightings/` before it, the cache's longest key: 512 bytes. */
#define MAX_PATIENT_ID 502
#define SIGHTING_ROOM (MAX_PATIENT_ID + 160)

struct sighting {
    char patient_id[MAX_PATIENT_ID + 1];
    double lat, lon;
};

/* Finds the three fields in a flat JSON object without escapes; false where it does not. */
bool sighting_parse(const char *json, size_t length, struct sighting *sighting);

/* Writes the sentence; its length. */
size_t sighting_tell(const struct sighting *sighting, int64_t times, char out[SIGHTING_ROOM]);

#endif
