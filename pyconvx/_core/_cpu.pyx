"""Which instruction sets this processor and this build can run. Imports nothing from pyconvx."""

cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
    static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
    static int has_avx512(void)
    {
        return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int has_avx2(void) { return 0; }
    static int has_avx512(void) { return 0; }
    #endif
    """
    bint has_avx2()
    bint has_avx512()


def instruction_sets():
    """Names of the instruction sets that the processor can run, best first; always ends in "baseline"."""
    names = []
    if has_avx512():
        names.append("avx512")
    if has_avx2():
        names.append("avx2")
    names.append("baseline")
    return tuple(names)
