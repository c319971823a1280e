# Zig's clang (PyPI: ziglang) as the compiler, with its own C and C++ libraries, so that nothing of the
# machine is needed. Give -DSORTNET_ZIG=path/to/zig and -DSORTNET_ZIG_TARGET=architecture-system-abi.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SORTNET_ZIG SORTNET_ZIG_TARGET)

string(REGEX MATCH "^([a-z0-9_]+)-([a-z]+)" matched "${SORTNET_ZIG_TARGET}")
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
if(CMAKE_MATCH_2 STREQUAL "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
elseif(CMAKE_MATCH_2 STREQUAL "windows")
  set(CMAKE_SYSTEM_NAME Windows)
elseif(CMAKE_MATCH_2 STREQUAL "linux")
  set(CMAKE_SYSTEM_NAME Linux)
else()
  message(FATAL_ERROR "SORTNET_ZIG_TARGET is architecture-system-abi, for linux, macos or windows, "
                      "got \"${SORTNET_ZIG_TARGET}\"")
endif()

# The oldest processor of the architecture: Zig would take the one that it runs on. Optimized even where
# CMake only tries the compiler, and stripped: Zig compiles its C++ library, which takes minutes, once for
# each level and once more with debug information (which is most of a library's size).
set(CMAKE_CXX_COMPILER ${SORTNET_ZIG} c++ -target ${SORTNET_ZIG_TARGET} -mcpu=baseline -O3 -s)
if(SORTNET_ZIG_TARGET MATCHES "musl")
  # The C library of the system, not a static one.
  list(APPEND CMAKE_CXX_COMPILER -dynamic)
endif()
set(CMAKE_CXX_COMPILER_LAUNCHER "") # those for GCC and Clang do not know `zig c++`
