/* Letters between threads: order, kinds, ownership. */
#include "net/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct note {
    struct letter letter;
    unsigned number;
};

static unsigned freed;

static void note_free(struct letter *letter)
{
    freed++;
    free(CONTAINER_OF(letter, struct note, letter));
}

static const struct letter_kind note_kind = {"note", note_free}, other_kind = {"other", note_free};

static void put_note(struct mailbox *mailbox, const struct letter_kind *kind, unsigned number)
{
    struct note *note = mem_new(sizeof(*note));

    note->letter.kind = kind;
    note->number = number;
    mailbox_put(mailbox, &note->letter);
}

struct reader {
    struct loop *loop;
    unsigned expected, stop_at;
};

static void on_note(void *arg, const struct letter *letter)
{
    struct reader *reader = arg;

    assert_int_equal(CONTAINER_OF(letter, struct note, letter)->number, reader->expected);
    reader->expected++;
    if (reader->expected == reader->stop_at)
        loop_stop(reader->loop);
}

static void letters_arrive_in_the_order_in_which_they_were_put(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);
    struct reader reader = {.loop = loop, .stop_at = 5};

    freed = 0;
    mailbox_receive(mailbox, &note_kind, on_note, &reader);
    for (unsigned i = 0; i < 5; i++)
        put_note(mailbox, &note_kind, i);
    loop_run(loop);
    assert_int_equal(reader.expected, 5);
    assert_int_equal(freed, 5);
    mailbox_free(&mailbox);
    assert_null(mailbox);
    loop_free(loop);
}

static void letters_of_another_kind_are_freed_unread(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);
    struct reader reader = {.loop = loop, .stop_at = 1};

    freed = 0;
    mailbox_receive(mailbox, &note_kind, on_note, &reader);
    put_note(mailbox, &other_kind, 99);
    put_note(mailbox, &note_kind, 0);
    loop_run(loop);
    assert_int_equal(reader.expected, 1);
    assert_int_equal(freed, 2);
    mailbox_free(&mailbox);
    loop_free(loop);
}

static void unread_letters_are_freed_with_the_mailbox(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);

    freed = 0;
    put_note(mailbox, &note_kind, 0);
    put_note(mailbox, &note_kind, 1);
    mailbox_free(&mailbox);
    assert_int_equal(freed, 2);
    loop_free(loop);
}

enum { SENT = 20000 };

static void *send_many(void *arg)
{
    for (unsigned i = 0; i < SENT; i++)
        put_note(arg, &note_kind, i);
    return NULL;
}

static void no_letter_of_another_thread_is_lost(void **state UNUSED)
{
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);
    struct reader reader = {.loop = loop, .stop_at = SENT};
    pthread_t sender;

    freed = 0;
    mailbox_receive(mailbox, &note_kind, on_note, &reader);
    assert_int_equal(pthread_create(&sender, NULL, send_many, mailbox), 0);
    loop_run(loop);
    pthread_join(sender, NULL);
    assert_int_equal(freed, SENT);
    mailbox_free(&mailbox);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_arrive_in_the_order_in_which_they_were_put),
        cmocka_unit_test(letters_of_another_kind_are_freed_unread),
        cmocka_unit_test(unread_letters_are_freed_with_the_mailbox),
        cmocka_unit_test(no_letter_of_another_thread_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
