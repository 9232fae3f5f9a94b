/* Runs images on a board: what a microcontroller would do, with a POSIX serial port in place of its UART.
 *
 *   cc -std=c99 -O2 -I build -I host/c examples/microcontroller/main.c host/c/adafire*.c -o run_images
 *   ./run_images /dev/ttyUSB0 images.raw [build/image.bin]
 *
 * `build` is the folder made by `adafire generate`; images.raw is what x.tofile("images.raw") writes of uint8
 * images [N, C, H, W]. Prints for every image its exit step and, by the network's task, its class and logits, the class
 * at every position, or the values of every output. With image.bin the network is loaded if the board does not hold it.
 * A design that takes several images together is given so many at a time, the last one again where some are missing.
 * On a microcontroller only port_read and port_write are different.
 */
#define _DEFAULT_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "adafire.h"

#define IMAGES ADAFIRE_DESIGN_IMAGES
#define PIXELS (ADAFIRE_DESIGN_MAPS * ADAFIRE_DESIGN_CHANNELS * ADAFIRE_DESIGN_HEIGHT * ADAFIRE_DESIGN_WIDTH)
#define BYTES (ADAFIRE_DESIGN_INPUT_SIZE / IMAGES * ADAFIRE_DESIGN_INPUT_BYTES)
#define VALUES (ADAFIRE_DESIGN_OUTPUTS / IMAGES)

static const uint32_t build[4] = ADAFIRE_DESIGN_BUILD;
static const adafire_network network = ADAFIRE_DESIGN_NETWORK_INIT;
static const int32_t offsets[] = ADAFIRE_DESIGN_OFFSETS;
static const adafire_pixels shape = {
    ADAFIRE_DESIGN_MAPS, ADAFIRE_DESIGN_CHANNELS, ADAFIRE_DESIGN_HEIGHT, ADAFIRE_DESIGN_WIDTH, offsets};

static uint8_t buffer[4096 > ADAFIRE_BUFFER_BYTES ? 4096 : ADAFIRE_BUFFER_BYTES];
static uint8_t pixels[PIXELS];
static uint8_t input[IMAGES * BYTES];
static int32_t values[ADAFIRE_DESIGN_OUTPUTS];
static uint32_t classes[VALUES];
static const uint32_t outputs[ADAFIRE_DESIGN_RESULTS][3] = ADAFIRE_DESIGN_SHAPES;
static const char *const names[] = ADAFIRE_DESIGN_NAMES;
static const char *const labels[] = ADAFIRE_DESIGN_LABEL;
static const unsigned decides = ADAFIRE_DESIGN_DECIDES, known_labels = ADAFIRE_DESIGN_LABELS;

/* ---- the serial port ---- */

static int port_read(void *context, uint8_t *data, size_t size, uint32_t timeout_ms) {
  struct pollfd port = {*(int *)context, POLLIN, 0};
  int ready = poll(&port, 1, (int)timeout_ms);
  if (ready <= 0) return ready;
  ssize_t came = read(port.fd, data, size);
  return came > 0 ? (int)came : -1; /* ready and yet nothing: the cable is out */
}

static int port_write(void *context, const uint8_t *data, size_t size) {
  while (size > 0) {
    ssize_t sent = write(*(int *)context, data, size);
    if (sent < 0 && errno != EINTR) return -1;
    if (sent > 0) {
      data += sent;
      size -= (size_t)sent;
    }
  }
  return 0;
}

static speed_t speed(unsigned long baud) {
  switch (baud) {
    case 9600: return B9600;
    case 19200: return B19200;
    case 38400: return B38400;
    case 57600: return B57600;
    case 115200: return B115200;
    case 230400: return B230400;
#ifdef B1000000
    case 460800: return B460800;
    case 921600: return B921600;
    case 1000000: return B1000000;
    case 2000000: return B2000000;
    case 3000000: return B3000000;
#endif
    default: return B0;
  }
}

static int open_port(const char *name) {
  struct termios settings;
  int port = open(name, O_RDWR | O_NOCTTY);
  if (port < 0 || tcgetattr(port, &settings) < 0) return -1;
  if (speed(ADAFIRE_DESIGN_BAUD) == B0) {
    fprintf(stderr, "%lu baud is none of termios' rates\n", (unsigned long)ADAFIRE_DESIGN_BAUD);
    return -1;
  }
  cfmakeraw(&settings);
  cfsetspeed(&settings, speed(ADAFIRE_DESIGN_BAUD));
  return tcsetattr(port, TCSANOW, &settings) < 0 ? -1 : port;
}

/* ---- the network, read from a file ---- */

static int file_source(void *context, uint32_t position, uint8_t *data, size_t size) {
  FILE *file = context;
  return fseek(file, (long)position, SEEK_SET) != 0 || fread(data, 1, size, file) != size;
}

static adafire_status load_file(adafire_board *board, const char *name) {
  FILE *file = fopen(name, "rb");
  if (file == NULL) return ADAFIRE_E_SOURCE;
  long bytes = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  adafire_status status = ADAFIRE_E_SOURCE;
  if (bytes > 0) status = adafire_load(board, &network, file_source, file, (uint32_t)bytes);
  fclose(file);
  return status;
}

static int failed(const adafire_board *board, adafire_status status) {
  fprintf(stderr, "%s", adafire_text(status));
  if (status == ADAFIRE_E_REFUSED) fprintf(stderr, ": %s (expected %lu)", adafire_fault_text(board->fault),
                                           (unsigned long)board->expected);
  fprintf(stderr, "\n");
  return 1;
}

/* ---- the images, read from a file ---- */

/* Make the input of the next images; return how many there were. The last one stands for those that are missing. */
static size_t read_images(FILE *file) {
  size_t count = 0;
  for (size_t n = 0; n < IMAGES; n++) {
    if (fread(pixels, 1, PIXELS, file) == PIXELS) count++;
    adafire_input(&network, &shape, pixels, input + n * BYTES);
  }
  return count;
}

/* ---- what the values mean ---- */

static uint32_t size_of(unsigned output) { return outputs[output][0] * outputs[output][1] * outputs[output][2]; }

static void print_values(const char *name, const int32_t *first, uint32_t count) {
  printf(" %s", name);
  for (uint32_t i = 0; i < count; i++) printf(" %ld", (long)first[i]);
}

/* Find the class at every position of the output that decides, of the image whose values begin at `first`; return how
 * many these are. */
static uint32_t find_classes(const int32_t *first) {
  const uint32_t channels = outputs[decides][0], positions = size_of(decides) / channels;
  for (unsigned i = 0; i < decides; i++) first += size_of(i);
  adafire_classes(first, channels, positions, classes);
  return positions;
}

/* Print what image `n` of a result gave. */
static void print_result(const adafire_result *result, size_t n) {
  const int32_t *first = values + n * VALUES;
  const uint32_t positions = find_classes(first);
  const unsigned long number = (unsigned long)(IMAGES > 1 ? classes[0] : result->class_number);
  const unsigned long step = (unsigned long)(result->timesteps / IMAGES);
  switch (ADAFIRE_DESIGN_TASK) {
    case ADAFIRE_TASK_CLASSIFY:
      printf("class %lu", number);
      if (number < known_labels) printf(" %s", labels[number]);
      printf(" exit step %lu", step);
      print_values("logits", first, VALUES);
      break;
    case ADAFIRE_TASK_SEGMENT:
      printf("exit step %lu classes", step);
      for (uint32_t i = 0; i < positions; i++) printf(" %lu", (unsigned long)classes[i]);
      break;
    default: /* boxes are made on a larger host */
      printf("exit step %lu", step);
      for (unsigned i = 0; i < ADAFIRE_DESIGN_RESULTS; first += size_of(i++)) print_values(names[i], first, size_of(i));
  }
  printf("\n");
}

int main(int argc, char **argv) {
  static adafire_board board;
  adafire_result result;
  size_t count;
  int fd;
  FILE *images;

  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: %s PORT IMAGES.raw [image.bin]\n", argv[0]);
    return 2;
  }
  images = fopen(argv[2], "rb");
  if (images == NULL) {
    perror(argv[2]);
    return 2;
  }
  fd = open_port(argv[1]);
  if (fd < 0) {
    perror(argv[1]);
    return 1;
  }
  const adafire_port port = {&fd, port_read, port_write};
  adafire_status status = adafire_open(&board, &port, build, &network, buffer, sizeof buffer, (uint8_t)time(NULL));
  if (status == ADAFIRE_E_NETWORK && argc == 4) status = load_file(&board, argv[3]);
  if (status != ADAFIRE_OK) return failed(&board, status);

  while ((count = read_images(images)) > 0) {
    status = adafire_run(&board, input, &result, values, ADAFIRE_DESIGN_OUTPUTS);
    if (status == ADAFIRE_E_NETWORK && argc == 4) { /* it lost its power meanwhile */
      status = load_file(&board, argv[3]);
      if (status == ADAFIRE_OK) status = adafire_run(&board, input, &result, values, ADAFIRE_DESIGN_OUTPUTS);
    }
    if (status != ADAFIRE_OK) return failed(&board, status);
    for (size_t n = 0; n < count; n++) print_result(&result, n);
  }
  fclose(images);
  close(fd);
  return 0;
}
