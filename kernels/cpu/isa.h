// The kernels behind the Simd included before: the table of one instruction set.
#include "bounds.h"
#include "ceiling.h"
#include "lp_backward.h"
#include "lp_forward.h"
#include "sort_backward.h"

namespace sortnet {
namespace {

constexpr Kernels kernels_of() {
  return {Simd::name,   packed_bytes,  pack,      lp_forward,  lp_backward,
          sort_forward, sort_backward, lp_bounds, sort_bounds, ceiling};
}

} // namespace
} // namespace sortnet
