/* The words that every room uses: attributes, assertions, and small integer helpers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define BIT(n) (1u << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* A fact about our own state. Stays on in production; no peer and no configuration can reach
 * one. */
#define ASSERT(cond) (LIKELY(cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
#define UNREACHABLE(why) assert_failed("unreachable: " why, __FILE__, __LINE__)

__attribute__((noreturn, cold)) void assert_failed(const char *what, const char *file, int line);

/* Memory of `size` bytes, zeroed; aborts when there is none (only for sizes that no peer
 * chooses). */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull));

/* `old` resized to `size` bytes, the new part uninitialised; aborts when there is no memory. */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
