/* The message model: fields in a head, by id or by name, and the fields that go with one hop. */
#include "http/head.h"

#include "base/field_names.h"
#include "http/chars.h"

/* --- fields ---------------------------------------------------------------------------------- */

void head_init(struct head *head, struct arena *arena)
{
    *head = (struct head){.arena = arena, .content_length = CONTENT_LENGTH_NONE};
}

void head_init_response(struct head *head, struct arena *arena, int status)
{
    head_init(head, arena);
    head->version = HTTP_1_1;
    head->status = status;
    head->phrase = status_phrase(status);
}

enum { FIELDS_FIRST_CAP = 32 };

static void grow_fields(struct head *head)
{
    uint16_t cap = head->field_cap > 0 ? (uint16_t)(head->field_cap * 2) : FIELDS_FIRST_CAP;
    struct field *fields = arena_alloc(head->arena, cap * sizeof(*fields));

    if (head->field_count > 0)
        memcpy(fields, head->fields, head->field_count * sizeof(*fields));
    head->fields = fields;
    head->field_cap = cap;
}

static struct field *add(struct head *head, struct str name, struct str value, enum header_id id)
{
    if (UNLIKELY(head->field_count == head->field_cap))
        grow_fields(head);

    struct field *field = &head->fields[head->field_count++];
    *field = (struct field){.name = name, .value = value, .id = (uint8_t)id};
    if (head->first[id] == 0)
        head->first[id] = head->field_count;
    return field;
}

enum { FIELDS_SPARE = 12 }; /* of a copy: what a proxy adds mostly fits */

struct head *head_copy(const struct head *head)
{
    struct head *copy = arena_alloc(head->arena, sizeof(*copy));

    *copy = *head;
    copy->field_cap = (uint16_t)(head->field_count + FIELDS_SPARE);
    copy->fields = arena_alloc(head->arena, copy->field_cap * sizeof(*copy->fields));
    if (head->field_count > 0)
        memcpy(copy->fields, head->fields, head->field_count * sizeof(*copy->fields));
    return copy;
}

struct field *head_add(struct head *head, struct str name, struct str value)
{
    return add(head, name, value, header_lookup(name));
}

struct field *head_add_lower(struct head *head, struct str name, struct str value)
{
    struct field *field = head_add(head, name, value);

    field->is_lower = true;
    return field;
}

struct field *head_add_id(struct head *head, enum header_id id, struct str value)
{
    struct field *field = add(head, header_name(id), value, id);

    field->is_lower = true;
    return field;
}

/* The next live field with `id` at index `from` or later; NULL. */
static struct field *find_from(const struct head *head, enum header_id id, unsigned from)
{
    for (unsigned i = from; i < head->field_count; i++) {
        if (head->fields[i].id == id && !head->fields[i].removed)
            return &head->fields[i];
    }
    return NULL;
}

static bool is_received(const struct field *field)
{
    return !field->removed || field->hop_by_hop;
}

static struct field *find_next(const struct head *head, const struct field *after)
{
    return find_from(head, after->id, (unsigned)(after - head->fields) + 1);
}

struct field *head_find(const struct head *head, enum header_id id)
{
    if (head->first[id] == 0)
        return NULL;
    return find_from(head, id, head->first[id] - 1u);
}

struct field *head_find_name(const struct head *head, struct str name)
{
    return head_find_name_from(head, name, 0);
}

struct field *head_find_name_from(const struct head *head, struct str name, unsigned from)
{
    enum header_id id = header_lookup(name);

    if (id != HEADER_OTHER)
        return head->first[id] != 0 ? find_from(head, id, MAX(from, head->first[id] - 1u)) : NULL;
    for (unsigned i = from; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (!field->removed && str_eq_nocase(field->name, name))
            return field;
    }
    return NULL;
}

struct field *head_find_received_from(const struct head *head, struct str name, unsigned from)
{
    enum header_id id = header_lookup(name);

    if (id != HEADER_OTHER && head->first[id] == 0)
        return NULL;
    for (unsigned i = from; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        bool is_named = id != HEADER_OTHER ? field->id == id : str_eq_nocase(field->name, name);
        if (is_named && is_received(field))
            return field;
    }
    return NULL;
}

unsigned head_count(const struct head *head, enum header_id id)
{
    unsigned count = 0;

    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f))
        count++;
    return count;
}

struct str head_value(const struct head *head, enum header_id id)
{
    struct field *field = head_find(head, id);
    return field != NULL ? field->value : (struct str){0};
}

static char *put(char *at, struct str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

struct str head_joined(const struct head *head, enum header_id id, struct str between)
{
    struct field *first = head_find(head, id);
    size_t len = 0;

    if (first == NULL || find_next(head, first) == NULL)
        return first != NULL ? first->value : (struct str){0};
    for (struct field *f = first; f != NULL; f = find_next(head, f))
        len += f->value.len + between.len;

    char *text = arena_alloc_aligned(head->arena, len, 1), *at = put(text, first->value);
    for (struct field *f = find_next(head, first); f != NULL; f = find_next(head, f))
        at = put(put(at, between), f->value);
    return str_make(text, (size_t)(at - text));
}

void head_remove(struct head *head, enum header_id id)
{
    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f))
        f->removed = true;
}

void head_set(struct head *head, enum header_id id, struct str value)
{
    struct field *first = head_find(head, id);

    if (first == NULL) {
        head_add_id(head, id, value);
        return;
    }
    for (struct field *f = find_next(head, first); f != NULL; f = find_next(head, f))
        f->removed = true;
    first->value = value;
}

bool head_has_token(const struct head *head, enum header_id id, struct str token)
{
    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f)) {
        struct str rest = f->value, piece;
        while (str_next(&rest, ',', &piece)) {
            if (str_eq_nocase(str_trim(piece), token))
                return true;
        }
    }
    return false;
}

bool head_has_other_token(const struct head *head, enum header_id id, struct str token)
{
    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f)) {
        struct str rest = f->value, piece;
        while (str_next(&rest, ',', &piece)) {
            piece = str_trim(piece);
            if (piece.len > 0 && !str_eq_nocase(piece, token))
                return true;
        }
    }
    return false;
}

/* --- hop by hop ------------------------------------------------------------------------------ */

static void remove_hop_by_hop(struct field *field)
{
    field->hop_by_hop |= !field->removed;
    field->removed = true;
}

/* The fields that Connection names. All of them are looked up in one pass over the fields: with a
 * search for each name, a head full of both would cost their product. */
struct named {
    bool any;
    bool ids[HEADER_COUNT];
    struct str *slots; /* the names without an id, by hash; len 0: free */
    size_t mask;
};

static uint32_t name_hash(struct str name)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)ascii_lower(name.ptr[i])) * 16777619u;
    return hash ^ hash >> 15;
}

/* Where `name` is, or would be. */
static struct str *slot_of(const struct named *named, struct str name)
{
    size_t at = name_hash(name) & named->mask;

    while (named->slots[at].len > 0 && !str_eq_nocase(named->slots[at], name))
        at = (at + 1) & named->mask;
    return &named->slots[at];
}

/* Twice as many slots as there can be names. */
static void make_slots(struct named *named, const struct head *head)
{
    size_t names = 0, slots = 8;

    for (struct field *f = head_find(head, HEADER_CONNECTION); f != NULL; f = find_next(head, f)) {
        names++;
        for (size_t i = 0; i < f->value.len; i++)
            names += f->value.ptr[i] == ',';
    }
    while (slots < 2 * names)
        slots *= 2;
    named->slots = ARENA_NEW_N(head->arena, struct str, slots);
    named->mask = slots - 1;
}

/* A field that Connection names ends with this hop, unless it is one that must never be dropped on
 * a client's word. "close" and "keep-alive" are options, not fields; TE ends here, named or not. */
static enum reason take_name(struct named *named, const struct head *head, struct str name)
{
    enum header_id id = header_lookup(name);

    if (name.len == 0 || id == HEADER_KEEP_ALIVE || id == HEADER_TE ||
        str_eq_nocase(name, STR("close")))
        return REASON_NONE;
    if (!token_is_valid(name))
        return REASON_BAD_CONNECTION;
    named->any = true;
    if (id != HEADER_OTHER) {
        named->ids[id] = true;
        return header_flags(id) & HEADER_PROTECTED ? REASON_BAD_CONNECTION : REASON_NONE;
    }
    if (forwarding_family_has(name))
        return REASON_BAD_CONNECTION;
    if (named->slots == NULL)
        make_slots(named, head);
    *slot_of(named, name) = name;
    return REASON_NONE;
}

static bool is_named(const struct named *named, const struct field *field)
{
    if (field->id != HEADER_OTHER)
        return named->ids[field->id];
    return named->slots != NULL && slot_of(named, field->name)->len > 0;
}

unsigned head_remove_odd_names(struct head *head)
{
    unsigned count = 0;

    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (field->id != HEADER_OTHER || field->removed || !field_name_is_odd(field->name))
            continue;
        field->removed = true;
        count++;
    }
    return count;
}

static bool is_te_trailers(const struct head *head, const struct field *field)
{
    bool is_request = head->status == 0;

    return is_request && field->id == HEADER_TE && str_eq_nocase(field->value, STR("trailers"));
}

enum reason head_strip_hop_by_hop(struct head *head)
{
    struct named named = {0};

    for (struct field *f = head_find(head, HEADER_CONNECTION); f != NULL; f = find_next(head, f)) {
        struct str rest = f->value, piece;
        while (str_next(&rest, ',', &piece)) {
            enum reason reason = take_name(&named, head, str_trim(piece));
            if (reason != REASON_NONE)
                return reason;
        }
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        bool is_of_hop =
            (header_flags(field->id) & HEADER_HOP_BY_HOP) && !is_te_trailers(head, field);
        if (is_of_hop || (named.any && is_named(&named, field)))
            remove_hop_by_hop(field);
    }
    return REASON_NONE;
}
