// Running tiles through the host's executor, and scratch memory of a thread.
#ifndef SORTNET_CPU_PARALLEL_H
#define SORTNET_CPU_PARALLEL_H

#include <atomic>
#include <cstdlib>
#include <new>

#include "sortnet.h"

namespace sortnet {

// Memory that only grows, one block per thread: no allocation in a steady state.
class Scratch {
public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  ~Scratch() { std::free(data_); }

  // At least `bytes` bytes, aligned to a cache line, contents undefined. Throws std::bad_alloc.
  void *get(size_t bytes) {
    if (bytes > size_) {
      std::free(data_);
      size_ = 0;
      const size_t rounded = (bytes + 4095) / 4096 * 4096;
      data_ = std::aligned_alloc(64, rounded);
      if (data_ == nullptr) throw std::bad_alloc();
      size_ = rounded;
    }
    return data_;
  }

private:
  void *data_ = nullptr;
  size_t size_ = 0;
};

inline Scratch &scratch() {
  static thread_local Scratch s;
  return s;
}

// Runs body(i) for i in [0, n). The body may throw std::bad_alloc only.
template <class Body> sn_status parallel_for(const sn_executor *ex, int64_t n, const Body &body) {
  struct State {
    const Body &body;
    std::atomic<bool> failed;
  } state{body, {false}};
  const auto run = [](void *data, int64_t i) {
    State &s = *static_cast<State *>(data);
    try {
      s.body(i);
    } catch (...) {
      s.failed.store(true, std::memory_order_relaxed);
    }
  };
  if (n <= 0) return SN_OK;
  if (ex == nullptr || ex->parallel_for == nullptr || n == 1) {
    for (int64_t i = 0; i < n; ++i) run(&state, i);
  } else {
    ex->parallel_for(ex->host, n, run, &state);
  }
  return state.failed.load() ? SN_OUT_OF_MEMORY : SN_OK;
}

} // namespace sortnet

#endif
