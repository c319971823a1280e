// Scratch memory, the mode of floating point, and sn_pool_parallel_for: the threads of a host that has an OpenMP pool, or threads
// of our own.
#include "../strict_float.h"

#include "parallel.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <new>
#include <thread>
#include <vector>

namespace sortnet {
namespace {

class Block {
public:
  Block() = default;
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  ~Block() { free(); }

  void *at_least(size_t bytes) {
    if (bytes > size_) {
      free();
      const size_t rounded = (bytes + 4095) / 4096 * 4096;
      data_ = ::operator new(rounded, kCacheLine);
      size_ = rounded;
    }
    return data_;
  }

private:
  static constexpr std::align_val_t kCacheLine{64};
  void free() {
    ::operator delete(data_, kCacheLine);
    data_ = nullptr;
    size_ = 0;
  }

  void *data_ = nullptr;
  size_t size_ = 0;
};

} // namespace

void *scratch(ScratchSlot slot, size_t bytes) {
  static thread_local Block blocks[5];
  return blocks[static_cast<int>(slot)].at_least(bytes);
}

#if defined(__SSE2__)
DefinedMode::DefinedMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); } // as a process starts
DefinedMode::~DefinedMode() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
DefinedMode::DefinedMode() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(uint64_t(0)));
}
DefinedMode::~DefinedMode() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
DefinedMode::DefinedMode() {
  std::fegetenv(&saved_);
  std::fesetenv(FE_DFL_ENV);
}
DefinedMode::~DefinedMode() { std::fesetenv(&saved_); }
#endif

} // namespace sortnet

namespace {

using GompParallel = void (*)(void (*fn)(void *), void *data, unsigned threads, unsigned flags);

struct Work {
  std::atomic<int64_t> next{0};
  int64_t n;
  void (*body)(void *, int64_t);
  void *data;
};

void take(void *work) {
  Work &w = *static_cast<Work *>(work);
  for (;;) {
    const int64_t i = w.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= w.n) return;
    w.body(w.data, i);
  }
}

void run_on_own_threads(Work &work, int64_t team) {
  std::vector<std::thread> threads;
  try {
    threads.reserve(static_cast<size_t>(team - 1));
    for (int64_t t = 1; t < team; ++t) threads.emplace_back(take, &work);
  } catch (...) {
    // Fewer threads than wished for: the rest do the work.
  }
  take(&work);
  for (auto &t : threads) t.join();
}

} // namespace

extern "C" void sn_pool_parallel_for(void *host, int64_t n, void (*body)(void *, int64_t),
                                     void *data) {
  const sn_pool *pool = static_cast<const sn_pool *>(host);
  const int64_t team = pool == nullptr ? 1 : (pool->threads < n ? pool->threads : n);
  Work work;
  work.n = n;
  work.body = body;
  work.data = data;
  if (team <= 1) {
    take(&work);
  } else if (pool->gomp_parallel != nullptr) {
    reinterpret_cast<GompParallel>(pool->gomp_parallel)(take, &work, static_cast<unsigned>(team), 0);
  } else {
    run_on_own_threads(work, team);
  }
}
