// Constants of the vector exponential and the activations. Scripts/kernels/fit_erfc.py makes the
// coefficients.

#ifndef POLYNOMIALS_H
#define POLYNOMIALS_H

// exp(x) = 2^k exp(r), where k = round(x / log(2)) and r = x - k log(2). The sum of
// both parts of log(2) is more precise than a float.
#define LOG2_E 1.44269504f
#define LOG_2_HIGH 0.693147182f
#define LOG_2_LOW -1.90465430e-9f

// Above EXP_LARGEST, exp(x) is infinite in float; below EXP_SMALLEST, it is at most about the
// smallest normal float.
#define EXP_LARGEST 89.0f
#define EXP_SMALLEST -86.9f

// exp(r) = 1 + r + r^2 (sum of exp_coefficients[i] r^i) for |r| <= log(2) / 2.
static const float exp_coefficients[5] = {
    +4.999999404e-01f, +1.666651964e-01f, +4.166839272e-02f, +8.368780836e-03f, +1.381446724e-03f,
};

// The tail of the normal distribution beyond a >= 0, erfc(a / sqrt(2)) / 2, is
// exp(-a^2 / 2) t (sum of tail_coefficients[i] t^i), where t = 1 / (1 + TAIL_SLOPE a).
#define TAIL_SLOPE 0.265625f
static const float tail_coefficients[9] = {
    +1.059887037e-01f, +1.055370048e-01f, +1.025735661e-01f, +6.181941926e-02f, +1.341914833e-01f,
    -1.106255576e-01f, +2.121564746e-01f, -1.423109621e-01f, +3.066987544e-02f,
};

// The tanh approximation of GELU is x / (1 + exp(-x (linear + cubic x^2))), where
// linear = 2 sqrt(2 / pi) and cubic = 0.044715 linear. The sums of both parts are more precise than
// a float. The high part of linear is a multiple of 2^-20, so that its difference from the rounded
// sum is exact.
#define TANH_LINEAR_HIGH 1.59576893f
#define TANH_LINEAR_LOW 1.93077897e-7f
#define TANH_CUBIC_HIGH 0.0713548139f
#define TANH_CUBIC_LOW 2.39883246e-9f

// From here on, the tail and exp(-x (linear + cubic x^2)) are zero in float.
#define TAIL_END 16.0f

#endif
