/* One request and its reply, as frames on the line: the inside of adafire.c. */
#ifndef ADAFIRE_FRAMES_H
#define ADAFIRE_FRAMES_H

#include "adafire.h"

/* What a request carries: up to two pieces, one behind the other. */
typedef struct {
  const uint8_t *head, *data;
  size_t head_size, size;
} adafire_payload;

/* Send one request, once, and take its reply, which must have `words` words: adafire_word(board, 0) ... then.
 * Whatever comes before it is dropped, and so are error replies before that to ABORT and RESET. */
adafire_status adafire_ask(adafire_board *board, enum adafire_command command, const adafire_payload *p,
                           uint32_t words);

/* Word `i` of the reply. */
uint32_t adafire_word(const adafire_board *board, unsigned i);

/* Write a little-endian word. */
void adafire_put32(uint8_t *data, uint32_t word);

#endif
