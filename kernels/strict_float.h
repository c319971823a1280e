// Included first by every source of the libraries: refuses compiler options under which NaN and infinity are not
// seen, zeros lose their signs or roundings change. GCC defines the last three from version 12 on.
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) ||  \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) || \
    defined(_M_FP_FAST)
#error "sortnet needs IEEE arithmetic: compile without -ffast-math, -Ofast and their like"
#endif
