// Preloaded into every process of an adverse rebuild: the time of day is 500 days and some hours
// ahead. Clocks that only measure stay.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// The toolchain hides what is not asked for.
#define EXPORT __attribute__((visibility("default")))

static const time_t kAhead = 500 * 86400 + 5 * 3600 + 17 * 60 + 11;

EXPORT int clock_gettime(clockid_t clock, struct timespec* result) {
  int status = (int)syscall(SYS_clock_gettime, clock, result);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    result->tv_sec += kAhead;
  }
  return status;
}

EXPORT int gettimeofday(struct timeval* restrict result, void* restrict zone) {
  int status = (int)syscall(SYS_gettimeofday, result, zone);
  if (status == 0) {
    result->tv_sec += kAhead;
  }
  return status;
}

EXPORT time_t time(time_t* result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) {
    *result = now.tv_sec;
  }
  return now.tv_sec;
}
