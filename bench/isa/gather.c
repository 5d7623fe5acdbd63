// Preloaded beside a driver without hardware. Compilers print tens of megabytes to standard error, a word to a call of the
// system, which takes NVIDIA's three times as long as compiling: here they are gathered, of the C library's stream and others
// alike.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char gathered[1 << 20];
static size_t length;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void flush(void) {
  for (size_t at = 0; at < length;) {
    const ssize_t written = syscall(SYS_write, STDERR_FILENO, gathered + at, length - at);
    if (written >= 0) at += written;
    else if (errno != EINTR) break;
  }
  length = 0;
}

ssize_t write(int file, const void *bytes, size_t size) {
  if (file != STDERR_FILENO) return syscall(SYS_write, file, bytes, size);
  const size_t taken = size < sizeof gathered ? size : sizeof gathered;
  pthread_mutex_lock(&lock);
  if (length + taken > sizeof gathered) flush();
  memcpy(gathered + length, bytes, taken);
  length += taken;
  pthread_mutex_unlock(&lock);
  return taken;
}

static ssize_t of_stream(void *cookie, const char *bytes, size_t size) {
  (void)cookie;
  return write(STDERR_FILENO, bytes, size);
}

__attribute__((constructor)) static void begin(void) {
  // The C library's stream does not write by write().
  FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = of_stream});
  if (stream == NULL) return;
  setvbuf(stream, NULL, _IONBF, 0);
  stderr = stream;
}

__attribute__((destructor)) static void end(void) { flush(); }
