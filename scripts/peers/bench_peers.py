#!/usr/bin/env python3
"""fenwicks and PyTorch on the same machine in the same minutes: started by scripts/bench-peers, which says what the
options mean. Round by round every configuration is measured once, so that whatever else the machine does meets all of
them alike; medians are over the rounds. Uses the standard library alone; PyTorch lives in torch_worker.py."""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = {"davidnet": ("fenwicks", "davidnet", 512), "airbench94-1000": ("airbench94-muon", "airbench94", 1000),
         "airbench94-2000": ("airbench94-muon", "airbench94", 2000)}
# Memory that is given back to the system after each tensor costs PyTorch page faults; with these glibc keeps it.
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
         "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
MODES = ["eager", "compile", "eager-malloc", "compile-malloc"]


class Worker:
    def __init__(self, python, threads, tuned):
        env = dict(os.environ, OMP_WAIT_POLICY="passive", KMP_BLOCKTIME="0")
        if threads:
            env.update(PEERS_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
        if tuned:
            env.update(TUNED)
        self.process = subprocess.Popen([python, os.path.join(HERE, "torch_worker.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench-peers: PyTorch's process has ended")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Peers:
    def __init__(self, args):
        self.args = args
        self.modes = args.modes.split()
        if not set(self.modes) <= set(MODES):
            sys.exit("bench-peers: --modes: there are " + " ".join(MODES))
        self.workers = {}
        self.version = None
        for mode in self.modes:
            tuned = mode.endswith("-malloc")
            if tuned not in self.workers:
                self.workers[tuned] = Worker(args.python, args.threads, tuned)
                self.version = self.workers[tuned].ask(do="hello")

    def emit(self, line, text):
        if self.args.json:
            print(json.dumps(line), flush=True)
        else:
            print(text, flush=True)

    def fenwicks(self, *words):
        command = [self.args.fenwicks, "bench", *words, "--json"]
        if self.args.threads:
            command += ["--threads", str(self.args.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench-peers: {' '.join(command)}: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def compare(self, what, images, own, torch_configs):
        """own(): seconds of fenwicks. torch_configs: [(name, worker, request)]. Prints medians and ratios."""
        ready = []
        for name, worker, request in torch_configs:
            answer = worker.ask(key=name, **request)
            if "error" in answer:
                print(f"bench-peers: {what['name']}: PyTorch {name}: {answer['error']}", file=sys.stderr)
            else:
                ready.append((name, worker))
        seconds = {name: [] for name in ["fenwicks"] + [name for name, _ in ready]}
        for _ in range(self.args.runs):
            seconds["fenwicks"].append(own())
            for name, worker in ready:
                answer = worker.ask(do="run", key=name, runs=1)
                if "error" in answer:
                    sys.exit(f"bench-peers: PyTorch {name}: {answer['error']}")
                seconds[name] += answer["seconds"]
        for name, worker in ready:
            worker.ask(do="drop", key=name)
        ours = statistics.median(seconds["fenwicks"])
        for name, list_ in seconds.items():
            t = statistics.median(list_)
            line = dict(what, who="fenwicks" if name == "fenwicks" else "torch", config=name, seconds=t,
                        seconds_min=min(list_), seconds_max=max(list_), runs=len(list_), ratio=t / ours)
            if images:
                line["images_per_second"] = images / t
            if name != "fenwicks":
                line["torch"] = self.version["torch"]
            rate = f"{images / t:9.1f} images/s" if images else ""
            self.emit(line, f"{what['name']:<28} {what['precision']:<5} {name:<28} {1e3 * t:10.3f} ms {rate}"
                            f"  {t / ours:6.2f} x")
        return {name: statistics.median(list_) / ours for name, list_ in seconds.items() if name != "fenwicks"}

    def conv(self, precision):
        own_type, torch_type = ("f32", "fp32") if precision == "f32" else ("bf16", "bf16")
        for net in self.args.shapes.split():
            options = ["--shape", net, "--precision", own_type, "--algo", "auto", "--runs", "1", "--accept-slow"]
            rows = self.fenwicks("conv", *options)
            for row in rows:
                shape = {d: row[d] for d in ("n", "h", "w", "c", "oc", "k", "stride", "pad")}
                full = f"{row['net']}/{row['name']}"
                what = {"kind": "conv", "name": f"{full} {row['pass']}", "precision": precision, "algo": row["algo"], **shape}
                one = ["--shape", full, "--pass", row["pass"], "--precision", own_type, "--algo", "auto",
                       "--runs", "1", "--accept-slow"]
                configs = [(mode, self.workers[mode.endswith("-malloc")],
                            {"do": "conv", "shape": shape, "pass": row["pass"], "precision": torch_type,
                             "compile": mode.startswith("compile")}) for mode in self.modes]
                self.compare(what, 0, lambda: self.fenwicks("conv", *one)[0]["seconds"], configs)

    def step(self, precision):
        types = ["fp32"] if precision == "f32" else ["bf16-autocast", "bf16-weights"]
        for name in self.args.steps.split():
            if name not in STEPS:
                sys.exit("bench-peers: --steps: there are " + " ".join(STEPS))
            recipe, net, batch = STEPS[name]
            configs = [(f"{t}/{mode}", self.workers[mode.endswith("-malloc")],
                        {"do": "step", "net": net, "batch": batch, "precision": t, "compile": mode.startswith("compile")})
                       for t in types for mode in self.modes]
            ratios = self.compare({"kind": "step", "name": name, "precision": precision}, batch,
                                  lambda: self.fenwicks("step", recipe, "--batch", str(batch), "--precision", precision,
                                                        "--runs", "1")[0]["seconds"], configs)
            eager = [r for n, r in ratios.items() if n.endswith("/eager")]
            line = {"kind": "ratio", "name": name, "precision": precision, "torch": self.version["torch"],
                    "threads": self.version["threads"]}
            if eager:
                line["against_eager"] = min(eager)
            if ratios:
                line["against_best"], line["best"] = min((r, n) for n, r in ratios.items())
                self.emit(line, f"{name:<28} {precision:<5} fenwicks is "
                          + (f"{line['against_eager']:.2f} x PyTorch eager, " if eager else "")
                          + f"{line['against_best']:.2f} x its best configuration ({line['best']})")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--python", required=True)
    p.add_argument("--fenwicks", required=True)
    p.add_argument("--what", default="conv step")
    p.add_argument("--precision", default="f32 bf16")
    p.add_argument("--modes", default=" ".join(MODES))
    p.add_argument("--shapes", default="davidnet airbench94")
    p.add_argument("--steps", default=" ".join(STEPS))
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    if not set(args.what.split()) <= {"conv", "step"} or not set(args.precision.split()) <= {"f32", "bf16"}:
        sys.exit("bench-peers: --what is of conv, step; --precision of f32, bf16")
    if args.runs < 1:
        sys.exit("bench-peers: --runs is at least 1")
    peers = Peers(args)
    for precision in args.precision.split():
        for what in args.what.split():
            getattr(peers, what)(precision)
    for worker in peers.workers.values():
        worker.close()


main()
