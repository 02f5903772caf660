#include "number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int number_shortest(double number, char out[NUMBER_ROOM]) {
    /* A decimal of 15 digits that reads back is the shortest, once %g has taken its
     * zeros; not so below the normal numbers, which have fewer digits. */
    int precision = fabs(number) < DBL_MIN ? 1 : DBL_DIG;
    int length;
    do {
        length = snprintf(out, NUMBER_ROOM, "%.*g", precision++, number);
    } while (strtod(out, NULL) != number && precision <= 17);
    return length;
}

int number_plain(double number, char out[NUMBER_PLAIN_ROOM]) {
    char shortest[NUMBER_ROOM];
    number_shortest(number, shortest);
    char *exponent = strchr(shortest, 'e');
    if (!exponent) return snprintf(out, NUMBER_PLAIN_ROOM, "%s", shortest);
    int power = atoi(exponent + 1);
    *exponent = 0;
    /* 1e+02: so few digits that %g prefers an exponent. */
    if (power > 0) return snprintf(out, NUMBER_PLAIN_ROOM, "%.0f", number);
    char digits[NUMBER_ROOM], *to = digits;
    for (const char *at = shortest; *at; at++) {
        if (*at != '-' && *at != '.') *to++ = *at;
    }
    *to = 0;
    int length = snprintf(out, NUMBER_PLAIN_ROOM, "%s0.", number < 0 ? "-" : "");
    for (int zeros = -power - 1; zeros > 0; zeros--) out[length++] = '0';
    return length + snprintf(out + length, (size_t)(NUMBER_PLAIN_ROOM - length), "%s", digits);
}
