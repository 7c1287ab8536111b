/* Stands in for libnvidia-ml.so.1: what the cards are is read from the file that FAKE_NVML names,
 * at every call, so that a test can change it under a running program.
 *
 *   card UUID MEMORY_BYTES ERROR NAME...    one for each card, in the order of the PCI bus
 *   use  CARD PID BYTES                     a process that computes on a card, by its number
 *   fail FUNCTION ERROR                     every call of a function ends with an NVML error code
 *   hang FUNCTION FILE                      it does not return before a file is there
 *
 * As with the real one, the number of cards is that of the moment when it was opened: a card that
 * goes away is lost, and is counted until the library is opened anew. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, INSUFFICIENT = 7, LOST = 15 };
enum { CARDS = 64, LINE = 512 };

typedef struct {
    unsigned long long total, free, used;
} memory_t;

typedef struct {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} process_t;

typedef struct {
    char uuid[96], name[96];
    unsigned long long memory;
    int error;
} card_t;

static unsigned int opened, counted;

static FILE *state(void) {
    const char *path = getenv("FAKE_NVML");
    return path ? fopen(path, "r") : NULL;
}

/* The error that the state wants of a function; waits first where it is to hang. */
static int wanted(const char *function) {
    char line[LINE], name[LINE], file[LINE];
    int error = OK, code;
    FILE *in = state();
    if (!in) return 9; /* driver not loaded */
    while (fgets(line, sizeof line, in)) {
        if (sscanf(line, "fail %s %d", name, &code) == 2 && !strcmp(name, function)) error = code;
        if (sscanf(line, "hang %s %s", name, file) == 2 && !strcmp(name, function))
            while (access(file, F_OK)) usleep(2000);
    }
    fclose(in);
    return error;
}

static unsigned int cards(card_t *found) {
    char line[LINE];
    unsigned int count = 0;
    FILE *in = state();
    while (in && count < CARDS && fgets(line, sizeof line, in)) {
        card_t *card = found + count;
        if (sscanf(line, "card %95s %llu %d %95[^\n]", card->uuid, &card->memory, &card->error,
                   card->name) == 4)
            count++;
    }
    if (in) fclose(in);
    return count;
}

/* One card by its handle, which is its number and one. */
static int find(const char *function, void *handle, card_t *card) {
    card_t found[CARDS];
    unsigned int number = (unsigned int)(size_t)handle - 1;
    int error = wanted(function);
    if (!opened) return UNINITIALIZED;
    if (error) return error;
    if (number >= counted) return INVALID;
    if (number >= cards(found)) return LOST;
    *card = found[number];
    return card->error;
}

int nvmlInitWithFlags(unsigned int flags) {
    card_t found[CARDS];
    int error = wanted("nvmlInit");
    (void)flags;
    if (error) return error;
    if (!opened++) counted = cards(found);
    return OK;
}

int nvmlShutdown(void) {
    if (!opened) return UNINITIALIZED;
    opened--;
    return OK;
}

const char *nvmlErrorString(int error) {
    (void)error;
    return "an error of the fake";
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    int error = wanted("nvmlDeviceGetCount");
    if (!opened) return UNINITIALIZED;
    *count = counted;
    return error;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    card_t card;
    *handle = (void *)((size_t)index + 1);
    return find("nvmlDeviceGetHandleByIndex", *handle, &card);
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int length) {
    card_t card;
    int error = find("nvmlDeviceGetUUID", handle, &card);
    if (!error) snprintf(uuid, length, "%s", card.uuid);
    return error;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int length) {
    card_t card;
    int error = find("nvmlDeviceGetName", handle, &card);
    if (!error) snprintf(name, length, "%s", card.name);
    return error;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
    card_t card;
    int error = find("nvmlDeviceGetMemoryInfo", handle, &card);
    if (!error) *memory = (memory_t){card.memory, card.memory, 0};
    return error;
}

static int processes(const char *function, void *handle, unsigned int *count, process_t *infos) {
    card_t card;
    char line[LINE];
    unsigned int number, found = 0;
    process_t one = {0};
    FILE *in;
    int error = find(function, handle, &card);
    if (error) return error;
    in = state();
    while (in && fgets(line, sizeof line, in)) {
        if (sscanf(line, "use %u %u %llu", &number, &one.pid, &one.used) != 3) continue;
        if (number != (unsigned int)(size_t)handle - 1) continue;
        if (infos && found < *count) infos[found] = one;
        found++;
    }
    if (in) fclose(in);
    error = found > *count ? INSUFFICIENT : OK;
    *count = found;
    return error;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, process_t *infos) {
    return processes("nvmlDeviceGetComputeRunningProcesses", handle, count, infos);
}
#endif

int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned int *count, process_t *infos) {
    return processes("nvmlDeviceGetComputeRunningProcesses", handle, count, infos);
}
