/* Lets a C++ compiler build the generated CUDA source, and runs its kernels on the CPU.

   Include it before the source and define HOST_SHIM. Blocks run one after the other. The threads of
   a block are coroutines that take turns at __syncthreads, each running up to the next barrier, in
   ascending or descending order: a kernel that lacks a barrier gives different results in the two
   orders. `shim_launch` returns 1 when some threads of a block end while others wait. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
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
static unsigned shim_current;

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

static int shim_block(int descending)
{
  const unsigned count = blockDim.x;
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
    for (unsigned k = 0; k < count; ++k) {
      shim_current = descending ? count - 1 - k : k;
      threadIdx.x = shim_current;
      swapcontext(&shim_scheduler, &shim_threads[shim_current].context);
      finished += shim_threads[shim_current].done;
    }
    if (finished == count) return 0;
    if (finished > 0) return 1;
  }
}

extern "C" int shim_launch(void (*kernel)(void *), void *argument, unsigned blocks_x,
                           unsigned blocks_y, unsigned threads, int descending)
{
  shim_kernel = kernel;
  shim_argument = argument;
  gridDim = {blocks_x, blocks_y, 1};
  blockDim = {threads, 1, 1};
  threadIdx = {0, 0, 0};
  for (unsigned y = 0; y < blocks_y; ++y)
    for (unsigned x = 0; x < blocks_x; ++x) {
      blockIdx = descending ? shim_index{blocks_x - 1 - x, blocks_y - 1 - y, 0}
                            : shim_index{x, y, 0};
      const int fault = shim_block(descending);
      if (fault) return fault;
    }
  return 0;
}
