"""An EMG amplifier with a clock of its own is tied to the motion capture by pulses that both recorded."""

import numpy as np

import myodrive as md

recording = md.simulate_recording("reach", seed=1, duration_s=20.0, with_=("angles",))

# What each device saw of the same trigger: the amplifier's clock starts 3.2 s late and runs 50 ppm fast.
rng = np.random.default_rng(0)
reference_s = np.sort(rng.uniform(0.0, 20.0, 30))
device_s = (reference_s - 3.2) * (1 + 50e-6)
own_clock = recording["emg"].assign_coords(time=(recording["emg"].time.values - 3.2) * (1 + 50e-6))
recording = recording.with_signal("emg", own_clock)

alignment = md.align_by_trigger(device_s, reference_s)
aligned = md.align(recording, "emg", alignment)

print(
    f"offset {alignment.offset_s:.4f} s, drift {1e6 * alignment.drift:.1f} ppm, error {1e3 * alignment.error_s:.3f} ms"
)
print(f"kept in the recording: {aligned.alignments['emg']}")
