/* Numbers as text. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of any number that `number_shortest` writes, its NUL included. */
#define NUMBER_ROOM 32
/* Bytes of a number of at most 1,000 without an exponent: 17 digits behind 323 zeros. */
#define NUMBER_PLAIN_ROOM 360

/* The double nearest to a number as JSON writes it; infinite past their range. */
double number_read(const char *text, size_t length);

/* An integer as text; its length. */
int number_whole(uint64_t number, char out[NUMBER_ROOM]);

/* The shortest text that reads back as `number`, which is finite; it may have an
 * exponent. Its length. */
int number_shortest(double number, char out[NUMBER_ROOM]);

/* The same without an exponent, for a number of at most 1,000. Its length. */
int number_plain(double number, char out[NUMBER_PLAIN_ROOM]);

#endif
