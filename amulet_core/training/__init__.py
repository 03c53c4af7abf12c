"""The functional training core: a sampler, a per-sample objective, a gradient rule and a loop, each replaceable."""
