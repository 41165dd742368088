/* Reads /proc/self, on the control thread, because opening files may wait. */
#include "observe/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Fields of /proc/self/stat behind the command name, counted from the state (proc(5): field 3). */
enum {
    STAT_UTIME = 11,
    STAT_STIME = 12,
    STAT_THREADS = 17,
    STAT_START = 19,
    STAT_VSIZE = 20,
    STAT_RSS = 21
};

struct str process_read(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    out[len] = '\0';
    return str_make(out, len);
}

static void print_figure(struct text *out, enum metric_id id, double value)
{
    char digits[40];
    int len = snprintf(digits, sizeof(digits), "%.15g", value);

    text_add_metric(out, id);
    text_add_sample_text(out, id, NULL, str_make(digits, (size_t)len));
}

/* When the machine was started, in seconds since 1970; 0 when unknown. */
static double boot_time(void)
{
    struct timespec since_boot;

    if (clock_gettime(CLOCK_BOOTTIME, &since_boot) < 0)
        return 0;
    return (double)clock_wall_us() / 1e6 -
           ((double)since_boot.tv_sec + (double)since_boot.tv_nsec / 1e9);
}

static void print_stat(struct text *out)
{
    char stat[1024];
    unsigned long long field[STAT_RSS + 1] = {0};

    if (process_read("/proc/self/stat", stat, sizeof(stat)).len == 0)
        return;
    char *at = strrchr(stat, ')'); /* the name before it may contain any character */
    if (at == NULL)
        return;
    at += 4; /* ") S " */
    for (unsigned i = 1; i <= STAT_RSS; i++)
        field[i] = strtoull(at, &at, 10);

    double tick = (double)sysconf(_SC_CLK_TCK);
    print_figure(out, METRIC_PROCESS_CPU, (double)(field[STAT_UTIME] + field[STAT_STIME]) / tick);
    print_figure(out, METRIC_PROCESS_RESIDENT,
                 (double)field[STAT_RSS] * (double)sysconf(_SC_PAGESIZE));
    print_figure(out, METRIC_PROCESS_VIRTUAL, (double)field[STAT_VSIZE]);
    print_figure(out, METRIC_PROCESS_THREADS, (double)field[STAT_THREADS]);
    if (boot_time() > 0)
        print_figure(out, METRIC_PROCESS_START, boot_time() + (double)field[STAT_START] / tick);
}

static void print_fds(struct text *out)
{
    struct rlimit limit;
    DIR *dir = opendir("/proc/self/fd");

    if (dir != NULL) {
        unsigned count = 0;
        for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
            count += entry->d_name[0] != '.';
        closedir(dir);
        print_figure(out, METRIC_PROCESS_OPEN_FDS,
                     count > 0 ? count - 1 : 0); /* not the directory itself */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        print_figure(out, METRIC_PROCESS_MAX_FDS, (double)limit.rlim_cur);
}

void process_metrics_print(struct text *out)
{
    print_stat(out);
    print_fds(out);
}
