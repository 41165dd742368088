/* The pages of an h2 session. Of all that nghttp2 keeps as long as a session lives, two pieces are
 * large and mean nothing while no stream is open: its table of streams, all zeroes then, and the
 * buffer of 16 KiB in which it packs frames, of which most frames need the first hundred bytes.
 * Each stands on pages of its own, so that the pages of an idle session can be given back
 * (h2_slot_rest) and come again, as zeroes, when they are touched.
 *
 * A region is a piece of the address space that begins with the books on its slots. It is aligned
 * to its size, so an address leads to the books. Regions stay with their thread; pages of slots
 * that nobody has do not, but for a few. */
#include "http/h2_impl.h"

#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE_BYTES = H2_SLOT_ALIGN,
    TABLE_BYTES = PAGE_BYTES,
    FRAMES_MIN = 16384,            /* the frame buffer is larger than this, */
    FRAMES_BYTES = 5 * PAGE_BYTES, /* and has room in so many */
    SLOT_BYTES = 8 * PAGE_BYTES,
    REGION_SLOTS = 32, /* the first one's place is for the books */
    REGION_BYTES = REGION_SLOTS * SLOT_BYTES,
    FREE_KEEP = 64, /* free slots that keep their pages */
};

enum part { PART_TABLE = BIT(0), PART_FRAMES = BIT(1) };

struct h2_slot {
    struct h2_slot *next; /* while free */
    uint8_t parts;        /* enum part: taken */
};

struct region {
    struct region *older;
    struct h2_slot slots[REGION_SLOTS];
};
_Static_assert(sizeof(struct region) <= PAGE_BYTES, "the books are one page");

static _Thread_local struct {
    struct region *regions; /* owns, newest first */
    struct h2_slot *free;
    unsigned free_count;
    unsigned fresh; /* slots of the newest region that were never taken: the last ones */
} mine;

static struct region *region_of(const void *at)
{
    return (struct region *)((uintptr_t)at & ~(uintptr_t)(REGION_BYTES - 1));
}

static char *table_of(const struct h2_slot *slot)
{
    struct region *region = region_of(slot);

    return (char *)region + (size_t)(slot - region->slots) * SLOT_BYTES;
}

static char *frames_of(const struct h2_slot *slot)
{
    return table_of(slot) + TABLE_BYTES;
}

static struct h2_slot *slot_of(const void *memory)
{
    struct region *region = region_of(memory);

    return &region->slots[(size_t)((const char *)memory - (char *)region) / SLOT_BYTES];
}

static enum part part_of(const void *memory)
{
    return memory == table_of(slot_of(memory)) ? PART_TABLE : PART_FRAMES;
}

/* False when the system has no memory. */
static bool region_new(void)
{
    char *map = mmap(NULL, 2 * (size_t)REGION_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return false;
    struct region *region = region_of(map + REGION_BYTES - 1);
    size_t before = (size_t)((char *)region - map);
    if (before > 0)
        munmap(map, before);
    if (before < REGION_BYTES)
        munmap((char *)region + REGION_BYTES, REGION_BYTES - before);
    madvise(region, REGION_BYTES, MADV_NOHUGEPAGE); /* a page here and there is the point */
    region->older = mine.regions;
    mine.regions = region;
    mine.fresh = REGION_SLOTS - 1;
    return true;
}

struct h2_slot *h2_slot_open(void)
{
    struct h2_slot *slot = mine.free;

    if (slot != NULL) {
        mine.free = slot->next;
        mine.free_count--;
        return slot;
    }
    if (mine.fresh == 0 && !region_new())
        return NULL;
    return &mine.regions->slots[REGION_SLOTS - mine.fresh--];
}

/* Only whole pages can be dropped: where the system's are larger than ours, the neighbours would go
 * with them. */
static void drop_pages(char *at, size_t bytes)
{
    if (sysconf(_SC_PAGESIZE) == PAGE_BYTES)
        madvise(at, bytes, MADV_DONTNEED);
}

struct h2_slot *h2_slot_settle(struct h2_slot *slot)
{
    if (slot->parts != 0)
        return slot;
    if (mine.free_count >= FREE_KEEP)
        drop_pages(table_of(slot), TABLE_BYTES + FRAMES_BYTES);
    slot->next = mine.free;
    mine.free = slot;
    mine.free_count++;
    return NULL;
}

void *h2_slot_take(struct h2_slot *slot, size_t size)
{
    if (size == TABLE_BYTES && !(slot->parts & PART_TABLE)) {
        slot->parts |= PART_TABLE;
        return table_of(slot);
    }
    if (size > FRAMES_MIN && size <= FRAMES_BYTES && !(slot->parts & PART_FRAMES)) {
        slot->parts |= PART_FRAMES;
        return frames_of(slot);
    }
    return NULL;
}

void h2_slot_give(void *memory)
{
    struct h2_slot *slot = slot_of(memory);

    slot->parts &= (uint8_t)~part_of(memory);
    h2_slot_settle(slot);
}

size_t h2_slot_bytes(const void *memory)
{
    return part_of(memory) == PART_TABLE ? TABLE_BYTES : FRAMES_BYTES;
}

static bool is_zero(const char *at, size_t bytes)
{
    const uint64_t *words = (const void *)at;
    uint64_t all = 0;

    for (size_t i = 0; i < bytes / sizeof(*words); i++)
        all |= words[i];
    return all == 0;
}

void h2_slot_rest(struct h2_slot *slot)
{
    if (slot->parts & PART_FRAMES)
        drop_pages(frames_of(slot), FRAMES_BYTES);
    if ((slot->parts & PART_TABLE) && is_zero(table_of(slot), TABLE_BYTES))
        drop_pages(table_of(slot), TABLE_BYTES);
}

void h2_slots_unmap(void)
{
    while (mine.regions != NULL) {
        struct region *region = mine.regions;
        mine.regions = region->older;
        munmap(region, REGION_BYTES);
    }
    mine.free = NULL;
    mine.free_count = mine.fresh = 0;
}
