"""How long a simulated recording takes: `python benchmarks/truth_speed.py`. Goal: 8 muscles × 100 units × 60 s under 5 s."""

from __future__ import annotations

import statistics
import time

from myodrive.truth import SCENARIOS, simulate_recording


def main() -> None:
    simulate_recording("reference", duration_s=2)  # imports
    for scenario in SCENARIOS:
        for extras in ((), ("force", "angles", "spikes")):
            seconds = []
            for seed in range(3):
                start = time.process_time()
                simulate_recording(scenario, seed=seed, n_muscles=8, duration_s=60, rate_hz=2000, with_=extras)
                seconds.append(time.process_time() - start)
            said = f" with {', '.join(extras)}" if extras else ""
            print(f"{scenario:<12} {statistics.median(seconds):.2f} s CPU (8 muscles, 100 units, 60 s, 2 kHz){said}")


if __name__ == "__main__":
    main()
