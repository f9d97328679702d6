"""Simulate a walk, estimate the activation of every muscle by two methods, and score both against the truth."""

import myodrive as md

recording = md.simulate_recording("gait", seed=1, duration_s=20.0)

estimates = {
    "low-pass": md.LowPass(cutoff_hz=6.0).fit(recording).estimate(recording),
    "bayes": md.BayesFilter().fit(recording).estimate(recording),
}
print(md.compare(estimates, truth=recording["activation"]))
md.write(estimates["bayes"], "walk.sto")
