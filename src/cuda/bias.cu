/* bias.cu: a value per channel added to every row, and its gradient; defined in cpu/ref/bias_body.h,
 * held to it by tests/ops/test_bias.c. With an activation: bias_act, defined in
 * cpu/ref/fused_body.h, tests/ops/test_fused.c. */
#include "cuda_act_functions.h"
#include "cuda_channels.h"

using namespace fwi_cuda;

/* The biases of V channels: what each of these has of its own. */
struct over_bias {
    const float *b; /* NULL: none */
    int c;
    template <int V> struct own {
        float b[V];
    };
    template <int V> __device__ void start(own<V> &o, int group, int i) const
    {
        (void)group;
        for (int j = 0; j < V; j++)
            o.b[j] = b != nullptr ? b[i + j] : 0;
    }
};

/* act(x + b); y may be x's memory */
template <class T> struct biased : over_bias {
    const T *x;
    T *y;
    act_fn fn;
    bool wide;
    template <int V> __device__ void at(const own<V> &o, int row, int i) const
    {
        const int64_t k = (int64_t)row * c + i;
        float v[V];
        get_pack<V>(x, k, wide, v);
        for (int j = 0; j < V; j++)
            v[j] = act_value(fn, v[j] + o.b[j]);
        put_pack<V>(y, k, wide, v);
    }
    biased(const float *b_, int c_, const T *x_, T *y_, const act_fn &fn_)
        : over_bias{b_, c_}, x(x_), y(y_), fn(fn_), wide(on_quads(x_, y_))
    {
    }
};

/* What arrives at x + b, as dx and summed over rows. */
template <class T> struct biased_back : over_bias {
    const T *dy, *x;
    T *dx;
    act_fn fn;
    bool wide;
    template <int V> __device__ void back(const own<V> &o, int64_t k, float (&g)[V]) const
    {
        float v[V];
        get_pack<V>(x, k, wide, v);
        get_pack<V>(dy, k, wide, g);
        for (int j = 0; j < V; j++)
            g[j] = act_back(fn, v[j] + o.b[j], g[j]);
    }
    template <int V> __device__ void at(const own<V> &o, int row, int i) const
    {
        float g[V];
        back(o, (int64_t)row * c + i, g);
        put_pack<V>(dx, (int64_t)row * c + i, wide, g);
    }
    template <int V> __device__ void add(const own<V> &o, int row, int i, float (&sums)[1][V]) const
    {
        float g[V];
        back(o, (int64_t)row * c + i, g);
        for (int j = 0; j < V; j++)
            sums[0][j] += g[j];
    }
    biased_back(const float *b_, int c_, const T *dy_, const T *x_, T *dx_, const act_fn &fn_)
        : over_bias{b_, c_}, dy(dy_), x(x_), dx(dx_), fn(fn_), wide(on_quads(dy_, x_, dx_))
    {
    }
};

template <class T> struct row_sum : over_bias {
    const T *x;
    bool wide;
    template <int V> __device__ void add(const own<V> &o, int row, int i, float (&sums)[1][V]) const
    {
        float v[V];
        (void)o;
        get_pack<V>(x, (int64_t)row * c + i, wide, v);
        for (int j = 0; j < V; j++)
            sums[0][j] += v[j];
    }
    row_sum(int c_, const T *x_) : over_bias{nullptr, c_}, x(x_), wide(on_quads(x_))
    {
    }
};

struct store_sum {
    float *y;
    __device__ void operator()(int group, int i, const double *sums) const
    {
        (void)group;
        y[i] = (float)sums[0];
    }
};

static act_fn fn_of(const fwi_call *c)
{
    return c->kind == FWI_OP_bias_add ? act_fn{FWI_FUSED_IDENTITY, 0}
                                      : act_fn{(int)c->attr->act.fn, (float)c->attr->act.alpha};
}

static channel_cut cut(const fwi_arg *x)
{
    return cut_of(1, rows(x), cols(x), x->dtype);
}

template <class T> static fw_status bias(const fwi_call *c)
{
    return sweep<T>(
        c, cut(&c->in[0]),
        biased<T>(in<float>(c, 1), cols(&c->in[0]), in<T>(c, 0), out<T>(c, 0), fn_of(c)));
}

template <class T> static size_t sum_rows_room(const fwi_call *c)
{
    return channel_room(cut(&c->in[0]), 1) * sizeof(float);
}

template <class T> static fw_status sum_rows(const fwi_call *c)
{
    return channel_sums<T, 1>(c, cut(&c->in[0]), row_sum<T>(cols(&c->in[0]), in<T>(c, 0)),
                              store_sum{out<float>(c, 0)}, (float *)c->scratch);
}

/* The sum first: dx may be dy's memory. */
template <class T> static fw_status bias_act_grad(const fwi_call *c)
{
    const channel_cut k = cut(&c->in[1]);
    const biased_back<T> f(in<float>(c, 2), k.c, in<T>(c, 0), in<T>(c, 1), out<T>(c, 0), fn_of(c));
    const fw_status st =
        channel_sums<T, 1>(c, k, f, store_sum{out<float>(c, 1)}, (float *)c->scratch);
    return st == FW_OK ? sweep<T>(c, k, f) : st;
}

extern "C" const fwi_kernel FWI_CUDA_ROWS(bias)[] = {
    ROWS_IMAGES(bias_add, bias),
    ROWS_IMAGES_S(sum_rows, sum_rows, sum_rows_room),
    ROWS_IMAGES(bias_act, bias),
    ROWS_IMAGES_S(bias_act_grad, bias_act_grad, sum_rows_room),
    ROW_END,
};
