"""The project's random numbers in NumPy, written from the formula in src/core/rng.h and not from its code.

Golden scripts draw weights, inputs and projection vectors from here, so that a golden file holds results
only and the C tests make the same inputs themselves. Run as a program it checks itself against the known
answers of the paper's authors (Salmon, Moraes, Dror, Shaw, SC 2011; Random123's kat_vectors).
"""
import numpy as np

INIT, TEST = 2, 7  # fwi_purpose

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(key, counter):
    """Ten rounds. key: two ints; counter: four arrays or ints below 2^32. Returns uint32 [..., 4]."""
    c = [np.asarray(v, np.uint64) for v in counter]
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [(p1 >> _HALF) ^ c[1] ^ np.uint64(k0), p1 & _LOW,
             (p0 >> _HALF) ^ c[3] ^ np.uint64(k1), p0 & _LOW]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(np.broadcast_arrays(*c), axis=-1).astype(np.uint32)


def words(n, seed, purpose, pass_, block=0):
    """Element i is word i % 4 of the draw (seed, purpose, pass, index i / 4, block), for i in 0..n-1."""
    index = np.arange((n + 3) // 4, dtype=np.uint64)
    out = philox4x32((seed & 0xFFFFFFFF, seed >> 32),
                     (index & _LOW, index >> _HALF, pass_, purpose << 24 | block))
    return out.reshape(-1)[:n]


def unit(w):
    """[0, 1): the upper 24 bits of each word over 2^24."""
    return (w >> np.uint32(8)).astype(np.float64) / 16777216.0


def below(w, n):
    """[0, n): word * n / 2^32."""
    return ((w.astype(np.uint64) * np.uint64(n)) >> _HALF).astype(np.int64)


def centred(n, seed, pass_):
    """Mean 0, variance 1, uniform: 2 sqrt(3) (unit - 0.5), rounded to float32; returned as float64."""
    u = unit(words(n, seed, TEST, pass_))
    return (2.0 * np.sqrt(3.0) * (u - 0.5)).astype(np.float32).astype(np.float64)


def signs(n, seed, pass_):
    """+1 where the word is even, -1 where it is odd."""
    return 1.0 - 2.0 * (words(n, seed, TEST, pass_) & np.uint32(1)).astype(np.float64)


def fnv1a(name):
    """FNV-1a, 32 bits."""
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def uniform_parameter(name, n, bound, seed):
    """Initial value of a parameter: -bound + 2 bound unit in double, rounded to float32; as float64."""
    u = unit(words(n, seed, INIT, fnv1a(name)))
    return (-bound + (bound - -bound) * u).astype(np.float32).astype(np.float64)


def self_check():
    known = [
        ((0, 0), (0, 0, 0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]
    for key, counter, want in known:
        got = " ".join(f"{int(v):08x}" for v in philox4x32(key, counter))
        if got != want:
            raise SystemExit(f"philox.py: counter {counter}: got {got}, want {want}")
    if fnv1a("foobar") != 0xBF9CF968:  # test vector of the FNV reference pages
        raise SystemExit("philox.py: FNV-1a of 'foobar' is wrong")


if __name__ == "__main__":
    self_check()
    print("philox.py: known answers agree")
