#include "common.h"
namespace sortnet {
namespace {
sn_status sort_forward(const SortForward &c) {
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    for (int64_t o = 0; o < c.layer.outputs; ++o) c.y[b * c.y_stride + o] = sort_one(c, b, o);
  });
}
}
}
