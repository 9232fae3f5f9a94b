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

/* Send RUN, and take the next piece of its result: `*words` of them are in the reply, `*last` says that no other comes. */
adafire_status adafire_send_run(adafire_board *board, const adafire_payload *p);
adafire_status adafire_take_piece(adafire_board *board, uint32_t *words, int *last);

/* The CRC-32 of the bytes before, less the final xor, and one more; the first is given 0xFFFFFFFF. */
uint32_t adafire_crc32(uint32_t crc, uint8_t byte);

/* Word `i` of the reply. */
uint32_t adafire_word(const adafire_board *board, unsigned i);

/* Write a little-endian word. */
void adafire_put32(uint8_t *data, uint32_t word);

#endif
