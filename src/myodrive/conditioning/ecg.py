"""The heart in the EMG of trunk muscles: find its beats, and subtract what every beat leaves.

Beats are looked for in every channel and taken from the one where they look most alike; the median waveform around them
is subtracted from each channel that is asked for. Detection after Pan & Tompkins (1985, 10.1109/TBME.1985.325532) for
the band, by the match with the median beat instead of a threshold on energy, which bursts of EMG would pass; subtraction
as in Kahl & Hofmann (2019, 10.1515/cdbme-2019-0090).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy import signal as sps

QRS_HZ = (8.0, 40.0)  # most of a QRS complex, and little EMG
QRS_S = 0.06  # half a QRS complex and its neighbourhood, for the match
REFRACTORY_S = 0.33  # no two beats closer: 180 per minute
LIKENESS = 0.7  # correlation of a beat with the median beat
FEWEST = 5  # beats, for a median waveform
SLOWEST_S = 1.8  # between beats, in the median: 33 per minute
IRREGULAR = (
    0.1  # median deviation of the intervals, as a share of the median: hearts have .02 to .08, chance .2 or more
)
COVERED = 0.5  # of the recording by beats; strong EMG hides some of them
HEIGHT = (0.5, 2.0)  # of a beat to the median beat
BEFORE_S, AFTER_S = 0.2, 0.4  # of the waveform that is subtracted: P wave to T wave


def find_heartbeats(values: Float[np.ndarray, "time muscle"], rate_hz: float) -> tuple[int, Int[np.ndarray, " beat"]]:
    """The channel in which the heart is clearest, and the sample of each beat; -1 and none where there is no heart.

    Parameters
    ----------
    values : array (time, muscle)
        Raw EMG; NaN where missing.
    """
    best, clearest, beats = 0.0, -1, np.empty(0, dtype=int)
    for muscle in range(values.shape[1]):
        found, likeness = _beats(values[:, muscle], rate_hz)
        if likeness > best:
            best, clearest, beats = likeness, muscle, found
    return clearest, beats


def subtract_heartbeats(
    values: Float[np.ndarray, " time"], beats: Int[np.ndarray, " beat"], rate_hz: float
) -> Float[np.ndarray, " time"]:
    """One channel without the median waveform around the beats.

    A beat in a gap, or cut by the ends, does not enter the median; what is there of it is corrected like the others.
    """
    before, after = round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz)
    nearest = int(np.min(np.diff(beats), initial=before + after))
    after = min(after, nearest - min(before, nearest // 3))
    before = min(before, nearest // 3)
    around = np.arange(-before, after)
    padded = np.pad(values, (before, after), constant_values=np.nan)
    pieces = padded[beats[:, None] + before + around]
    whole = pieces[np.all(np.isfinite(pieces), axis=1)]
    if len(whole) < FEWEST:
        return values
    waveform = np.median(whole - np.median(whole, axis=1, keepdims=True), axis=0)
    waveform *= sps.windows.tukey(around.size, 0.2)  # no steps where the waveform begins and ends
    for beat in beats:
        padded[beat + before + around] -= waveform
    return padded[before : before + values.size]


def _beats(column: Float[np.ndarray, " time"], rate_hz: float) -> tuple[Int[np.ndarray, " beat"], float]:
    """Samples of the beats in one channel and how alike they look; none and 0 where they are no heart's."""
    none = np.empty(0, dtype=int), 0.0
    half = round(QRS_S * rate_hz)
    if np.isfinite(column).sum() < FEWEST * REFRACTORY_S * rate_hz or 2 * QRS_HZ[1] >= rate_hz:
        return none
    band = sps.butter(2, QRS_HZ, "bandpass", fs=rate_hz, output="sos")
    # Zeros in the gaps ring a little; nothing but the places of the beats is taken from this signal.
    qrs = sps.sosfiltfilt(band, np.nan_to_num(column - np.nanmedian(column)))
    apart = round(REFRACTORY_S * rate_hz)
    candidates, _ = sps.find_peaks(np.abs(qrs), distance=apart)
    candidates = candidates[(candidates >= half) & (candidates < qrs.size - half)]
    if candidates.size < FEWEST:
        return none
    pieces = qrs[candidates[:, None] + np.arange(-half, half + 1)]
    # The tallest half of the candidates: the heart's, where it is clear at all.
    tall = np.abs(pieces[:, half]) >= np.median(np.abs(pieces[:, half]))
    signs = np.sign(pieces[tall][:, half])
    common = 1.0 if signs.sum() >= 0 else -1.0
    beat = np.median(pieces[tall][signs == common], axis=0)
    match, height = _match(qrs, beat)
    alike = np.where((height > HEIGHT[0]) & (height < HEIGHT[1]), match, 0.0)
    beats, properties = sps.find_peaks(alike, height=LIKENESS, distance=apart)
    if beats.size < FEWEST:
        return none
    intervals = np.diff(beats) / rate_hz
    usual = float(np.median(intervals))
    covered = beats.size * usual * rate_hz / column.size
    if covered < COVERED or usual > SLOWEST_S or np.median(np.abs(intervals - usual)) > IRREGULAR * usual:
        return none
    return beats, float(np.mean(properties["peak_heights"]) * min(1.0, covered))


def _match(
    values: Float[np.ndarray, " time"], beat: Float[np.ndarray, " sample"]
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Correlation of every stretch with the beat, and its height as a multiple of the beat's, at its centre."""
    beat = beat - beat.mean()
    ones = np.ones(beat.size)
    product = sps.correlate(values, beat, mode="same")
    total, squares = sps.correlate(values, ones, mode="same"), sps.correlate(values**2, ones, mode="same")
    spread = np.sqrt(np.maximum(squares - total**2 / beat.size, 0.0) * (beat @ beat))
    match = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-9 * spread.max())
    return match, product / (beat @ beat)
