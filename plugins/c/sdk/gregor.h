/* What a Gregor plugin in C needs besides its own logic and the bindings of
 * plugin.h: outputs, failures, and who owns what.
 *
 * What `process` gets is its own to free or to pass on; what it returns is freed
 * by the bindings. Every block comes from malloc, also an empty one. */
#ifndef GREGOR_H
#define GREGOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin.h"

typedef exports_gregor_plugin_processor_input_t gregor_input;
typedef exports_gregor_plugin_processor_output_t gregor_output;
typedef exports_gregor_plugin_processor_list_output_t gregor_outputs;
typedef exports_gregor_plugin_processor_failure_t gregor_failure;
typedef plugin_option_list_u8_t gregor_bytes;

/* A copy of `length` bytes. */
gregor_bytes gregor_copy(const void *bytes, size_t length);

/* No bytes: a null key, or the value of a tombstone. */
gregor_bytes gregor_none(void);

/* Takes `key` and `value` as the one output: for the next stage or the sink, its
 * headers those of `record`, which loses them. */
bool gregor_emit(gregor_outputs *outputs, gregor_input *record, gregor_bytes key, gregor_bytes value);

/* No further attempt can mend it. `reason` is copied; it must not quote the record. */
bool gregor_reject(gregor_failure *failure, const char *reason);

/* It may pass: the record is tried again, in order. */
bool gregor_retry(gregor_failure *failure, const char *reason);

#endif
