#include "adafire_frames.h"

#define CHUNK 64            /* bytes handed to write at once */
#define MOST_BYTES 65536ul  /* taken while waiting for one reply: a line that babbles is given up */

/* ---- numbers ---- */

static unsigned get16(const uint8_t *data) { return data[0] | (unsigned)data[1] << 8; }

static uint32_t get32(const uint8_t *data) {
  return data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

void adafire_put32(uint8_t *data, uint32_t word) {
  for (unsigned i = 0; i < 4; i++) data[i] = (uint8_t)(word >> 8 * i);
}

uint32_t adafire_crc32(uint32_t crc, uint8_t byte) {
  static const uint32_t nibble[16] = {
      0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
      0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
  crc ^= byte;
  crc = crc >> 4 ^ nibble[crc & 15];
  return crc >> 4 ^ nibble[crc & 15];
}

/* ---- frames out ---- */

typedef struct {
  adafire_board *board;
  uint32_t crc;
  unsigned used;
  int failed;
  uint8_t chunk[CHUNK];
} sender;

static void flush(sender *out) {
  const adafire_port *port = &out->board->port;
  if (!out->failed && port->write(port->context, out->chunk, out->used) < 0) out->failed = 1;
  out->used = 0;
}

static void put_raw(sender *out, uint8_t byte) {
  out->chunk[out->used++] = byte;
  if (out->used == CHUNK) flush(out);
}

static void put_stuffed(sender *out, const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++) {
    out->crc = adafire_crc32(out->crc, data[i]);
    if (data[i] == ADAFIRE_FLAG || data[i] == ADAFIRE_ESCAPE) {
      put_raw(out, ADAFIRE_ESCAPE);
      put_raw(out, data[i] ^ ADAFIRE_STUFF);
    } else {
      put_raw(out, data[i]);
    }
  }
}

static adafire_status send(adafire_board *board, enum adafire_command command, const adafire_payload *p) {
  sender out = {.board = board, .crc = 0xFFFFFFFFu};
  size_t size = p->head_size + p->size;
  uint8_t header[ADAFIRE_HEADER_BYTES] = {(uint8_t)command, board->sequence, (uint8_t)size, (uint8_t)(size >> 8)};
  uint8_t crc[ADAFIRE_CRC_BYTES];

  put_raw(&out, ADAFIRE_FLAG);
  put_stuffed(&out, header, sizeof header);
  put_stuffed(&out, p->head, p->head_size);
  put_stuffed(&out, p->data, p->size);
  adafire_put32(crc, ~out.crc);
  put_stuffed(&out, crc, sizeof crc);
  put_raw(&out, ADAFIRE_FLAG);
  flush(&out);
  return out.failed ? ADAFIRE_E_PORT : ADAFIRE_OK;
}

/* ---- frames in ---- */

/* Take bytes until a frame is whole; header and payload are in the buffer then. */
static adafire_status receive(adafire_board *board, uint32_t *budget) {
  for (;;) {
    if (board->next == board->have) {
      if (*budget < sizeof board->chunk) return ADAFIRE_E_DAMAGED;
      int came = board->port.read(board->port.context, board->chunk, sizeof board->chunk, board->timeout_ms + board->work_ms);
      if (came < 0) return ADAFIRE_E_PORT;
      if (came == 0) return ADAFIRE_E_TIMEOUT;
      *budget -= (unsigned)came;
      board->have = (unsigned)came;
      board->next = 0;
    }
    uint8_t byte = board->chunk[board->next++];
    if (byte == ADAFIRE_FLAG) {
      size_t length = board->length;
      int cut = board->escaped || board->overlong;
      board->length = board->escaped = board->overlong = 0;
      if (length == 0 && !cut) continue;
      if (cut || length < ADAFIRE_HEADER_BYTES + ADAFIRE_CRC_BYTES) return ADAFIRE_E_DAMAGED;
      length -= ADAFIRE_CRC_BYTES;
      uint32_t crc = 0xFFFFFFFFu;
      for (size_t i = 0; i < length; i++) crc = adafire_crc32(crc, board->buffer[i]);
      if (~crc != get32(board->buffer + length)) return ADAFIRE_E_DAMAGED;
      if (length - ADAFIRE_HEADER_BYTES != get16(board->buffer + 2)) return ADAFIRE_E_DAMAGED;
      return ADAFIRE_OK;
    }
    if (byte == ADAFIRE_ESCAPE && !board->escaped) {
      board->escaped = 1;
    } else if (board->length == board->size) {
      board->overlong = 1;
    } else {
      board->buffer[board->length++] = board->escaped ? byte ^ ADAFIRE_STUFF : byte;
      board->escaped = 0;
    }
  }
}

/* Whether the frame in the buffer is an error about the request under way; it is noted then. */
static int is_refusal(adafire_board *board) {
  const uint8_t *frame = board->buffer, *error = frame + ADAFIRE_HEADER_BYTES;
  if (frame[0] != ADAFIRE_ERROR_REPLY || frame[2] != ADAFIRE_ERROR_BYTES) return 0;
  if (frame[1] != board->sequence && frame[1] != 0) return 0;
  board->fault = (enum adafire_fault)error[0];
  board->expected = get32(error + 4);
  return 1;
}

/* Send a request under the next sequence number; 0 is the one of errors about damaged frames. */
static adafire_status request(adafire_board *board, enum adafire_command command, const adafire_payload *p) {
  board->sequence = board->sequence % 255 + 1;
  return send(board, command, p);
}

/* Take a reply to the request sent last, one of two kinds. */
static adafire_status reply(adafire_board *board, enum adafire_command kind, enum adafire_command other, int urgent) {
  uint32_t budget = MOST_BYTES;
  adafire_status status = ADAFIRE_OK;
  while (status == ADAFIRE_OK) {
    status = receive(board, &budget);
    const uint8_t *frame = board->buffer;
    if (status == ADAFIRE_E_DAMAGED && urgent && budget >= sizeof board->chunk) {
      status = ADAFIRE_OK; /* whatever was on its way */
    } else if (status == ADAFIRE_OK && frame[1] == board->sequence &&
               (frame[0] == (kind | ADAFIRE_REPLY) || frame[0] == (other | ADAFIRE_REPLY))) {
      return ADAFIRE_OK;
    } else if (status == ADAFIRE_OK && !urgent && is_refusal(board)) {
      status = ADAFIRE_E_REFUSED;
    } /* anything else answers a request that was given up */
  }
  return status;
}

adafire_status adafire_ask(adafire_board *board, enum adafire_command command, const adafire_payload *p,
                           uint32_t words) {
  const int urgent = command == ADAFIRE_RESET || command == ADAFIRE_ABORT;
  adafire_status status = request(board, command, p);
  if (status == ADAFIRE_OK) status = reply(board, command, command, urgent);
  if (status == ADAFIRE_OK && get16(board->buffer + 2) != 4 * words) status = ADAFIRE_E_DAMAGED;
  return status;
}

adafire_status adafire_send_run(adafire_board *board, const adafire_payload *p) {
  return request(board, ADAFIRE_RUN, p);
}

adafire_status adafire_take_piece(adafire_board *board, uint32_t *words, int *last) {
  adafire_status status = reply(board, ADAFIRE_RESULT, ADAFIRE_PART, 0);
  unsigned bytes = get16(board->buffer + 2);
  *words = bytes / 4;
  *last = board->buffer[0] == (ADAFIRE_RESULT | ADAFIRE_REPLY);
  if (status == ADAFIRE_OK && bytes % 4 != 0) status = ADAFIRE_E_DAMAGED;
  return status;
}

uint32_t adafire_word(const adafire_board *board, unsigned i) {
  return get32(board->buffer + ADAFIRE_HEADER_BYTES + 4 * i);
}
