/* The message model on any fields: each line of the input "name: value" becomes one. After
 * the removal of hop-by-hop fields there are none left, and look-ups agree with a plain search. */
#include "http/head.h"

static void check_lookups(const struct head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        enum header_id id = header_lookup(field->name);
        ASSERT(field->id == id);
        ASSERT(id == HEADER_OTHER || str_eq_nocase(header_name(id), field->name));
        if (!field->removed)
            ASSERT(head_find_name(head, field->name) != NULL);
    }
}

static void check_stripped(const struct head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        unsigned flags = header_flags((enum header_id)field->id);
        bool may_stay = field->id == HEADER_TE && str_eq_nocase(field->value, STR("trailers"));
        if ((flags & HEADER_HOP_BY_HOP) && !may_stay)
            ASSERT(field->removed);
        if ((flags & (HEADER_PROTECTED | HEADER_HOP_BY_HOP)) == HEADER_PROTECTED)
            ASSERT(!field->removed);
    }
    ASSERT(head_find(head, HEADER_CONNECTION) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make(data, size), line, name, value;
    struct arena arena;
    struct head head;

    arena_init(&arena, NULL);
    head_init(&head, &arena);
    head.version = HTTP_1_1;
    head.path = STR("/");
    while (str_next(&rest, '\n', &line) && head.field_count < 200) {
        str_cut(line, ':', &name, &value);
        head_add(&head, name, str_trim(value));
    }
    head.authority = head_value(&head, HEADER_HOST);
    (void)head_check_request(&head, (unsigned)head.field_count % 4);
    check_lookups(&head);
    if (head_strip_hop_by_hop(&head) == REASON_NONE)
        check_stripped(&head);
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        head_set(&head, (enum header_id)id, STR("x"));
        ASSERT(head_count(&head, (enum header_id)id) == 1);
        head_remove(&head, (enum header_id)id);
        ASSERT(head_find(&head, (enum header_id)id) == NULL);
    }
    arena_reset(&arena);
    return 0;
}
