"""Activity from movement and forces, through a musculoskeletal model.

What was measured
    `trial` (with OpenSim), `mujoco_input`: one stretch of markers or angles, and forces. `marker_map`, `laboratory`,
    `ground_forces`, `plug_in_gait`, `person`: what laboratories call things, their frames, plates, joint angles, sizes.
With OpenSim
    `simulate`: markers to activity in one call. `steps`, `scaling`, `model_muscles`: its tasks. `opensim` runs each in a
    child process, `_opensim_child`.
Without
    `mujoco_simulate`: angles to activity in one call. `mujoco_model`, `mujoco_muscles`: myo-sim's models, repaired.
    `mujoco_motion`: their inverse dynamics and muscle geometry.
What both end in
    `muscle_signals`, `findings` (how far to trust it), `results` (the folder, and what is told).
Static optimisation, on plain arrays
    `muscle_problem`, `static_optimization`; `frame_solver` and `smooth_solver` of a `cost`. `hill_muscles`; `muscle_paths`,
    fitted by `path_fitting`.
Towards measured EMG
    `corrections`, `time_warping`, `stdrnet` (on `seq2seq`), `refinement` (the validated choice), `torque_check`.
"""
