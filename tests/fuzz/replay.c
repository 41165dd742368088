/* Runs a fuzz target without a fuzzer: over its seeds, and over mutations of them that are the same
 * in every run. So each build (also those under sanitizers) exercises every target for a moment,
 * with any compiler; `./dev fuzz` does it properly.
 *
 *     replay_<thing> MUTATIONS SEED-FILE... */
#include "base/hash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

enum { INPUT_MAX = 64 * 1024 };

static const uint8_t *running;
static size_t running_size;

/* What was being run is kept for the fuzzer to look at. */
static void on_abort(int number UNUSED)
{
    static const char told[] = "the input is in ./finding\n";
    int fd = open("finding", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0 && write(fd, running, running_size) == (ssize_t)running_size)
        (void)!write(STDERR_FILENO, told, sizeof(told) - 1);
    signal(SIGABRT, SIG_DFL);
}

/* Exact memory for every run, so that AddressSanitizer sees the first byte too far. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_resize(NULL, size > 0 ? size : 1);

    if (size > 0)
        memcpy(copy, data, size);
    running = copy;
    running_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One small change at a place that `state` chooses. */
static size_t mutate(uint8_t *data, size_t size, uint64_t *state)
{
    static const uint8_t telling[] = {0,   9,   10,  13,  ' ',  ':',  ';',
                                      ',', '/', '%', '0', 0x7f, 0x80, 0xff};
    uint64_t dice = rand_next(state);
    size_t at = size > 0 ? dice % size : 0, len;

    switch (dice >> 60) {
    case 0: /* cut */
        return at;
    case 1: /* repeat a piece */
        len = MIN(size - at, (dice >> 32) % 64);
        len = MIN(len, INPUT_MAX - size);
        memmove(data + at + len, data + at, size - at);
        return size + len;
    case 2: /* take a piece out */
        len = MIN(size - at, (dice >> 32) % 16);
        memmove(data + at, data + at + len, size - at - len);
        return size - len;
    case 3:
    case 4:
    case 5:
    case 6: /* a byte that means something */
        if (size > 0)
            data[at] = telling[(dice >> 32) % sizeof(telling)];
        return size;
    default: /* a bit */
        if (size > 0)
            data[at] ^= (uint8_t)(1 << (dice >> 32) % 8);
        return size;
    }
}

static void run_mutations(const uint8_t *seed, size_t size, unsigned count)
{
    static uint8_t data[INPUT_MAX];
    uint64_t state = size;

    for (unsigned i = 0; i < count; i++) {
        memcpy(data, seed, size);
        size_t len = size;
        for (unsigned changes = 1 + i % 4; changes > 0; changes--)
            len = mutate(data, len, &state);
        run(data, len);
    }
}

int main(int argc, char **argv)
{
    static uint8_t seed[INPUT_MAX];
    unsigned mutations = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    signal(SIGABRT, on_abort);
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    run(seed, 0);
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        size_t size = fread(seed, 1, sizeof(seed), file);
        fclose(file);
        run(seed, size);
        run_mutations(seed, size, mutations);
    }
    printf("%d seeds, %u mutations of each\n", argc - 2, mutations);
    return 0;
}
