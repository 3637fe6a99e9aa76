/*
 * A bad machine: preloaded into a server, it makes flushes and writes of transaction logs slow or
 * fail, and its clock wrong, as the file named by BAD_MACHINE says. The file holds one `struct
 * control` and may be written at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A kind of call: once `left` more of them have worked, each fails with `error`, if that is not 0. */
struct calls {
    _Atomic int64_t error;
    _Atomic int64_t left;
};

/* In the order of `compat_tests::machine::Field`. */
struct control {
    struct calls flushes;
    struct calls writes;
    _Atomic int64_t flush_delay_ms;
    _Atomic int64_t clock_offset_s;
};

static struct control none;
static struct control *control = &none;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("BAD_MACHINE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *mapped = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) {
        control = mapped;
    }
}

static int is_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = 0;
    return strstr(path, "/version-2/log.") != NULL;
}

/* Whether this call is to fail; sets errno if so. */
static int fails(struct calls *calls, int fd) {
    int error = (int)calls->error;
    if (error == 0 || !is_log(fd) || atomic_fetch_sub(&calls->left, 1) > 0) {
        return 0;
    }
    errno = error;
    return 1;
}

static int flush(int (*real)(int), int fd) {
    int64_t delay_ms = control->flush_delay_ms;
    if (delay_ms > 0 && is_log(fd)) {
        struct timespec delay = {delay_ms / 1000, delay_ms % 1000 * 1000000};
        nanosleep(&delay, NULL);
    }
    return fails(&control->flushes, fd) ? -1 : real(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fdatasync(int fd) {
    static __typeof__(&fdatasync) real;
    if (real == NULL) {
        real = REAL(fdatasync);
    }
    return flush(real, fd);
}

int fsync(int fd) {
    static __typeof__(&fsync) real;
    if (real == NULL) {
        real = REAL(fsync);
    }
    return flush(real, fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    static __typeof__(&write) real;
    if (real == NULL) {
        real = REAL(write);
    }
    return fails(&control->writes, fd) ? -1 : real(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    static __typeof__(&pwrite64) real;
    if (real == NULL) {
        real = REAL(pwrite64);
    }
    return fails(&control->writes, fd) ? -1 : real(fd, bytes, length, at);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (real == NULL) {
        real = REAL(clock_gettime);
    }
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += control->clock_offset_s;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    if (result == 0) {
        now->tv_sec = time.tv_sec;
        now->tv_usec = time.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *result) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL) {
        *result = now.tv_sec;
    }
    return now.tv_sec;
}
