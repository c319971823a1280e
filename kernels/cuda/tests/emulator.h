// CUDA on a CPU, for tests: the device sources compile as C++ and run one block at a time, each
// thread a fiber. Scheduling changes direction at every turn, so that a missing barrier shows;
// copies to shared memory arrive only when waited for, and leave NaN until then. Warps run in full:
// every lane takes part in every warp operation, as the kernels promise.
#pragma once

#include <ucontext.h>

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

using std::isinf;

struct float4 {
  float x, y, z, w;
};
struct Dim {
  unsigned x = 0, y = 0, z = 0;
};

namespace emulate {

struct Copy {
  float *to;
  const float *from;
  int valid, size;
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  Dim thread;
  bool done = false;
  std::vector<std::vector<Copy>> groups;  // the last one is still open
};

struct Barrier {
  int arrived = 0;
  long generation = 0;
};

struct Warp {
  Barrier barrier;
  uint64_t values[32];
};

inline std::vector<std::unique_ptr<Fiber>> fibers;
inline std::vector<Warp> warps;
inline Barrier block_barrier;
inline ucontext_t scheduler;
inline Fiber *current = nullptr;
inline int alive = 0;
inline bool progress = false;
inline const std::function<void()> *body = nullptr;
inline Dim block, grid, block_size;

inline void yield() { swapcontext(&current->context, &scheduler); }

inline void arrive(Barrier &b, int expected) {
  long generation = b.generation;
  progress = true;
  if (++b.arrived == expected) {
    b.arrived = 0;
    ++b.generation;
    return;
  }
  while (b.generation == generation) yield();
}

inline Warp &warp() { return warps[current->thread.x / 32]; }
inline int lane() { return static_cast<int>(current->thread.x % 32); }

// Every lane gives a value and sees those of all.
inline void exchange(uint64_t value, uint64_t (&all)[32]) {
  Warp &w = warp();
  w.values[lane()] = value;
  arrive(w.barrier, 32);
  std::memcpy(all, w.values, sizeof all);
  arrive(w.barrier, 32);
}

inline void entry() {
  (*body)();
  current->done = true;
  --alive;
  progress = true;
  swapcontext(&current->context, &scheduler);
}

inline void run_block(const std::function<void()> &kernel, unsigned threads) {
  body = &kernel;
  while (fibers.size() < threads) {
    fibers.push_back(std::make_unique<Fiber>());
    fibers.back()->stack.resize(256 * 1024);
  }
  warps.assign((threads + 31) / 32, {});
  block_barrier = {};
  alive = static_cast<int>(threads);
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &f = *fibers[t];
    f.thread.x = t;
    f.done = false;
    f.groups.assign(1, {});
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = f.stack.size();
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
  }
  for (bool forward = true; alive > 0; forward = !forward) {
    progress = false;
    for (unsigned n = 0; n < threads; ++n) {
      current = fibers[forward ? n : threads - 1 - n].get();
      if (!current->done) swapcontext(&scheduler, &current->context);
    }
    if (!progress) {
      std::fprintf(stderr, "emulated block hangs: threads wait at different barriers\n");
      std::abort();
    }
  }
}

template <class... A, size_t... N>
void run(void (*kernel)(A...), Dim grid_, unsigned threads, void **parameters,
         std::index_sequence<N...>) {
  std::function<void()> call = [&] { kernel(*static_cast<A *>(parameters[N])...); };
  grid = grid_;
  block_size = {threads, 1, 1};
  for (block.y = 0; block.y < grid.y; ++block.y)
    for (block.x = 0; block.x < grid.x; ++block.x) run_block(call, threads);
}
template <class... A>
void run(void (*kernel)(A...), Dim grid_, unsigned threads, void **parameters) {
  run(kernel, grid_, threads, parameters, std::index_sequence_for<A...>{});
}

template <class F>
float rounded(int mode, F f) {
  std::fesetround(mode);
  volatile float r = f();
  std::fesetround(FE_TONEAREST);
  return r;
}

// The error that the approximate instructions may make, in [-1, 1], as a hash of the argument.
inline float noise(float a) {
  uint32_t bits;
  std::memcpy(&bits, &a, 4);
  bits *= 2654435761u;
  return static_cast<float>(bits >> 8) / 8388608.0f - 1.0f;
}

}  // namespace emulate

#define threadIdx (emulate::current->thread)
#define blockIdx (emulate::block)

inline void __syncthreads() {
  emulate::arrive(emulate::block_barrier, static_cast<int>(emulate::block_size.x));
}
inline int block_or = 0;
inline int __syncthreads_or(int predicate) {
  if (predicate) block_or = 1;
  __syncthreads();
  int result = block_or;
  __syncthreads();
  if (threadIdx.x == 0) block_or = 0;
  __syncthreads();
  return result;
}
inline void __syncwarp() { emulate::arrive(emulate::warp().barrier, 32); }
inline unsigned __ballot_sync(unsigned, int predicate) {
  uint64_t all[32];
  emulate::exchange(predicate != 0, all);
  unsigned bits = 0;
  for (int l = 0; l < 32; ++l) bits |= static_cast<unsigned>(all[l]) << l;
  return bits;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline unsigned __match_any_sync(unsigned, int value) {
  uint64_t all[32];
  emulate::exchange(static_cast<uint32_t>(value), all);
  unsigned bits = 0;
  for (int l = 0; l < 32; ++l)
    bits |= static_cast<unsigned>(all[l] == static_cast<uint32_t>(value)) << l;
  return bits;
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int with) {
  uint64_t all[32], bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  emulate::exchange(bits, all);
  std::memcpy(&value, &all[emulate::lane() ^ with], sizeof value);
  return value;
}

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline float __int_as_float(int a) {
  float r;
  std::memcpy(&r, &a, 4);
  return r;
}
inline float __uint_as_float(unsigned a) { return __int_as_float(static_cast<int>(a)); }
inline unsigned __float_as_uint(float a) {
  unsigned r;
  std::memcpy(&r, &a, 4);
  return r;
}

inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
// The volatile copies keep the compiler from folding an operation in another rounding mode.
inline float sn_op(char op, volatile float a, volatile float b) {
  return op == '+' ? a + b : op == '-' ? a - b : a * b;
}
inline float __fadd_rd(float a, float b) {
  return emulate::rounded(FE_DOWNWARD, [&] { return sn_op('+', a, b); });
}
inline float __fadd_ru(float a, float b) {
  return emulate::rounded(FE_UPWARD, [&] { return sn_op('+', a, b); });
}
inline float __fsub_rd(float a, float b) {
  return emulate::rounded(FE_DOWNWARD, [&] { return sn_op('-', a, b); });
}
inline float __fsub_ru(float a, float b) {
  return emulate::rounded(FE_UPWARD, [&] { return sn_op('-', a, b); });
}
inline float __fmul_rd(float a, float b) {
  return emulate::rounded(FE_DOWNWARD, [&] { return sn_op('*', a, b); });
}
inline float __fmul_ru(float a, float b) {
  return emulate::rounded(FE_UPWARD, [&] { return sn_op('*', a, b); });
}
inline float __double2float_rd(double a) {
  volatile double v = a;
  return emulate::rounded(FE_DOWNWARD, [&] { return static_cast<float>(v); });
}
inline float __double2float_ru(double a) {
  volatile double v = a;
  return emulate::rounded(FE_UPWARD, [&] { return static_cast<float>(v); });
}

namespace sn {

inline float max_nan(float a, float b) {
  return a != a || b != b ? std::numeric_limits<float>::quiet_NaN() : a > b ? a : b;
}
inline float lg2(float a) {
  if (a == a && std::fabs(a) < std::numeric_limits<float>::min()) return -INFINITY;
  float r = std::log2(a);
  return r + 0x1p-22f * emulate::noise(a) * std::fmax(1.0f, std::fabs(r));
}
inline float ex2(float a) {
  float r = std::exp2(a);
  if (r < std::numeric_limits<float>::min()) return 0.0f;
  return r * (1.0f + 0x1p-22f * emulate::noise(a));
}

inline void copy(float *to, const float *from, int valid, int size) {
  for (int i = 0; i < size / 4; ++i) to[i] = std::numeric_limits<float>::quiet_NaN();
  emulate::current->groups.back().push_back({to, from, valid, size});
}
inline void copy16(float *to, const float *from, int valid) {
  // What the hardware demands.
  if (reinterpret_cast<uintptr_t>(to) % 16 || reinterpret_cast<uintptr_t>(from) % 16) std::abort();
  copy(to, from, valid, 16);
}
inline void copy4(float *to, const float *from, int valid) { copy(to, from, valid, 4); }
inline void copy_commit() { emulate::current->groups.emplace_back(); }
template <int pending>
void copy_wait() {
  auto &groups = emulate::current->groups;
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const emulate::Copy &c : groups.front()) {
      std::memset(c.to, 0, static_cast<size_t>(c.size));
      std::memcpy(c.to, c.from, static_cast<size_t>(c.valid));
    }
    groups.erase(groups.begin());
  }
}

}  // namespace sn
