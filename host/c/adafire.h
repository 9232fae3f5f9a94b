/* A generated design at the other end of a serial line: open it, load a network, run images.
 *
 * C99; no heap, no operating system, no library but <string.h>. Compile adafire.c and adafire_frames.c with the
 * folder of adafire_registers.h, which `adafire generate` writes, in the include path. docs/protocol.md has the
 * protocol. One request is under way at a time; what gets lost on the line is asked again, a bounded number of
 * times. examples/microcontroller/main.c is a complete program.
 */
#ifndef ADAFIRE_H
#define ADAFIRE_H

#include <stddef.h>
#include <stdint.h>

#include "adafire_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For one reply, beside the time that its frames take on the line and, by the network's `cycles`, an image takes. */
#ifndef ADAFIRE_TIMEOUT_MS
#define ADAFIRE_TIMEOUT_MS 1000
#endif

/* The serial port, 8N1, at the design's baud rate. */
typedef struct {
  void *context;
  /* Take up to `size` bytes, waiting at most `timeout_ms` for the first: how many, 0 if none; negative: failure. */
  int (*read)(void *context, uint8_t *data, size_t size, uint32_t timeout_ms);
  /* Send all of them: 0; negative: failure. */
  int (*write)(void *context, const uint8_t *data, size_t size);
} adafire_port;

/* What a network is to the link; in manifest.json: network_id, image_digest, the product of every shape of outputs,
 * all together, input's values, lowest and bytes, and estimated_cycles_per_image. Where input says how many images are
 * run together, outputs and cycles are so many times these. */
typedef struct {
  uint32_t number, digest, outputs, input_size;
  int32_t input_low;
  uint32_t input_bytes, cycles;
} adafire_network;

/* The design that adafire_registers.h belongs to and the network it was generated for. */
#define ADAFIRE_DESIGN_NETWORK_INIT                                                  \
  {ADAFIRE_DESIGN_NETWORK,    ADAFIRE_DESIGN_DIGEST,    ADAFIRE_DESIGN_OUTPUTS,      \
   ADAFIRE_DESIGN_INPUT_SIZE, ADAFIRE_DESIGN_INPUT_LOW, ADAFIRE_DESIGN_INPUT_BYTES,  \
   ADAFIRE_DESIGN_CYCLES}

/* Pixels as they come: [maps][channels][height][width]; a value is a pixel less the offset of its channel. */
typedef struct {
  uint32_t maps, channels, height, width;
  const int32_t *offsets;
} adafire_pixels;

/* Bytes that adafire_open needs as a buffer, for results of any size; a longer one makes loading faster. */
#define ADAFIRE_BUFFER_BYTES \
  (4u * ADAFIRE_PIECE_WORDS + ADAFIRE_PIECE_HEAD_BYTES + ADAFIRE_HEADER_BYTES + ADAFIRE_CRC_BYTES)

/* What every function returns; adafire_text says it in words. */
typedef enum {
  ADAFIRE_OK,
  ADAFIRE_E_PORT,      /* read or write failed: open the port again, then adafire_open */
  ADAFIRE_E_TIMEOUT,   /* no reply within timeout_ms + work_ms, `attempts` times */
  ADAFIRE_E_DAMAGED,   /* replies arrive damaged, or are not what was asked for */
  ADAFIRE_E_REFUSED,   /* an error reply: see `fault` and `expected` */
  ADAFIRE_E_STRANGER,  /* something answers, but it is no design of this protocol */
  ADAFIRE_E_BUILD,     /* another bitstream is on the board */
  ADAFIRE_E_NETWORK,   /* the board holds another network or another image of it, or none: adafire_load, then run again */
  ADAFIRE_E_BUFFER,    /* the buffer is too small: ADAFIRE_BUFFER_BYTES, or as many values as the network has outputs */
  ADAFIRE_E_SOURCE,    /* the source of an image or a network failed, or a network's length is not a number of words */
  ADAFIRE_E_IMAGE,     /* the image is damaged, or is not that of this network: nothing was sent */
  ADAFIRE_E_SINK       /* the sink of adafire_run_to gave up */
} adafire_status;

/* One board. timeout_ms and attempts may be changed after adafire_open; the other members are to be read only. */
typedef struct {
  uint32_t timeout_ms;                      /* ADAFIRE_TIMEOUT_MS at first; work_ms is added to it */
  unsigned attempts;                        /* without any progress, before giving up; 5 at first */
  enum adafire_fault fault;                 /* of the last error reply */
  uint32_t expected;                        /* what it expected */
  uint32_t identity[ADAFIRE_IDENTITY_WORDS];  /* registers MAGIC to MAX_PAYLOAD: [ADAFIRE_REG_LANES / 4] */
  uint32_t retries;                         /* requests and images sent again */
  uint32_t work_ms;                         /* what line and image may take, reckoned from baud rate, clock and cycles */
  adafire_port port;
  uint32_t build[4];
  adafire_network network;
  uint8_t *buffer;
  size_t size, length;
  uint8_t sequence, escaped, overlong;
  uint8_t chunk[32];
  unsigned have, next;
} adafire_board;

typedef struct {
  uint32_t class_number, timesteps, cycles, busy_cycles, events, synaptic_ops;
} adafire_result;

/* Reset the board and compare it with `build` (ADAFIRE_DESIGN_BUILD) and `network`.
 * `buffer` is used as long as the board is; `sequence` is any number, best another one each time.
 * ADAFIRE_E_NETWORK means that all is well but the network has to be loaded. */
adafire_status adafire_open(adafire_board *board, const adafire_port *port, const uint32_t build[4],
                            const adafire_network *network, uint8_t *buffer, size_t size, uint8_t sequence);

/* Load a network: `bytes` bytes of image.bin. `source` copies `size` of them from `position` on to `data` and
 * returns 0. It is asked for all of them once, to check the digest before anything is sent, then to send them, and
 * again for what got lost. adafire_run runs this network from now on. */
typedef int adafire_source(void *context, uint32_t position, uint8_t *data, size_t size);
adafire_status adafire_load(adafire_board *board, const adafire_network *network, adafire_source *source,
                            void *context, uint32_t bytes);

/* A source that lies in memory: `context` is its first byte. */
int adafire_memory(void *context, uint32_t position, uint8_t *data, size_t size);

/* Make the input of adafire_run, input_size * input_bytes bytes, of pixels; where several images are run together that
 * of one of them, or of all, whose maps lie one behind the other. */
void adafire_input(const adafire_network *network, const adafire_pixels *shape, const uint8_t *pixels,
                   uint8_t *input);

/* Run one image; `values` takes the values of all outputs, one output behind the other, each in raster order, its
 * channels innermost: `size` says how many it can hold.
 * A design for several images together, ADAFIRE_DESIGN_IMAGES, takes so many as one: `input` has one behind the other,
 * and so has `values`. The class is that of the last one then, and timesteps, cycles and counts are of all together;
 * adafire_classes has the class of each. */
adafire_status adafire_run(adafire_board *board, const uint8_t *input, adafire_result *result, int32_t *values,
                           uint32_t size);

/* The same for results too large to be held: `sink` is given the values piece by piece, `count` of them from
 * `position` on, and returns 0 to go on. After a fault it begins again at position 0. */
typedef int adafire_sink(void *context, uint32_t position, const int32_t *values, uint32_t count);
adafire_status adafire_run_to(adafire_board *board, const uint8_t *input, adafire_result *result, adafire_sink *sink,
                              void *context);

/* The same for images too large to be held, too: `source` copies `size` bytes of the input from `position` on to
 * `data`, piece by piece in order, and returns 0. After a fault it begins again at position 0. */
adafire_status adafire_run_from(adafire_board *board, adafire_source *source, void *source_context,
                                adafire_result *result, adafire_sink *sink, void *context);

/* The classes at `positions` of an output of `channels`, whose values lie channels innermost, as adafire_run gives them:
 * the largest at each, the first of several; of one channel 1 where it is above zero, else 0. */
void adafire_classes(const int32_t *values, uint32_t channels, uint32_t positions, uint32_t *classes);

/* Give up what the board is doing. After adafire_run there is nothing; call it when the program gave up itself. */
adafire_status adafire_abort(adafire_board *board);

/* Read registers RESULTS to BUSY. */
adafire_status adafire_counters(adafire_board *board, uint32_t counters[ADAFIRE_COUNTER_WORDS]);

const char *adafire_text(adafire_status status);
const char *adafire_fault_text(enum adafire_fault fault);

#ifdef __cplusplus
}
#endif

#endif
