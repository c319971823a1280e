#include "common.h"
namespace sortnet {
namespace {
sn_status lp_bounds(const Bounds &c) {
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    for (int64_t o = 0; o < c.layer.outputs; ++o) lp_bounds_one(c, b, o);
  });
}
sn_status sort_bounds(const Bounds &c) {
  return parallel_for(c.ex, c.layer.batch, [&](int64_t b) {
    for (int64_t o = 0; o < c.layer.outputs; ++o) sort_bounds_one(c, b, o);
  });
}
}
}
