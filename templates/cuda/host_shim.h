/* Lets a C++ compiler build the generated CUDA source, and runs its kernels on the CPU.

   Include it before the source and define HOST_SHIM. Blocks run one after the other. The threads of
   a block are coroutines that take turns at __syncthreads, each running up to the next barrier.
   `order` says who comes first, among blocks and among the threads between two barriers: 0
   ascending, 1 descending, else shuffled anew each time, from `order` as a seed. Shared memory holds
   ones in all bits when a block begins. So a kernel that lacks a barrier, lets blocks depend on each
   other or reads what it has not written gives different results. `shim_launch` returns 1 when some
   threads of a block end while others wait. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ static inline
#if defined __SANITIZE_ADDRESS__
#define __shared__ static /* where its bounds are watched */
#else
#define __shared__ static __attribute__((section("shim_shared")))
extern char __start_shim_shared[], __stop_shim_shared[];
static char shim_any __attribute__((section("shim_shared"), used));
#endif
#define __launch_bounds__(threads)

struct shim_index {
  unsigned x, y, z;
};
static shim_index threadIdx, blockIdx, blockDim, gridDim;

enum { SHIM_THREADS = 1024, SHIM_STACK = 128 * 1024 };
struct shim_thread {
  ucontext_t context;
  char *stack;
  bool done;
};
static shim_thread shim_threads[SHIM_THREADS];
static ucontext_t shim_scheduler;
static void (*shim_kernel)(void *);
static void *shim_argument;
static unsigned shim_current, shim_random;

/* 0..count - 1 in an order. */
static void shim_arrange(unsigned *places, unsigned count, int order)
{
  for (unsigned k = 0; k < count; ++k) places[k] = order == 1 ? count - 1 - k : k;
  for (unsigned k = count; order > 1 && k > 1; --k) {
    shim_random = shim_random * 1664525u + 1013904223u;
    const unsigned other = (unsigned)(((uint64_t)shim_random * k) >> 32), last = places[k - 1];
    places[k - 1] = places[other];
    places[other] = last;
  }
}

static inline void __syncthreads()
{
  if (blockDim.x == 1) return;
  swapcontext(&shim_threads[shim_current].context, &shim_scheduler);
}

static void shim_body()
{
  shim_kernel(shim_argument);
  shim_threads[shim_current].done = true;
}

static int shim_block(int order)
{
  static unsigned places[SHIM_THREADS];
  const unsigned count = blockDim.x;
#if !defined __SANITIZE_ADDRESS__
  memset(__start_shim_shared, 0xFF, (size_t)(__stop_shim_shared - __start_shim_shared));
#endif
  if (count == 1) {
    threadIdx.x = 0;
    shim_kernel(shim_argument);
    return 0;
  }
  for (unsigned k = 0; k < count; ++k) {
    shim_thread &thread = shim_threads[k];
    if (thread.stack == NULL) thread.stack = (char *)malloc(SHIM_STACK);
    if (thread.stack == NULL) return 2;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack;
    thread.context.uc_stack.ss_size = SHIM_STACK;
    thread.context.uc_link = &shim_scheduler;
    thread.done = false;
    makecontext(&thread.context, shim_body, 0);
  }
  for (;;) {
    unsigned finished = 0;
    shim_arrange(places, count, order);
    for (unsigned k = 0; k < count; ++k) {
      shim_current = places[k];
      threadIdx.x = shim_current;
      swapcontext(&shim_scheduler, &shim_threads[shim_current].context);
      finished += shim_threads[shim_current].done;
    }
    if (finished == count) return 0;
    if (finished > 0) return 1;
  }
}

extern "C" int shim_launch(void (*kernel)(void *), void *argument, unsigned blocks_x,
                           unsigned blocks_y, unsigned threads, int order)
{
  const unsigned count = blocks_x * blocks_y;
  unsigned *places = (unsigned *)malloc(count * sizeof(unsigned));
  if (places == NULL) return 2;
  shim_kernel = kernel;
  shim_argument = argument;
  shim_random = (unsigned)order;
  gridDim = {blocks_x, blocks_y, 1};
  blockDim = {threads, 1, 1};
  threadIdx = {0, 0, 0};
  shim_arrange(places, count, order);
  int fault = 0;
  for (unsigned k = 0; k < count && !fault; ++k) {
    blockIdx = {places[k] % blocks_x, places[k] / blocks_x, 0};
    fault = shim_block(order);
  }
  free(places);
  return fault;
}
