/* belay.h: the C ABI of belay's native core.
 *
 * The core stands between C libraries and one or more JavaScript isolates (the main thread and workers). It loads
 * libraries so that they stay mapped, lends out C function pointers ("thunks") that TypeScript functions stand behind,
 * and turns a call to one into a call of the isolate's single runtime callback.
 *
 * Unless a function says otherwise: pointers must not be NULL; nothing here blocks; every function may be called from
 * any thread. Strings are UTF-8 and end with a zero byte.
 */
#ifndef BELAY_H
#define BELAY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a structure or the meaning of a function changes. */
#define BELAY_ABI_VERSION 2

/* Argument words of a callback: 8 integer registers, 8 float registers, then the stack. On x86-64 Windows the first
 * four of each kind are in use, by position; on x86-64 System V, six integer registers. */
#define BELAY_REGISTER_WORDS 16
#define BELAY_STACK_WORDS 48
#define BELAY_ARGUMENT_WORDS (BELAY_REGISTER_WORDS + BELAY_STACK_WORDS)

/* Thunks come in blocks: the library's own, then copies of its code that are mapped as they are needed. How many are
 * claimed at a time, and what belay_thunks_claim gives when there are none. */
#define BELAY_BLOCK_LENGTH 4096
#define BELAY_MAX_BLOCKS 256
#define BELAY_CHUNK_LENGTH 16
#define BELAY_NO_THUNK UINT32_MAX

/* An isolate's record. Lifetime: until the process ends; a call to a thunk may always ask for it. */
typedef struct belay_isolate belay_isolate;

/* The words that an isolate shares with its JavaScript. Only the isolate's own thread reads and writes them, except that
 * any thread adds to foreign_calls and sets attention. */
typedef struct belay_isolate_words {
  uint64_t arguments[BELAY_ARGUMENT_WORDS]; /* of the callback that is being called */
  uint64_t result;                          /* its answer, as the bits of the result register */
  uint32_t callback;                        /* the index of its thunk */
  uint32_t tag;                             /* this isolate's registry tag, 1 to 255; constant */
  uint32_t slots;         /* how many slots the registry of this tag has used, ever; written by JavaScript */
  uint32_t foreign_calls; /* calls from other threads or stacks, or after the isolate was gone: they got the fallback */
  uint32_t attention;     /* not zero when JavaScript should look what waits; it sets and clears the word too */
  uint32_t overflow;      /* 1 when this call of the trampoline has too little stack left; any other call clears it */
} belay_isolate_words;

/* What the dispatcher knows of a thunk. The isolate that claimed it writes the rest, on its thread; any thread
 * adds to foreign_calls. */
typedef struct belay_thunk {
  belay_isolate *isolate; /* NULL until it is claimed */
  uint64_t fallback;      /* result bits when the function can't be asked */
  uint32_t stack_words;   /* how many stack words the signature has, at most BELAY_STACK_WORDS */
  uint32_t foreign_calls; /* calls that got the fallback because of where they came from; the first sets attention */
  uint32_t index;         /* what JavaScript calls it: belay_isolate_words.callback of a call */
} belay_thunk;

uint32_t belay_abi_version(void);

/* Makes an isolate of the calling thread, and keeps the core mapped until the process ends. Isolates that this thread had
 * before count as gone from now on, unless `beside` says that they are still there (a second copy of the package in one
 * JavaScript world); when the thread ends, all of its isolates do. Callbacks may start within `stack_byte_length` of the
 * stack from here on, as far as the thread has it; one further down is called with `overflow` set. NULL: no memory, 255
 * isolates are live, or the core could not be kept mapped. */
belay_isolate *belay_isolate_attach(bool beside, uint32_t stack_byte_length);
/* Marks an isolate as gone: its thunks answer with their fallbacks from now on. For when its world is about to end. */
void belay_isolate_leave(belay_isolate *isolate);
belay_isolate_words *belay_isolate_words_of(belay_isolate *isolate);
/* How many isolates of the process are live. */
uint32_t belay_isolate_count(void);

/* The runtime's callback for this isolate. It is called on the isolate's thread only, must not throw or unwind, reads
 * the words and writes the result. Ownership: it must stay callable as long as the isolate lives. */
void belay_isolate_set_trampoline(belay_isolate *isolate, void (*trampoline)(void));

/* Memory for the ids of `count` slots of the isolate's handle registry: those it has already, the rest uninitialized. An id
 * of zero or NaN is none. Called on the isolate's thread. Ownership: the core's; it outlives the isolate, since the next
 * one with its tag goes on with its ids, so that none is issued twice; asking for more frees what was given before.
 * NULL: no memory, or count > 2^22. */
double *belay_registry_ids(belay_isolate *isolate, uint32_t count);

/* The number of a shape: a name for the functions that C may take for one another. The same name has the same number in
 * every isolate. 0: no memory. */
uint32_t belay_shape(const char *name);
/* Takes BELAY_CHUNK_LENGTH thunks of one block for the isolate and gives the first one's number, or BELAY_NO_THUNK when
 * no more can be mapped. They stay its own while it lives, and serve that shape for as long as the process does: when the
 * library's own are used up, chunks of the same shape whose isolates are gone are given again, first gone first. Address
 * and slot are valid until the process ends, for numbers that were claimed; the slots of a block are one array. */
uint32_t belay_thunks_claim(belay_isolate *isolate, uint32_t shape);
void *belay_thunk_address(uint32_t number);
belay_thunk *belay_thunk_slot(uint32_t number);
/* How many thunks the process has by now. */
uint32_t belay_thunk_count(void);

/* Opens a library. NULL: it could not be loaded, and `reason` (reason_byte_length bytes; 0 is allowed) holds the
 * loader's words, cut to fit. A pinned library stays mapped until the process ends, whatever closes it. */
void *belay_library_open(const char *path, bool pinned, char *reason, uint32_t reason_byte_length);
/* NULL: there is no such symbol. */
void *belay_library_symbol(void *library, const char *name);
void belay_library_close(void *library);

/* Reads and writes of C's memory, unaligned, nothing checked. Byte offsets and lengths are whole numbers from 0 to 2^53. */
int8_t belay_load_i8(const void *base, double byte_offset);
uint8_t belay_load_u8(const void *base, double byte_offset);
int16_t belay_load_i16(const void *base, double byte_offset);
uint16_t belay_load_u16(const void *base, double byte_offset);
int32_t belay_load_i32(const void *base, double byte_offset);
uint32_t belay_load_u32(const void *base, double byte_offset);
int64_t belay_load_i64(const void *base, double byte_offset);
uint64_t belay_load_u64(const void *base, double byte_offset);
float belay_load_f32(const void *base, double byte_offset);
double belay_load_f64(const void *base, double byte_offset);
void belay_store_u64(void *base, double byte_offset, uint64_t value);
void belay_memory_copy(void *target, const void *base, double byte_offset, double byte_length);

#ifdef __cplusplus
}
#endif

#endif
