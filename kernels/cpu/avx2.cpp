#include "../strict_float.h"

#include "simd_avx2.h"

#include "isa.h"

namespace sortnet {

extern const Kernels avx2_kernels = kernels_of();

} // namespace sortnet
