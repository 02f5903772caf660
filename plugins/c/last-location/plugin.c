/* Keeps each patient's last position, count of records and distance in the
 * cache, and emits them, keyed by patient, for every location. */

#include <inttypes.h>
#include <stdio.h>

#include "gregor.h"
#include "track.h"

/* What the cache says of a write that it does not take. */
static bool refuse(gregor_failure *failure, gregor_plugin_cache_error_t *error) {
    char reason[128];
    switch (error->tag) {
        case GREGOR_PLUGIN_CACHE_ERROR_QUOTA_EXCEEDED:
            snprintf(reason, sizeof reason, "the cache of this partition is full at %" PRIu64 " bytes: raise the stage's cache limit",
                     error->val.quota_exceeded);
            break;
        case GREGOR_PLUGIN_CACHE_ERROR_VALUE_TOO_LARGE:
            snprintf(reason, sizeof reason, "a cache value is longer than %" PRIu64 " bytes: raise the stage's value limit",
                     error->val.value_too_large);
            break;
        default:
            snprintf(reason, sizeof reason, "a cache key is not 1 to 512 bytes long");
    }
    gregor_plugin_cache_error_free(error);
    return gregor_reject(failure, reason);
}

static bool move(gregor_input *record, gregor_outputs *outputs, gregor_failure *failure) {
    struct location location;
    const char *problem = location_parse(record->value.val.ptr, record->value.val.len, &location);
    if (problem) return gregor_reject(failure, problem);

    plugin_string_t patient = {(uint8_t *)location.patient_id, location.patient_id_len};
    plugin_list_u8_t found;
    struct track track = {0};
    if (gregor_plugin_cache_get(&patient, &found)) {
        problem = track_decode(found.ptr, found.len, &track);
        plugin_list_u8_free(&found);
        if (problem) return gregor_reject(failure, problem);
    }
    double moved_m = track_advance(&track, &location, record->timestamp);

    uint8_t bytes[TRACK_LEN];
    track_encode(&track, bytes);
    plugin_list_u8_t entry = {bytes, TRACK_LEN};
    gregor_plugin_cache_error_t error;
    if (!gregor_plugin_cache_set(&patient, &entry, NULL, &error)) return refuse(failure, &error);

    char json[TRACK_JSON_ROOM];
    size_t length = track_json(&location, &track, moved_m, json);
    gregor_bytes key = gregor_copy(location.patient_id, location.patient_id_len);
    return gregor_emit(outputs, record, key, gregor_copy(json, length));
}

static bool forget(gregor_input *record, gregor_outputs *outputs, gregor_failure *failure) {
    plugin_list_u8_t key = record->key.val;
    const char *problem = location_check_tombstone(key.ptr, record->key.is_some ? key.len : 0);
    if (problem) return gregor_reject(failure, problem);
    plugin_string_t patient = {key.ptr, key.len};
    gregor_plugin_cache_delete(&patient);
    gregor_emit(outputs, record, record->key, gregor_none());
    record->key = gregor_none();
    return true;
}

bool exports_gregor_plugin_processor_process(gregor_input *record, gregor_outputs *outputs, gregor_failure *failure) {
    bool done = record->value.is_some ? move(record, outputs, failure) : forget(record, outputs, failure);
    exports_gregor_plugin_processor_input_free(record);
    return done;
}
