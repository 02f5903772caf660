#include "number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library prints and reads doubles by way of long doubles, which WebAssembly
 * computes in software: tens of microseconds for a record. What records hold mostly has a
 * quicker way. */

typedef unsigned __int128 wide;

/* `digits` times ten to the power of `exponent`, the fewest digits that read back as
 * `number`, and of those the nearest. Only for numbers in [1e-5, 2^53): there all is
 * exact in 128 bits. */
static uint64_t shortest(double number, int *exponent) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    int two = (int)(bits >> 52) - 1075;
    uint64_t whole = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;

    /* So many decimals that seventeen digits are in front of the point. */
    int decimals = 16;
    for (double least = 1; number < least; least /= 10) decimals++;
    for (double most = 10; number >= most; most *= 10) decimals--;
    wide ten = 1;
    for (int power = 0; power < decimals; power++) ten *= 10;

    /* In quarters of the distance to the next double: this one, and halfway to both beside it. */
    int shift = 2 - two;
    wide value = 4 * whole * ten;
    wide low = value - (whole == (uint64_t)1 << 52 ? 1 : 2) * ten, high = value + 2 * ten;
    wide mask = ((wide)1 << shift) - 1;
    /* What lies exactly halfway is read as the even one. */
    bool even = whole % 2 == 0;
    uint64_t least = (uint64_t)(low >> shift) + ((low & mask) != 0 || !even);
    uint64_t most = (uint64_t)(high >> shift) - ((high & mask) == 0 && !even);

    uint64_t step = 1;
    *exponent = -decimals;
    while (most / (step * 10) * (step * 10) >= least) {
        step *= 10;
        ++*exponent;
    }
    uint64_t below = (uint64_t)(value >> shift) / step * step;
    /* Twice what is above it, against a step. */
    wide above = (value - ((wide)below << shift)) * 2, limit = (wide)step << shift;
    bool up = above > limit || (above == limit && below / step % 2 == 1);
    if (below < least) up = true;
    if (below + step > most) up = false;
    return (below + (up ? step : 0)) / step;
}

/* Without an exponent; its length. */
static int print(bool negative, uint64_t digits, int exponent, char out[NUMBER_ROOM]) {
    char reversed[NUMBER_ROOM], *to = out;
    int count = 0, decimals = exponent < 0 ? -exponent : 0;
    for (; exponent > 0; exponent--) reversed[count++] = '0';
    for (; digits > 0; digits /= 10) reversed[count++] = (char)('0' + digits % 10);
    while (count <= decimals) reversed[count++] = '0';
    if (negative) *to++ = '-';
    while (count > 0) {
        if (count-- == decimals) *to++ = '.';
        *to++ = reversed[count];
    }
    *to = 0;
    return (int)(to - out);
}

int number_whole(uint64_t number, char out[NUMBER_ROOM]) {
    return print(false, number, 0, out);
}

int number_shortest(double number, char out[NUMBER_ROOM]) {
    if (fabs(number) >= 1e-5 && fabs(number) < 0x1p53) {
        int exponent;
        uint64_t digits = shortest(fabs(number), &exponent);
        return print(number < 0, digits, exponent, out);
    }
    if (number == 0) return print(signbit(number), 0, 0, out);
    /* A decimal of 15 digits that reads back is the shortest, once %g has taken its
     * zeros; not so below the normal numbers, which have fewer digits. */
    int precision = fabs(number) < DBL_MIN ? 1 : DBL_DIG;
    int length;
    do {
        length = snprintf(out, NUMBER_ROOM, "%.*g", precision++, number);
    } while (strtod(out, NULL) != number && precision <= 17);
    return length;
}

double number_read(const char *text, size_t length) {
    static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    /* Both numbers are exact up to here, and so their quotient is rounded once. */
    const uint64_t most = (uint64_t)1 << 53;
    uint64_t digits = 0;
    size_t at = length > 0 && *text == '-', decimals = 0;
    bool fraction = false;
    for (; at < length && digits <= most / 10 - 1; at++) {
        if (text[at] == '.' && !fraction) {
            fraction = true;
        } else if (text[at] >= '0' && text[at] <= '9') {
            digits = 10 * digits + (uint64_t)(text[at] - '0');
            decimals += fraction;
        } else {
            break;
        }
    }
    if (at == length && decimals < sizeof TENS / sizeof *TENS) {
        double number = (double)digits / TENS[decimals];
        return *text == '-' ? -number : number;
    }
    /* strtod wants a NUL behind it. */
    char copy[64];
    char *all = length < sizeof copy ? copy : malloc(length + 1);
    if (!all) abort();
    memcpy(all, text, length);
    all[length] = 0;
    double number = strtod(all, NULL);
    if (all != copy) free(all);
    return number;
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
