#include "../strict_float.h"

#include "simd_generic.h"

#include "isa.h"

namespace sortnet {

extern const Kernels generic_kernels = kernels_of();

} // namespace sortnet
