# student.awk: the one-sided p of Student's t: the probability of a larger one by chance, by the incomplete beta function's
# continued fraction (Lentz's way of evaluating it). Absolute error under 1e-9 for up to 1e6 degrees of freedom.

# log of the gamma function, for x > 0: Stirling's series, above 10; below by x gamma(x) = gamma(x + 1).
function log_gamma(x,   down) {
    down = 0
    while (x < 10) {
        down += log(x)
        x++
    }
    return (x - 0.5) * log(x) - x + 0.9189385332046727 + 1 / (12 * x) - 1 / (360 * x ^ 3) + 1 / (1260 * x ^ 5) - 1 / (1680 * x ^ 7) - down
}

function away_from_zero(v) {
    return v < 1e-300 && v > -1e-300 ? 1e-300 : v
}

# The continued fraction of I_x(a, b), which converges quickly for x below (a + 1) / (a + b + 2).
function beta_fraction(x, a, b,   c, d, h, m, up, step) {
    c = 1
    d = 1 / away_from_zero(1 - (a + b) * x / (a + 1))
    h = d
    for (m = 1; m <= 10000; m++) {
        up = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / away_from_zero(1 + up * d)
        c = away_from_zero(1 + up / c)
        h *= d * c
        up = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / away_from_zero(1 + up * d)
        c = away_from_zero(1 + up / c)
        step = d * c
        h *= step
        if (step < 1 + 1e-14 && step > 1 - 1e-14)
            break
    }
    return h
}

function incomplete_beta(x, a, b,   front) {
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1
    front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(1 - x))
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a : 1 - front * beta_fraction(1 - x, b, a) / b
}

function student_p(t, freedom,   tail) {
    tail = incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return t > 0 ? tail : 1 - tail
}
