// Running tiles through the host's executor, the mode they compute in, and scratch memory of a thread.
#ifndef SORTNET_CPU_PARALLEL_H
#define SORTNET_CPU_PARALLEL_H

#include <atomic>
#include <cfenv>
#include <cstddef>

#include "sortnet.h"

namespace sortnet {

// Memory of a thread that only grows: no allocation in a steady state. A slot's contents last until
// the slot is asked for again: `shared` and `call` are the calling thread's for the length of a call,
// `task` one task's, `part` a part's of a task, `single` one output's.
enum class ScratchSlot { shared, call, task, part, single };
// At least `bytes` bytes aligned to a cache line, contents undefined. Throws std::bad_alloc.
void *scratch(ScratchSlot slot, size_t bytes);

// While this lives its thread computes with gradual underflow and rounds to nearest, whatever mode the host left it
// in; then in that mode again. Every task has one, and every function of sortnet.h.
class DefinedMode {
public:
  DefinedMode();
  ~DefinedMode();
  DefinedMode(const DefinedMode &) = delete;
  DefinedMode &operator=(const DefinedMode &) = delete;

private:
#if defined(__SSE2__)
  unsigned saved_;
#elif defined(__aarch64__)
  uint64_t saved_;
#else
  std::fenv_t saved_;
#endif
};

// Runs body(i) for i in [0, n). The body may throw std::bad_alloc only.
template <class Body> sn_status parallel_for(const sn_executor *ex, int64_t n, const Body &body) {
  struct State {
    const Body &body;
    std::atomic<bool> failed;
  } state{body, {false}};
  const auto run = [](void *data, int64_t i) {
    State &s = *static_cast<State *>(data);
    const DefinedMode mode;
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
