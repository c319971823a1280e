// The parts of sortnet.h that are no kernels.
#include "sortnet.h"

extern "C" const char *sn_status_message(sn_status status) {
  switch (status) {
    case SN_OK: return "ok";
    case SN_INVALID_ARGUMENT: return "invalid argument";
    case SN_OUT_OF_MEMORY: return "out of memory";
    case SN_UNSUPPORTED: return "not supported by this build or device";
    default: return "unknown status";
  }
}

extern "C" int32_t sn_abi_version(void) { return SN_ABI_VERSION; }
