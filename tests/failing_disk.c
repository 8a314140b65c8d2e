/* A disk that fails: preloaded, it lets the k-th write (or sync) of files below a folder fail, in whatever process.
 *
 * DISK_FOLDER   the folder
 * DISK_COUNTER  a file of 8 bytes that all processes count in
 * DISK_CALLS    "write" or "sync"
 * DISK_FAILS_AT the number of the call that fails; with DISK_STAYS, every one from there on
 * DISK_ERRNO    what it says
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_long *counter;

static int is_below(int fd)
{
    const char *folder = getenv("DISK_FOLDER");
    char link[64], path[PATH_MAX];
    if (!folder)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    /* Not the folder itself: what a sync of that says, SQLite does not heed. */
    return strncmp(path, folder, strlen(folder)) == 0 && path[strlen(folder)] == '/';
}

static int fails(int fd, const char *calls)
{
    const char *wanted = getenv("DISK_CALLS"), *at = getenv("DISK_FAILS_AT");
    if (!wanted || !at || strcmp(wanted, calls) || !is_below(fd))
        return 0;
    if (!counter) {
        int file = open(getenv("DISK_COUNTER"), O_RDWR);
        counter = mmap(0, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
    }
    long number = atomic_fetch_add(counter, 1) + 1, limit = atol(at);
    if (number < limit || (number > limit && !getenv("DISK_STAYS")))
        return 0;
    errno = atoi(getenv("DISK_ERRNO"));
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    return fails(fd, "write") ? -1 : real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    REAL(pwrite);
    return fails(fd, "write") ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    return fails(fd, "write") ? -1 : real(fd, data, size, at);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return fails(fd, "write") ? -1 : real(fd, size);
}

int fsync(int fd)
{
    REAL(fsync);
    return fails(fd, "sync") ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return fails(fd, "sync") ? -1 : real(fd);
}
