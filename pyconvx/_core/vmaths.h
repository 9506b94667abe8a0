/* The elementary functions of vmath.h for float and double. */
#ifndef PYCONVX_VMATHS_H
#define PYCONVX_VMATHS_H
#include <math.h>
#include "simd.h"

#define POLYNOMIAL(x, terms) NAME(polynomial)(x, NAME(terms), sizeof NAME(terms) / sizeof *NAME(terms))

#define BITS 32
#include "real.h"
#include "lanes.h"
#include "vmath.h"
#define BITS 64
#include "real.h"
#include "lanes.h"
#include "vmath.h"
#include "real.h"

#endif
