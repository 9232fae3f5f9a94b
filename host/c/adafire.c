#include "adafire.h"

#include <string.h>

#include "adafire_frames.h"

#define LEAST_BYTES 64              /* of RX_BYTES and MAX_PAYLOAD */
#define SLOWEST_CLOCK_HZ 10000000u  /* where the board does not say */
#define DENSE 4u                    /* an image may take so many times the cycles of a mean one */
#define WIRE_BITS 20u               /* of a byte that is stuffed */

/* ---- requests that may be repeated ---- */

/* Ask for `words` words, several times if need be. */
static adafire_status insist(adafire_board *board, enum adafire_command command, uint32_t words) {
  static const adafire_payload nothing = {NULL, NULL, 0, 0};
  adafire_status status = adafire_ask(board, command, &nothing, words);
  for (unsigned i = 1; i < board->attempts && status != ADAFIRE_OK && status != ADAFIRE_E_PORT; i++) {
    board->retries++;
    status = adafire_ask(board, command, &nothing, words);
  }
  return status;
}

/* Reckon what the longest frame takes on the line, and an image in the core. */
static void reckon(adafire_board *board) {
  const uint32_t *identity = board->identity;
  uint32_t baud = identity[ADAFIRE_REG_BAUD / 4], clock = identity[ADAFIRE_REG_CLOCK_HZ / 4];
  uint32_t frame = identity[ADAFIRE_REG_MAX_PAYLOAD / 4] + ADAFIRE_HEADER_BYTES + ADAFIRE_CRC_BYTES;
  board->work_ms = board->network.cycles / ((clock ? clock : SLOWEST_CLOCK_HZ) / (DENSE * 1000u) + 1);
  if (baud) board->work_ms += frame * WIRE_BITS / (baud / 1000u + 1);
}

/* Ask what the board is, and compare it. */
static adafire_status identify(adafire_board *board) {
  adafire_status status = insist(board, ADAFIRE_IDENTIFY, ADAFIRE_IDENTITY_WORDS);
  if (status != ADAFIRE_OK) return status;
  uint32_t *identity = board->identity;
  for (unsigned i = 0; i < ADAFIRE_IDENTITY_WORDS; i++) identity[i] = adafire_word(board, i);
  reckon(board);
  if (identity[ADAFIRE_REG_MAGIC / 4] != ADAFIRE_MAGIC || identity[ADAFIRE_REG_VERSION / 4] != ADAFIRE_PROTOCOL ||
      identity[ADAFIRE_REG_RX_BYTES / 4] < LEAST_BYTES || identity[ADAFIRE_REG_MAX_PAYLOAD / 4] < LEAST_BYTES) {
    return ADAFIRE_E_STRANGER;
  }
  if (memcmp(identity + ADAFIRE_REG_BUILD_0 / 4, board->build, sizeof board->build) != 0) return ADAFIRE_E_BUILD;
  if (identity[ADAFIRE_REG_LOADED / 4] != board->network.digest) return ADAFIRE_E_NETWORK;
  return identity[ADAFIRE_REG_NETWORK / 4] == board->network.number ? ADAFIRE_OK : ADAFIRE_E_NETWORK;
}

static adafire_status recover(adafire_board *board) {
  adafire_status status = insist(board, ADAFIRE_RESET, 0);
  return status == ADAFIRE_OK ? identify(board) : status;
}

static int for_good(adafire_status status) {
  return status != ADAFIRE_E_TIMEOUT && status != ADAFIRE_E_DAMAGED && status != ADAFIRE_E_REFUSED;
}

/* The longest piece behind a POSITION, a multiple of 4. */
static uint32_t longest_piece(const adafire_board *board) {
  uint32_t window = board->identity[ADAFIRE_REG_RX_BYTES / 4] - ADAFIRE_HEADER_BYTES - ADAFIRE_CRC_BYTES;
  uint32_t payload_bytes = board->identity[ADAFIRE_REG_MAX_PAYLOAD / 4];
  return ((window < payload_bytes ? window : payload_bytes) - ADAFIRE_POSITION_BYTES) & ~3u;
}

adafire_status adafire_open(adafire_board *board, const adafire_port *port, const uint32_t build[4],
                            const adafire_network *network, uint8_t *buffer, size_t size, uint8_t sequence) {
  memset(board, 0, sizeof *board);
  board->timeout_ms = ADAFIRE_TIMEOUT_MS;
  board->attempts = 5;
  board->port = *port;
  memcpy(board->build, build, sizeof board->build);
  board->network = *network;
  board->buffer = buffer;
  board->size = size;
  board->sequence = sequence;
  if (size < ADAFIRE_BUFFER_BYTES) return ADAFIRE_E_BUFFER;
  return recover(board);
}

adafire_status adafire_abort(adafire_board *board) { return insist(board, ADAFIRE_ABORT, 0); }

adafire_status adafire_counters(adafire_board *board, uint32_t counters[ADAFIRE_COUNTER_WORDS]) {
  adafire_status status = insist(board, ADAFIRE_COUNTERS, ADAFIRE_COUNTER_WORDS);
  if (status != ADAFIRE_OK) return status;
  for (unsigned i = 0; i < ADAFIRE_COUNTER_WORDS; i++) counters[i] = adafire_word(board, i);
  return ADAFIRE_OK;
}

/* ---- loading ---- */

int adafire_memory(void *context, uint32_t position, uint8_t *data, size_t size) {
  memcpy(data, (const uint8_t *)context + position, size);
  return 0;
}

/* Compare the digest at the end of the image with its words and with the network, before anything is sent. */
static adafire_status check_image(adafire_board *board, const adafire_network *network, adafire_source *source,
                                  void *context, uint32_t bytes) {
  static const uint8_t trailer[8] = {0, 0, 0, 0xFF, 1, 0, 0, 0};
  uint32_t crc = 0xFFFFFFFFu;
  uint8_t end[12];

  if (bytes < sizeof end) return ADAFIRE_E_IMAGE;
  board->length = board->escaped = board->overlong = 0; /* what was received of a frame lay in the buffer */
  for (uint32_t position = 0; position < bytes - sizeof end;) {
    uint32_t size = bytes - (uint32_t)sizeof end - position;
    if (size > board->size) size = (uint32_t)board->size;
    if (source(context, position, board->buffer, size) != 0) return ADAFIRE_E_SOURCE;
    for (uint32_t i = 0; i < size; i++) crc = adafire_crc32(crc, board->buffer[i]);
    position += size;
  }
  if (source(context, bytes - (uint32_t)sizeof end, end, sizeof end) != 0) return ADAFIRE_E_SOURCE;
  uint8_t digest[4];
  adafire_put32(digest, ~crc);
  if (memcmp(end, trailer, sizeof trailer) != 0 || memcmp(end + sizeof trailer, digest, sizeof digest) != 0 ||
      ~crc != network->digest) {
    return ADAFIRE_E_IMAGE;
  }
  return ADAFIRE_OK;
}

/* Send the piece at `position`, in words; the reply moves it on. */
static adafire_status load_piece(adafire_board *board, adafire_source *source, void *context, uint32_t *position,
                                 uint32_t words) {
  uint32_t piece = longest_piece(board);
  if (piece > board->size) piece = (uint32_t)board->size & ~3u;
  if (piece > 4 * (words - *position)) piece = 4 * (words - *position);
  if (source(context, 4 * *position, board->buffer, piece) != 0) return ADAFIRE_E_SOURCE;

  uint8_t head[ADAFIRE_POSITION_BYTES];
  adafire_put32(head, *position);
  adafire_payload p = {head, board->buffer, sizeof head, piece};
  board->length = board->escaped = board->overlong = 0; /* what was received of a frame lay in the buffer */
  adafire_status status = adafire_ask(board, ADAFIRE_LOAD, &p, 1);
  uint32_t next = *position;
  if (status == ADAFIRE_OK) {
    next = adafire_word(board, 0);
    if (next <= *position) status = ADAFIRE_E_DAMAGED;
  } else if (status == ADAFIRE_E_REFUSED && board->fault == ADAFIRE_FAULT_SEQUENCE) {
    next = board->expected;
  }
  *position = next <= words ? next : 0;
  return status;
}

/* Let the network loaded run; if the reply got lost, NETWORK says whether that was done. */
static adafire_status commit(adafire_board *board, uint32_t words) {
  const adafire_network *n = &board->network;
  const uint32_t numbers[] = {words, n->number, n->input_size, (uint32_t)n->input_low, n->input_bytes};
  uint8_t data[ADAFIRE_COMMIT_BYTES];
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) adafire_put32(data + 4 * i, numbers[i]);
  adafire_payload p = {data, NULL, sizeof data, 0};
  adafire_status status = adafire_ask(board, ADAFIRE_COMMIT, &p, 0);
  if (!for_good(status)) status = identify(board);
  return status;
}

adafire_status adafire_load(adafire_board *board, const adafire_network *network, adafire_source *source,
                            void *context, uint32_t bytes) {
  const uint32_t words = bytes / 4;
  uint32_t position = 0, furthest = 0;
  unsigned failures = 0;
  adafire_status status = ADAFIRE_E_SOURCE;

  if (bytes % 4 != 0 || words == 0) return ADAFIRE_E_SOURCE;
  status = check_image(board, network, source, context, bytes);
  if (status != ADAFIRE_OK) return status;
  board->network = *network;
  reckon(board);
  while (failures < board->attempts) {
    const int whole = position == words;
    status = whole ? commit(board, words) : load_piece(board, source, context, &position, words);
    if (status == ADAFIRE_OK) {
      if (whole) return ADAFIRE_OK;
      if (position > furthest) {
        furthest = position;
        failures = 0;
      }
      continue;
    }
    if (status == ADAFIRE_E_NETWORK || (status == ADAFIRE_E_REFUSED && board->fault == ADAFIRE_FAULT_DIGEST)) {
      position = 0; /* the board was reset meanwhile, or what it took is not what was sent */
    } else if (for_good(status)) {
      return status;
    }
    failures++;
    board->retries++;
  }
  return status;
}

/* ---- images ---- */

void adafire_input(const adafire_network *network, const adafire_pixels *shape, const uint8_t *pixels,
                   uint8_t *input) {
  const uint32_t positions = shape->height * shape->width;
  for (uint32_t map = 0; map < shape->maps; map++, pixels += shape->channels * positions) {
    for (uint32_t position = 0; position < positions; position++) {
      for (uint32_t channel = 0; channel < shape->channels; channel++) {
        int32_t value = pixels[channel * positions + position] - shape->offsets[channel] - network->input_low;
        for (uint32_t i = 0; i < network->input_bytes; i++) *input++ = (uint8_t)((uint32_t)value >> 8 * i);
      }
    }
  }
}

static int32_t signed32(uint32_t word) {
  return word < 0x80000000u ? (int32_t)word : -(int32_t)(0xFFFFFFFFu - word) - 1;
}

/* Hand over the words of a piece: those of the head of a result to `result`, its values to `sink`. */
static adafire_status hand_over(adafire_board *board, uint32_t at, uint32_t words, adafire_result *result,
                                adafire_sink *sink, void *context) {
  uint32_t *head[ADAFIRE_RESULT_WORDS] = {
      [ADAFIRE_WORD_CLASS] = &result->class_number,       [ADAFIRE_WORD_TIMESTEPS] = &result->timesteps,
      [ADAFIRE_WORD_CYCLES] = &result->cycles,            [ADAFIRE_WORD_BUSY_CYCLES] = &result->busy_cycles,
      [ADAFIRE_WORD_EVENTS] = &result->events,            [ADAFIRE_WORD_SYNAPTIC_OPS] = &result->synaptic_ops};
  int32_t values[ADAFIRE_PIECE_WORDS];
  uint32_t count = 0, first = at < ADAFIRE_RESULT_WORDS ? 0 : at - ADAFIRE_RESULT_WORDS;
  for (uint32_t i = 0; i < words; i++) {
    uint32_t word = adafire_word(board, ADAFIRE_PIECE_HEAD_BYTES / 4 + i);
    if (at + i < ADAFIRE_RESULT_WORDS) {
      *head[at + i] = word;
    } else {
      values[count++] = signed32(word);
    }
  }
  return count == 0 || sink(context, first, values, count) == 0 ? ADAFIRE_OK : ADAFIRE_E_SINK;
}

/* Take the pieces of a result. */
static adafire_status take_result(adafire_board *board, adafire_result *result, adafire_sink *sink, void *context) {
  const uint32_t total = ADAFIRE_RESULT_WORDS + board->network.outputs, head = ADAFIRE_PIECE_HEAD_BYTES / 4;
  int last = 0;
  for (uint32_t at = 0; !last;) {
    uint32_t words;
    adafire_status status = adafire_take_piece(board, &words, &last);
    if (status != ADAFIRE_OK) return status;
    if (words <= head || words - head > ADAFIRE_PIECE_WORDS) return ADAFIRE_E_DAMAGED;
    words -= head;
    if (adafire_word(board, 0) != board->network.number) return ADAFIRE_E_NETWORK;
    if (adafire_word(board, 1) != at || words > total - at || (words == total - at) != last) return ADAFIRE_E_DAMAGED;
    status = hand_over(board, at, words, result, sink, context);
    if (status != ADAFIRE_OK) return status;
    at += words;
  }
  return ADAFIRE_OK;
}

/* An image: its bytes lie at `input`, or, where that is NULL, `source` has them. */
typedef struct {
  const uint8_t *input;
  adafire_source *source;
  void *context;
} image;

/* Give the `size` bytes of an image from `position` on: those of a source are in the buffer then. NULL: it failed. */
static const uint8_t *piece_of(adafire_board *board, const image *from, uint32_t position, uint32_t size) {
  if (from->input != NULL) return from->input + position;
  board->length = board->escaped = board->overlong = 0; /* what was received of a frame lay in the buffer */
  return from->source(from->context, position, board->buffer, size) == 0 ? board->buffer : NULL;
}

static adafire_status run_once(adafire_board *board, const image *from, adafire_result *result, adafire_sink *sink,
                               void *context) {
  const uint32_t bytes = board->network.input_size * board->network.input_bytes;
  uint32_t most = longest_piece(board);
  uint8_t head[ADAFIRE_POSITION_BYTES];

  if (from->input == NULL && most > board->size) most = (uint32_t)board->size & ~3u;
  for (uint32_t position = 0;; position += most) {
    const int last = bytes - position <= most;
    const uint32_t size = last ? bytes - position : most;
    const uint8_t *data = piece_of(board, from, position, size);
    if (data == NULL) return ADAFIRE_E_SOURCE;
    adafire_put32(head, position);
    adafire_payload p = {head, data, sizeof head, size};
    adafire_status status = last ? adafire_send_run(board, &p) : adafire_ask(board, ADAFIRE_INPUT, &p, 1);
    if (status != ADAFIRE_OK) return status;
    if (last) return take_result(board, result, sink, context);
  }
}

static adafire_status run(adafire_board *board, const image *from, adafire_result *result, adafire_sink *sink,
                          void *context) {
  adafire_status status = run_once(board, from, result, sink, context);
  for (unsigned i = 1; i < board->attempts && !for_good(status); i++) {
    board->retries++;
    adafire_status recovered = recover(board);
    if (recovered != ADAFIRE_OK) return recovered;
    status = run_once(board, from, result, sink, context);
  }
  /* what was loaded is damaged, as weights in a memory outside the chip may be */
  return status == ADAFIRE_E_REFUSED && board->fault == ADAFIRE_FAULT_DIGEST ? ADAFIRE_E_NETWORK : status;
}

adafire_status adafire_run_to(adafire_board *board, const uint8_t *input, adafire_result *result, adafire_sink *sink,
                              void *context) {
  const image from = {input, NULL, NULL};
  return run(board, &from, result, sink, context);
}

adafire_status adafire_run_from(adafire_board *board, adafire_source *source, void *source_context,
                                adafire_result *result, adafire_sink *sink, void *context) {
  const image from = {NULL, source, source_context};
  return run(board, &from, result, sink, context);
}

static int copy_values(void *context, uint32_t position, const int32_t *values, uint32_t count) {
  memcpy((int32_t *)context + position, values, count * sizeof *values);
  return 0;
}

adafire_status adafire_run(adafire_board *board, const uint8_t *input, adafire_result *result, int32_t *values,
                           uint32_t size) {
  if (size < board->network.outputs) return ADAFIRE_E_BUFFER;
  return adafire_run_to(board, input, result, copy_values, values);
}

void adafire_classes(const int32_t *values, uint32_t channels, uint32_t positions, uint32_t *classes) {
  for (uint32_t at = 0; at < positions; at++, values += channels) {
    uint32_t best = 0;
    for (uint32_t c = 1; c < channels; c++)
      if (values[c] > values[best]) best = c;
    classes[at] = channels == 1 ? values[0] > 0 : best;
  }
}

/* ---- words ---- */

const char *adafire_text(adafire_status status) {
  switch (status) {
    case ADAFIRE_OK: return "done";
    case ADAFIRE_E_PORT: return "the serial port failed";
    case ADAFIRE_E_TIMEOUT: return "no reply came: check cable, baud rate, and that the board is configured";
    case ADAFIRE_E_DAMAGED: return "replies arrive damaged: check the baud rate and the cable";
    case ADAFIRE_E_REFUSED: return "the board refused a request";
    case ADAFIRE_E_STRANGER: return "what answers is no adafire design of this protocol version";
    case ADAFIRE_E_BUILD: return "another bitstream is on the board than this program was compiled for";
    case ADAFIRE_E_NETWORK: return "the board holds another network, or none: it has to be loaded";
    case ADAFIRE_E_BUFFER: return "the buffer given to adafire_open, or that for the values, is too small";
    case ADAFIRE_E_SOURCE: return "the image or the network cannot be read, or a network's length is no number of words";
    case ADAFIRE_E_IMAGE: return "the image is damaged, or is not that of the network: nothing was sent";
    case ADAFIRE_E_SINK: return "the sink for the values gave up";
  }
  return "unknown status";
}

const char *adafire_fault_text(enum adafire_fault fault) {
  switch (fault) {
    case ADAFIRE_FAULT_DAMAGED: return "a frame arrived damaged";
    case ADAFIRE_FAULT_LENGTH: return "a frame had the wrong length";
    case ADAFIRE_FAULT_COMMAND: return "the command is unknown";
    case ADAFIRE_FAULT_PAYLOAD: return "the payload does not fit the command";
    case ADAFIRE_FAULT_SEQUENCE: return "a piece was not the next one";
    case ADAFIRE_FAULT_NO_NETWORK: return "no network is loaded";
    case ADAFIRE_FAULT_OVERRUN: return "more was sent than the board can hold";
    case ADAFIRE_FAULT_DIGEST: return "a load has not ended with its right digest";
  }
  return "unknown fault";
}
